//! The keys of the allocator lens. They stand only where there was one.

use serde::Serialize;

use crate::profile::{self, Allocated, Lens, ProcessProfile, Profile};
use crate::units::{Bytes, Nanos};

/// The lenses of a profile.
pub(super) fn lenses(profile: &Profile) -> Vec<&'static str> {
    let any = profile.processes.iter().any(|process| process.lens.is_some());
    if any { vec!["rss", "allocator"] } else { vec!["rss"] }
}

/// What the lens says of a process.
#[derive(Serialize)]
pub(super) struct Allocator {
    /// Whether every allocation since `began_ns` was recorded.
    exact: bool,
    began_ns: Nanos,
    time_ns: Nanos,
    recorded_ns: Nanos,
    frees_seen: bool,
    windows: u64,
    lost_allocations: u64,
    lost_bytes: Bytes,
    unknown_frees: u64,
    hits: u64,
    cost_ns: Nanos,
    measured_by: Vec<Measured>,
    #[serde(flatten)]
    total: Figures,
}

/// A part of the time, and the function whose calls measured it.
#[derive(Serialize)]
struct Measured {
    function: String,
    time_ns: Nanos,
}

/// What was allocated. The intervals are `null` where figures are exact or can't be told; what is about
/// freed and live blocks is `null` where frees were not seen all the time.
#[derive(Serialize)]
pub(super) struct Figures {
    allocations: u64,
    allocations_interval: Option<[u64; 2]>,
    allocated_bytes: Bytes,
    allocated_bytes_interval: Option<[u64; 2]>,
    freed_allocations: Option<u64>,
    freed_bytes: Option<Bytes>,
    live_allocations: Option<i64>,
    live_bytes: Option<Bytes>,
    temporary_allocations: u64,
    temporary_bytes: Bytes,
    oldest_live_ns: Option<Nanos>,
    live_ages: Vec<Age>,
}

/// Live blocks of one age.
#[derive(Serialize)]
struct Age {
    age_ns: Nanos,
    allocations: u64,
    bytes: Bytes,
}

/// A line's own figures, and what it and what it called allocated.
#[derive(Serialize)]
pub(super) struct LineFigures {
    #[serde(flatten)]
    own: Figures,
    cumulative_allocations: u64,
    cumulative_allocated_bytes: Bytes,
    cumulative_live_allocations: Option<i64>,
    cumulative_live_bytes: Option<Bytes>,
}

impl Allocator {
    pub(super) fn of(process: &ProcessProfile, lens: &Lens) -> Self {
        Self {
            exact: lens.is_exact(),
            began_ns: lens.began,
            time_ns: lens.time,
            recorded_ns: lens.recorded,
            frees_seen: lens.frees_seen,
            windows: lens.windows,
            lost_allocations: lens.lost,
            lost_bytes: lens.lost_bytes,
            unknown_frees: lens.unknown_frees,
            hits: lens.hits,
            cost_ns: lens.cost,
            measured_by: lens
                .measured
                .iter()
                .map(|(function, time)| Measured { function: function.clone(), time_ns: *time })
                .collect(),
            total: Figures::of(&process.allocated(), lens),
        }
    }
}

impl Figures {
    pub(super) fn of(allocated: &Allocated, lens: &Lens) -> Self {
        let rounded = |(low, high): (f64, f64)| [low.round() as u64, high.round() as u64];
        let [count, bytes] = allocated.interval(lens).map(|one| one.map(rounded));
        let seen = lens.frees_seen;
        let ages = allocated.ages.iter().map(|(age, blocks)| Age {
            age_ns: Nanos(age * 1_000_000),
            allocations: blocks.count,
            bytes: blocks.bytes,
        });
        Self {
            allocations: allocated.all.count,
            allocations_interval: count,
            allocated_bytes: allocated.all.bytes,
            allocated_bytes_interval: bytes,
            freed_allocations: seen.then_some(allocated.freed.count),
            freed_bytes: seen.then_some(allocated.freed.bytes),
            live_allocations: seen.then(|| allocated.live()),
            live_bytes: seen.then(|| allocated.live_bytes()),
            temporary_allocations: allocated.temporary.count,
            temporary_bytes: allocated.temporary.bytes,
            oldest_live_ns: if seen { allocated.oldest() } else { None },
            live_ages: if seen { ages.collect() } else { Vec::new() },
        }
    }
}

impl LineFigures {
    pub(super) fn of(line: &profile::LineFigures, lens: &Lens) -> Self {
        let all = &line.cumulative_allocated;
        Self {
            own: Figures::of(&line.self_allocated, lens),
            cumulative_allocations: all.all.count,
            cumulative_allocated_bytes: all.all.bytes,
            cumulative_live_allocations: lens.frees_seen.then(|| all.live()),
            cumulative_live_bytes: lens.frees_seen.then(|| all.live_bytes()),
        }
    }
}
