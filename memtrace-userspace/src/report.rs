//! The printed forms of a profile: pure functions of it, one file each.
//!
//! A report gets a [`Profile`](crate::profile::Profile), where it shows source the
//! [`SourceTexts`] that somebody else has read, and its options; it writes to the writer it is
//! given. It opens nothing, takes no clock and knows neither aya nor clap nor tokio.

pub mod explain;
mod figures;
mod fit;
mod grid;
pub mod json;
pub mod printable;
pub mod sources;
pub mod table;

pub use printable::printable;
pub use sources::{SourceText, SourceTexts};
pub use table::{Column, TableOptions};
