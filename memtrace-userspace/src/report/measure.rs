//! Which figure a report of stacks shows, and which one lines are sorted by.
//!
//! The same words everywhere: options, sample types, titles. It adds nothing up.

use std::fmt;
use std::str::FromStr;

use crate::profile::{LineFigures, NativeRow, StackFigures, Unattributed};

/// A figure that stacks, lines and unattributed rows have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Measure {
    /// Bytes added.
    Grown,
    /// Bytes added less those of them that were given back. The only one that the law speaks of.
    #[default]
    Net,
    /// Of the bytes added, those that are still in RSS.
    Resident,
    /// Changes.
    Events,
    /// Bytes allocated, by the allocator lens; zero without it, as the next two.
    Allocated,
    /// Allocations.
    Allocations,
    /// Bytes allocated and not freed.
    Live,
}

/// A name that no measure has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no measure {name:?}; choose from {}", Measure::ALL.map(Measure::name).join(", "))]
pub struct UnknownMeasure {
    name: String,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Grown,
        Self::Net,
        Self::Resident,
        Self::Events,
        Self::Allocated,
        Self::Allocations,
        Self::Live,
    ];

    /// As options and sample types name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grown => "grown",
            Self::Net => "net",
            Self::Resident => "resident",
            Self::Events => "events",
            Self::Allocated => "allocated",
            Self::Allocations => "allocations",
            Self::Live => "live",
        }
    }

    /// What it counts.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Grown | Self::Net | Self::Resident | Self::Allocated | Self::Live => "bytes",
            Self::Events => "events",
            Self::Allocations => "allocations",
        }
    }

    /// A stack's figure.
    pub(super) fn of_stack(self, stack: &StackFigures) -> i64 {
        match self {
            Self::Grown => stack.grown.total().0,
            Self::Net => stack.net().total().0,
            Self::Resident => stack.resident.0,
            Self::Events => count(stack.events),
            Self::Allocated => stack.allocated.all.bytes.0,
            Self::Allocations => count(stack.allocated.all.count),
            Self::Live => stack.allocated.live_bytes().0,
        }
    }

    /// A line's own figure, to sort by: its net growth is the estimated one, where it is one.
    pub(super) fn of_line(self, line: &LineFigures) -> i64 {
        match self {
            Self::Grown => line.self_grown.0,
            Self::Net => (line.self_net.total() + line.self_estimate.more).0,
            Self::Resident => line.self_resident.0,
            Self::Events => count(line.self_events),
            Self::Allocated => line.self_allocated.all.bytes.0,
            Self::Allocations => count(line.self_allocated.all.count),
            Self::Live => line.self_allocated.live_bytes().0,
        }
    }

    /// A row's figure. Of RSS it has only one, its net change, which stands for all three.
    pub(super) fn of_row(self, row: &Unattributed) -> i64 {
        match self {
            Self::Grown | Self::Net | Self::Resident => row.net.total().0,
            Self::Events => count(row.events),
            Self::Allocated => row.allocated.all.bytes.0,
            Self::Allocations => count(row.allocated.all.count),
            Self::Live => row.allocated.live_bytes().0,
        }
    }
}

impl Measure {
    /// The figure of a row's part, as [`Measure::of_row`].
    pub(super) fn of_native_row(self, part: &NativeRow) -> i64 {
        match self {
            Self::Grown | Self::Net | Self::Resident => part.net.total().0,
            Self::Events => count(part.events),
            // The allocator lens looks at lines only.
            Self::Allocated | Self::Allocations | Self::Live => 0,
        }
    }
}

/// Nobody counts that far.
fn count(events: u64) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Measure {
    type Err = UnknownMeasure;

    fn from_str(name: &str) -> Result<Self, UnknownMeasure> {
        let same = |measure: &Self| measure.name() == name;
        Self::ALL.into_iter().find(same).ok_or_else(|| UnknownMeasure { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_is_found_by_its_name_and_the_others_are_told() {
        for measure in Measure::ALL {
            assert_eq!(measure.to_string().parse(), Ok(measure));
        }
        let error = "gross".parse::<Measure>().unwrap_err().to_string();
        for measure in Measure::ALL {
            assert!(error.contains(measure.name()), "{error}");
        }
    }
}
