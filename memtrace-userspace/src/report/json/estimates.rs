//! The keys of estimates. They stand only where not every stack was walked.

use serde::Serialize;

use crate::profile::{self, Estimated, Thinned};
use crate::units::Bytes;

/// What was walked of a process.
#[derive(Serialize)]
pub(super) struct Walks {
    events_not_walked: u64,
    not_walked_bytes: Bytes,
}

/// A line's estimates, beside what was measured: the true figure lies in the interval with a probability
/// of 95 %.
#[derive(Serialize)]
pub(super) struct LineFigures {
    estimated_bytes: Bytes,
    estimated_interval: [Bytes; 2],
    cumulative_estimated_bytes: Bytes,
    cumulative_estimated_interval: [Bytes; 2],
}

impl Walks {
    pub(super) fn of(thinned: &Thinned) -> Self {
        Self { events_not_walked: thinned.not_walked, not_walked_bytes: thinned.net }
    }
}

impl LineFigures {
    pub(super) fn of(line: &profile::LineFigures, thinned: &Thinned) -> Self {
        let parts = |it: Estimated| (it.bytes, [it.interval.0, it.interval.1]);
        let (estimated_bytes, estimated_interval) = parts(thinned.of_self(line));
        let (cumulative_estimated_bytes, cumulative_estimated_interval) =
            parts(thinned.of_cumulative(line));
        Self {
            estimated_bytes,
            estimated_interval,
            cumulative_estimated_bytes,
            cumulative_estimated_interval,
        }
    }
}
