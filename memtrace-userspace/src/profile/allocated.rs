//! What the allocator lens counts: blocks that were allocated, freed, and live still.
//!
//! Figures are exact, or estimates from a part of the time; then what groups of windows say comes
//! with them, from which an interval follows (`sampled.rs`). Pure.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use super::sampled::{GROUPS, Sample};
use crate::units::{Bytes, Nanos};

/// How well the cost of a hit is known: a probe costs more in a large program than in the small one
/// that it was measured in.
const COST_UNCERTAINTY: f64 = 0.2;
/// By what part an estimate may be wrong for what comes before the first window and after the last one.
const EDGES: f64 = 0.015;
/// An estimate may be so many times too small or too large where nothing else bounds it.
const AT_MOST: f64 = 10.0;

/// What the allocator lens says of a process as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lens {
    /// When it was attached, since the profile's start.
    pub began: Nanos,
    /// Time since then.
    pub time: Nanos,
    /// Of that, time in which allocations were recorded; all of it in exact mode.
    pub recorded: Nanos,
    /// By how much longer `time` would have been, had the target all the time been as slow as where its
    /// progress was measured: nothing where a function's calls were counted all the time.
    pub slowed: Nanos,
    /// Windows of time that were counted.
    pub windows: u64,
    /// Allocations for which there was no room.
    pub lost: u64,
    /// Their bytes.
    pub lost_bytes: Bytes,
    /// Frees of blocks that were not recorded: allocated before, or while nothing was recorded.
    pub unknown_frees: u64,
    /// Hits of probes.
    pub hits: u64,
    /// What they cost the target, by what a hit cost when memtrace began.
    pub cost: Nanos,
    /// Parts of the time, by the function whose calls measured them.
    pub measured: BTreeMap<String, Nanos>,
    /// Windows that stand for more than themselves.
    pub sample: Sample,
    /// Whether frees were seen all the time: otherwise blocks may count as live that are gone.
    pub frees_seen: bool,
}

impl Lens {
    /// Whether every allocation since `began` was recorded.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.recorded >= self.time
    }

    /// Of an estimate, how much less and how much more the truth may be because a hit's cost is only
    /// known so well, and windows have edges.
    #[must_use]
    pub fn uncertainty(&self) -> (f64, f64) {
        if self.is_exact() || self.time.0 == 0 {
            return (0.0, 0.0);
        }
        let wrong = COST_UNCERTAINTY * self.slowed.0 as f64 / self.time.0 as f64 + EDGES;
        let high = if wrong < 1.0 - 1.0 / AT_MOST { 1.0 / (1.0 - wrong) } else { AT_MOST };
        (1.0 - (1.0 / (1.0 + wrong)).max(1.0 / AT_MOST), high - 1.0)
    }

    /// The part of the time that was measured by no function's calls.
    #[must_use]
    pub fn by_time(&self) -> f64 {
        let measured: u64 = self.measured.values().map(|time| time.0).sum();
        (1.0 - measured as f64 / self.time.0.max(1) as f64).max(0.0)
    }

    /// The part of the time in which allocations were recorded.
    #[must_use]
    pub fn part(&self) -> f64 {
        if self.is_exact() { 1.0 } else { self.recorded.0 as f64 / self.time.0 as f64 }
    }
}

/// Blocks and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Blocks {
    /// How many.
    pub count: u64,
    /// Their sizes, as they were asked for.
    pub bytes: Bytes,
}

impl AddAssign for Blocks {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.bytes += other.bytes;
    }
}

/// What a stack or a line did with blocks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allocated {
    /// Allocated by it.
    pub all: Blocks,
    /// Of what it had allocated: freed, by whomever.
    pub freed: Blocks,
    /// Of the freed ones: by the same thread, before it had allocated twice again.
    pub temporary: Blocks,
    /// Live ones by age in milliseconds, where somebody looked. Ages are cut to five binary digits.
    pub ages: BTreeMap<u64, Blocks>,
    /// Of `all`, what was estimated: by groups of windows ([`Sample`]); empty where nothing was.
    pub groups: Vec<Blocks>,
}

