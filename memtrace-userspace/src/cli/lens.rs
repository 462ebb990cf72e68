//! What can be typed for the allocator lens.

use clap::{Args, ValueEnum};

use crate::units::overhead;

/// Which lens, and what of it.
#[derive(Debug, Clone, Copy, Args)]
pub struct LensArgs {
    /// Look through this lens, too: `allocator` counts what is allocated and freed, by line, with
    /// breakpoints in the target's allocator
    #[arg(long, value_enum)]
    pub lens: Option<LensKind>,
    /// With the allocator lens, also CPython's small objects, where its build lets them be seen
    #[arg(long, requires = "lens")]
    pub objects: bool,
    /// Record every allocation, and walk the stack of every event, whatever that costs the target. Without
    /// the allocator lens this is the default
    #[arg(long, conflicts_with = "max_overhead")]
    pub exact: bool,
    /// What tracing may cost the target, as a part of its time: 2%. Of as many events as that allows the
    /// stack is walked; the others are counted, and lines' figures have estimates beside them. With the
    /// allocator lens (5% is its default) it is what that may cost: it records in short windows, and
    /// estimates the rest
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub max_overhead: Option<f64>,
}

/// As a part of one.
fn percent(text: &str) -> Result<f64, String> {
    overhead(text).ok_or_else(|| "must be from 0.1% to 1000%, like 5%".to_owned())
}

/// The lenses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LensKind {
    /// What makes RSS grow: always there
    Rss,
    /// What is allocated and freed
    Allocator,
}
