//! The bookkeeping: which stack made which page resident, and who gave it back.
//!
//! Pure: events in, windows of time out. No I/O, no clock. The reconciliation law is a method,
//! [`SpaceLedger::gap`], and holds after every settled event.

mod accounts;
mod names;
mod native;
mod pages;
mod space;
mod stacks;
mod window;

pub use accounts::{Account, Pages, Row, RowKey};
pub use names::NameBook;
pub use native::Calls;
pub use pages::{Extent, PageLedger};
pub use space::{SpaceLedger, StackKey, WindowFigures};
pub use stacks::{CodeTexts, Missing, NamedFrame, NamedStack, StackTable};
pub use window::{Counted, memory, window};
