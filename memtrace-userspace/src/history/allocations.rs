//! The allocator lens in one space's history: sums by stack and thread in the range of time.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::entry::{Allocations, Live, StackId, ThreadId};
use crate::profile::sampled::GROUPS;
use crate::profile::{Allocated, Blocks, Lens};
use crate::units::Nanos;

/// A space's sums, once there is a lens.
#[derive(Debug, Default)]
pub(super) struct AllocationSums {
    totals: HashMap<(StackId, ThreadId), Allocated>,
    lens: Option<Lens>,
    /// Time in which frees were seen.
    frees_seen: Nanos,
}

impl AllocationSums {
    /// Adds what was counted in a stretch of time, whose names were checked.
    pub(super) fn add(&mut self, counted: &Allocations, range: &RangeInclusive<Nanos>) {
        let counts = counted.at > *range.start() || *range.start() == Nanos(0);
        if !counts || counted.at > *range.end() {
            return;
        }
        let began = Nanos(counted.at.0.saturating_sub(counted.time.0));
        let lens = self.lens.get_or_insert(Lens { began, ..Lens::default() });
        for (name, time) in &counted.measured {
            lens.measured.entry(name.clone()).or_default().0 += time.0;
        }
        lens.time.0 += counted.time.0;
        lens.recorded.0 += counted.recorded.0;
        lens.slowed.0 += counted.slowed.0;
        // What comes after the last window is taken to be as all before.
        let windowless = counted.recorded == Nanos(0) && lens.windows > 0;
        lens.windows += u64::from(!windowless);
        lens.lost += counted.lost;
        lens.lost_bytes += counted.lost_bytes;
        lens.unknown_frees += counted.unknown_frees;
        lens.hits += counted.hits;
        lens.cost.0 += counted.cost.0;
        self.frees_seen.0 += counted.frees_seen.0;
        lens.frees_seen = self.frees_seen >= lens.time;
        let group = if windowless {
            lens.sample.stretch(counted.time);
            None
        } else if counted.recorded > Nanos(0) && counted.recorded < counted.time {
            Some(lens.sample.add(counted.time, counted.recorded))
        } else {
            None
        };
        for change in &counted.changes {
            let total = self.totals.entry((change.stack, change.thread)).or_default();
            total.all += change.all;
            total.freed += change.freed;
            total.temporary += change.temporary;
            if windowless {
                spread(change.all, &mut total.groups);
            } else if let Some(group) = group {
                total.groups.resize(GROUPS, Blocks::default());
                total.groups[group] += change.all;
            }
        }
    }

    /// What was live at a moment of the range.
    pub(super) fn live(&mut self, live: &Live, range: &RangeInclusive<Nanos>) {
        if live.at > *range.end() {
            return;
        }
        for total in self.totals.values_mut() {
            total.ages.clear();
        }
        for (stack, thread, age, blocks) in &live.blocks {
            let total = self.totals.entry((*stack, *thread)).or_default();
            *total.ages.entry(*age).or_default() += *blocks;
        }
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = &(StackId, ThreadId)> {
        self.totals.keys()
    }

    pub(super) fn of(&self, owner: &(StackId, ThreadId)) -> Allocated {
        self.totals.get(owner).cloned().unwrap_or_default()
    }

    /// The lens, with times counted from `from`.
    pub(super) fn lens(&self, from: Nanos) -> Option<Lens> {
        let lens = self.lens.clone()?;
        Some(Lens { began: Nanos(lens.began.0.saturating_sub(from.0)), ..lens })
    }
}

/// Dealt into groups in proportion to what is in them.
fn spread(all: Blocks, groups: &mut [Blocks]) {
    let sum = groups.iter().map(|one| one.count).sum::<u64>().max(1) as f64;
    for one in groups {
        let part = one.count as f64 / sum;
        one.count += (all.count as f64 * part) as u64;
        one.bytes.0 += (all.bytes.0 as f64 * part) as i64;
    }
}