impl Allocated {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.all == Blocks::default() && self.freed == Blocks::default() && self.ages.is_empty()
    }

    /// Live blocks: allocated less freed. In a part of a recording's time more may be freed than
    /// allocated.
    #[must_use]
    pub fn live(&self) -> i64 {
        self.all.count.cast_signed() - self.freed.count.cast_signed()
    }

    /// Their bytes.
    #[must_use]
    pub fn live_bytes(&self) -> Bytes {
        self.all.bytes - self.freed.bytes
    }

    /// Live ones that are at least so old, as far as ages are known.
    #[must_use]
    pub fn older_than(&self, age: Nanos) -> Blocks {
        let mut sum = Blocks::default();
        for blocks in self.ages.range(cut(age.0 / 1_000_000)..).map(|(_, blocks)| *blocks) {
            sum += blocks;
        }
        sum
    }

    /// Age of the oldest live one.
    #[must_use]
    pub fn oldest(&self) -> Option<Nanos> {
        self.ages.last_key_value().map(|(age, _)| Nanos(age * 1_000_000))
    }

    /// Between what the true number of allocations, and of bytes, lies with a probability of 95 %.
    /// `None` where it can't be told: with fewer than two windows that stand for more than themselves (a
    /// short trace, or one whose windows cost so much that the first pause has not ended), and of bytes
    /// that no window has shown.
    #[must_use]
    pub fn interval(&self, lens: &Lens) -> [Option<(f64, f64)>; 2] {
        let count = self.bounds(lens, self.all.count as f64, |blocks| blocks.count as f64);
        let seen = self.groups.iter().any(|blocks| blocks.count > 0);
        let bytes = seen
            .then(|| self.bounds(lens, self.all.bytes.0 as f64, |blocks| blocks.bytes.0 as f64));
        [count, bytes.flatten()]
    }

    fn bounds(&self, lens: &Lens, all: f64, figure: fn(&Blocks) -> f64) -> Option<(f64, f64)> {
        if lens.is_exact() {
            return None;
        }
        let mut groups: Vec<f64> = self.groups.iter().map(figure).collect();
        groups.resize(GROUPS, 0.0);
        let sampled: f64 = groups.iter().sum();
        let (low, high) = lens.sample.interval(&groups)?;
        let (less, more) = lens.uncertainty();
        Some((
            (all - (sampled - low).hypot(less * sampled)).max(0.0),
            all + (high - sampled).hypot(more * sampled),
        ))
    }
}

impl AddAssign<&Self> for Allocated {
    fn add_assign(&mut self, other: &Self) {
        self.all += other.all;
        self.freed += other.freed;
        self.temporary += other.temporary;
        for (age, blocks) in &other.ages {
            *self.ages.entry(*age).or_default() += *blocks;
        }
        if self.groups.is_empty() {
            self.groups.clone_from(&other.groups);
        } else {
            for (group, more) in self.groups.iter_mut().zip(&other.groups) {
                *group += *more;
            }
        }
    }
}

/// A number without what comes after its first five binary digits: ages differ by a sixteenth at most.
#[must_use]
pub const fn cut(number: u64) -> u64 {
    let digits = u64::BITS - number.leading_zeros();
    let low = digits.saturating_sub(5);
    number >> low << low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(count: u64) -> Blocks {
        Blocks { count, bytes: Bytes(100 * count.cast_signed()) }
    }

    #[test]
    fn ages_are_cut_by_a_sixteenth_at_most() {
        for (number, expected) in [(0, 0), (31, 31), (33, 32), (1000, 992), (10_000, 9728)] {
            assert_eq!(cut(number), expected);
        }
        for number in 1..100_000 {
            assert!(cut(number) <= number && number - cut(number) <= number / 16, "{number}");
        }
    }

    #[test]
    fn what_is_old_enough_is_what_may_be_a_leak() {
        let mut allocated = Allocated::default();
        for (age, count) in [(500, 1), (10_000, 2), (60_000, 4)] {
            allocated.ages.insert(cut(age), blocks(count));
        }
        let older = |seconds: u64| allocated.older_than(Nanos(seconds * 1_000_000_000)).count;
        assert_eq!([older(0), older(1), older(10), older(20), older(100)], [7, 6, 6, 4, 0]);
        assert_eq!(allocated.oldest(), Some(Nanos(cut(60_000) * 1_000_000)));
    }

    /// Of 200, 100 were counted one by one; the other hundred are the same in all windows, of which each
    /// shows a tenth. What is never known, 1.5 %, is of those only.
    #[test]
    fn what_was_counted_one_by_one_has_no_interval() {
        let mut lens = Lens { time: Nanos(200), recorded: Nanos(110), ..Lens::default() };
        let mut allocated = Allocated { all: blocks(200), ..Allocated::default() };
        assert_eq!(allocated.interval(&lens), [None, None]);
        for _ in 0..10 {
            lens.sample.add(Nanos(10), Nanos(1));
        }
        allocated.groups = vec![Blocks::default(); GROUPS];
        allocated.groups[..10].fill(blocks(10));
        let [Some(count), Some(bytes)] = allocated.interval(&lens) else { panic!("no interval") };
        assert!((count.1 - (100.0 + 100.0 / 0.985)).abs() < 0.01, "{count:?}");
        assert!((bytes.0 - 100.0 * count.0).abs() < 0.01, "{bytes:?}");
        // Of a line that was in no window it is known how many they may be, but not how large.
        let unseen = Allocated::default().interval(&lens);
        assert!(
            matches!(unseen, [Some((low, high)), None] if low == 0.0 && high > 30.0),
            "{unseen:?}"
        );
    }
}
