//! What can be typed for the allocator lens.

use clap::{Args, ValueEnum};

/// Which lens, and what of it.
#[derive(Debug, Clone, Copy, Args)]
pub struct LensArgs {
    /// Look through this lens, too: `allocator` counts what is allocated and freed, by line, with
    /// breakpoints in the target's allocator
    #[arg(long, value_enum, default_value_t = LensKind::Rss)]
    pub lens: LensKind,
    /// With the allocator lens, also CPython's small objects, where its build lets them be seen
    #[arg(long)]
    pub objects: bool,
    /// With the allocator lens, record every allocation, whatever that costs the target
    #[arg(long)]
    pub exact: bool,
}

/// The lenses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LensKind {
    /// What makes RSS grow: always there
    Rss,
    /// What is allocated and freed
    Allocator,
}
