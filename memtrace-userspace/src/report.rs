//! The printed forms of a profile: pure functions of it, one file each.
//!
//! A report gets a [`Profile`](crate::profile::Profile), where it shows source the
//! [`SourceTexts`] that somebody else has read, and its options; it writes to the writer it is
//! given. It opens nothing, takes no clock and knows neither aya nor clap nor tokio.

mod balance;
mod course;
pub mod csv;
pub mod diff;
pub mod explain;
pub(crate) mod figures;
pub(crate) mod fit;
pub mod flamegraph;
pub mod folded;
mod grid;
pub mod html;
pub mod json;
mod measure;
pub mod mprof;
pub mod plot;
pub mod pprof;
pub mod printable;
pub(crate) mod remarks;
pub(crate) mod stacks;
pub mod table;

pub use crate::profile::{SourceText, SourceTexts};
pub use html::HtmlOptions;
pub use measure::{Measure, UnknownMeasure};
pub use plot::PlotOptions;
pub use printable::printable;
pub use stacks::StackOptions;
pub(crate) use table::law_terms;
pub use table::{Column, TableOptions, View};
