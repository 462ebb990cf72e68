//! What can be typed for the allocator lens.

use clap::{Args, ValueEnum};

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
    /// With the allocator lens, record every allocation, whatever that costs the target
    #[arg(long, requires = "lens", conflicts_with = "max_overhead")]
    pub exact: bool,
    /// What the allocator lens may cost the target, as a part of its time: 5%. It records in short
    /// windows, as many as that allows, and estimates the rest
    #[arg(long, value_name = "PERCENT", value_parser = percent, requires = "lens")]
    pub max_overhead: Option<f64>,
}

/// As a part of one.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    match number.parse::<f64>() {
        Ok(percent) if (0.1..=1000.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("must be from 0.1% to 1000%, like 5%".to_owned()),
    }
}

/// The lenses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LensKind {
    /// What makes RSS grow: always there
    Rss,
    /// What is allocated and freed
    Allocator,
}
