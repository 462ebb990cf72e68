//! The bookkeeping: which stack made which page resident, and who gave it back.
//!
//! Pure: events in, figures out. No I/O, no clock, no names (a stack is a number here). The
//! reconciliation law is a method, [`SpaceLedger::gap`], and holds after every settled event.

mod pages;
mod space;
mod stacks;
mod summary;

pub use pages::{Extent, PageLedger};
pub use space::{Account, RowKey, SpaceLedger, StackKey};
pub use stacks::{CodeTexts, Missing, NamedFrame, NamedStack, StackTable};
pub use summary::{Facts, memory, summarise};
