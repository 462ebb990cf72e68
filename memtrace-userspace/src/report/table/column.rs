//! The columns of function tables that are shown on demand.
//!
//! Their names, their figures and what they mean, in one place each. Knows no command line: a name
//! is parsed by `FromStr`, whoever types it.

use std::fmt;
use std::str::FromStr;

use crate::profile::LineFigures;
use crate::report::figures::mib_unit;

/// A column beside memory_profiler's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// Net growth of the line's own.
    SelfNet,
    /// Of it: still in RSS.
    Resident,
    /// Of what the line grew: given back.
    Returned,
    /// Events of the line's own.
    Faults,
    /// Anonymous memory in its net growth.
    Anon,
    /// File-backed memory in it.
    File,
    /// Shared memory in it.
    Shmem,
    /// Copied on write at the line.
    Copied,
    /// Given back at the line, whoever had grown it.
    Released,
    /// What the cumulative net growth stands for, where not every stack was walked.
    Estimate,
}

/// A name that no column has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no column {name:?}; choose from {}", Column::ALL.map(|column| column.name()).join(", "))]
pub struct UnknownColumn {
    name: String,
}

impl Column {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::SelfNet,
        Self::Resident,
        Self::Returned,
        Self::Faults,
        Self::Anon,
        Self::File,
        Self::Shmem,
        Self::Copied,
        Self::Released,
        Self::Estimate,
    ];

    /// Its heading, which is also its name (in any case) on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SelfNet => "Self",
            Self::Resident => "Resident",
            Self::Returned => "Returned",
            Self::Faults => "Faults",
            Self::Anon => "Anon",
            Self::File => "File",
            Self::Shmem => "Shmem",
            Self::Copied => "Copied",
            Self::Released => "Released",
            Self::Estimate => "Estimate",
        }
    }

    /// What it says, for the legend.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::SelfNet => "net change of RSS by the line itself, without what it called",
            Self::Resident => {
                "still resident: of what the line itself grew, what is in RSS at report time"
            }
            Self::Returned => "of what the line itself grew, what was given back, by whatever line",
            Self::Faults => "events of the line itself, without those of what it called",
            Self::Anon => "anonymous memory in Self (heap, arenas, private mappings)",
            Self::File => "file-backed memory in Self",
            Self::Shmem => "shared memory in Self (mmap.mmap(-1, n), /dev/shm)",
            Self::Copied => "copied on write by the line itself, which is no growth of RSS",
            Self::Estimate => {
                "of Increment, where not every stack was walked: with what the walked ones stand for"
            }
            Self::Released => "given back while the line ran, whichever line had grown it",
        }
    }

    /// Its figure, with its unit.
    pub(super) fn figure(self, line: &LineFigures) -> String {
        let bytes = match self {
            Self::Faults => return line.self_events.to_string(),
            Self::SelfNet => line.self_net.total(),
            Self::Resident => line.self_resident,
            Self::Returned => line.self_returned,
            Self::Anon => line.self_net.anon,
            Self::File => line.self_net.file,
            Self::Shmem => line.self_net.shmem,
            Self::Copied => line.copied,
            Self::Released => line.released,
            Self::Estimate => line.cumulative_net + line.cumulative_estimate.more,
        };
        mib_unit(bytes)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Column {
    type Err = UnknownColumn;

    fn from_str(name: &str) -> Result<Self, UnknownColumn> {
        let same = |column: &Self| column.name().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(same).ok_or_else(|| UnknownColumn { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_found_by_its_name_in_any_case() {
        for column in Column::ALL {
            assert_eq!(column.name().parse(), Ok(column));
            assert_eq!(column.name().to_uppercase().parse(), Ok(column));
        }
        let error = "Net".parse::<Column>().unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no column \"Net\"; choose from Self, Resident, Returned, Faults, Anon, File, \
             Shmem, Copied, Released, Estimate"
        );
    }
}
