//! When the allocator lens looks, so that it costs no more than it may.
//!
//! A window in which every call is recorded costs what its hits cost; then nothing is looked at for as
//! long as that cost needs to become the allowed part of the time, half as long or half as long again,
//! at random, so that windows don't fall in step with the target. Pure: times and counts in, what to do
//! next out.

use std::time::{Duration, Instant};

/// Length of a window. Putting probes in and taking them out takes a millisecond each.
pub(super) const WINDOW: Duration = Duration::from_millis(8);
/// A target that was cheap to look at all the time is looked at again after this time.
const CHECK: Duration = Duration::from_millis(100);
/// The shortest time until somebody asks again.
const SOON: Duration = Duration::from_millis(2);
/// Of what is allowed, what hits in windows may take. Counting calls all the time takes up to another
/// fifth, and what nobody counts is probes that come and go, and tracing RSS beside.
const SHARE: f64 = 0.3;
/// So many of the first windows are followed by one for frees each,
const FIRST: u32 = 4;
/// and one in so many afterwards.
const TRIAL_ONE_IN: u32 = 4;

/// [`Costs::factor`] of a target that is not known yet.
pub(super) const USUAL_FACTOR: f64 = 1.3;

/// What hits cost, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Costs {
    /// Entry and return of a function that allocates, without the walk.
    pub(super) allocation: f64,
    /// A function that frees.
    pub(super) free: f64,
    /// A function whose calls are counted.
    pub(super) count: f64,
    /// How many times as much it costs in a target as in the small program in which it was measured:
    /// after each hit a large one finds less of what it needs in the processor's caches.
    pub(super) factor: f64,
}

impl Default for Costs {
    /// What was measured on the machine where this was made, for where it can't be measured.
    fn default() -> Self {
        Self { allocation: 2000.0, free: 1000.0, count: 800.0, factor: USUAL_FACTOR }
    }
}

/// Hits, and the time in walks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Hits {
    pub(super) allocations: u64,
    pub(super) frees: u64,
    pub(super) walk_ns: u64,
}

impl Hits {
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            allocations: self.allocations.saturating_sub(before.allocations),
            frees: self.frees.saturating_sub(before.frees),
            walk_ns: self.walk_ns.saturating_sub(before.walk_ns),
        }
    }

    /// What they cost.
    pub(super) fn cost(self, costs: Costs) -> Duration {
        let nanos = self.allocations as f64 * costs.allocation
            + self.frees as f64 * costs.free
            + self.walk_ns as f64;
        Duration::from_nanos((nanos * costs.factor) as u64)
    }
}

/// What a target shows of its own factor: in windows with all probes a free takes longer than in those
/// with probes on frees alone, by what the other probes cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trials {
    /// With all probes, and with those on frees: how long the target ran, in nanoseconds, and frees.
    all: (f64, f64),
    frees: (f64, f64),
    /// What the other probes cost by what was measured beforehand, in nanoseconds.
    others: f64,
    /// Windows of the second kind.
    count: u32,
}

impl Trials {
    pub(super) fn with_all(&mut self, ran: Duration, hits: Hits, costs: Costs) {
        self.all.0 += ran.as_nanos() as f64;
        self.all.1 += hits.frees as f64;
        self.others += hits.allocations as f64 * costs.allocation + hits.walk_ns as f64;
    }

    pub(super) fn with_frees(&mut self, ran: Duration, hits: Hits) {
        self.frees.0 += ran.as_nanos() as f64;
        self.frees.1 += hits.frees as f64;
        self.count += 1;
    }

    /// The factor, as far as it is known: the usual one counts as much as a quarter of a window.
    pub(super) fn factor(&self) -> f64 {
        let few = |frees: f64| frees < 200.0;
        if few(self.all.1) || few(self.frees.1) || self.others <= 0.0 {
            return USUAL_FACTOR;
        }
        let longer = self.all.0 / self.all.1 - self.frees.0 / self.frees.1;
        let seen = (longer / (self.others / self.all.1)).clamp(0.8, 3.0);
        let (known, count) = (0.25, f64::from(self.count));
        (USUAL_FACTOR * known + seen * count) / (known + count)
    }
}

/// What is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looking {
    /// Everything, for a window.
    Window,
    /// Everything, as long as it is cheap.
    Always,
    /// Only what frees, for a window in which nothing is recorded: it shows what hits cost in this
    /// target.
    Frees,
    /// Only calls of a function that shows the target's progress.
    Progress,
    /// Calls of all functions that may become that one.
    Candidates,
    /// Nothing that allocates.
    Not,
}

/// The pace of one target. Times are those that it runs: one that sleeps has nothing to be seen.
#[derive(Debug)]
pub(super) struct Pace {
    allowed: f64,
    pub(super) looking: Looking,
    /// When to ask again whether the target has run for `length`.
    pub(super) due: Instant,
    length: Duration,
    /// Whether the next window is one for frees.
    trial: bool,
    /// Whether there are such windows.
    pub(super) trials: bool,
    /// What was spent beside windows, to be made good by the next pause.
    owed: Duration,
    windows: u32,
    random: u64,
}

impl Pace {
    pub(super) fn new(allowed: f64, seed: u64, now: Instant) -> Self {
        let looking = Looking::Window;
        Self {
            allowed,
            looking,
            due: now + WINDOW,
            length: WINDOW,
            trial: false,
            trials: true,
            owed: Duration::ZERO,
            windows: 0,
            random: seed | 1,
        }
    }

    /// Whether the present state is over, the target having run so long in it. If not, it is asked
    /// again later.
    pub(super) fn is_over(&mut self, now: Instant, ran: Duration) -> bool {
        let left = self.length.saturating_sub(ran);
        // Nearly is enough for a window: a timer is not exact either.
        let enough = left.is_zero() || (self.looking != Looking::Not && left * 8 <= self.length);
        if self.looking == Looking::Always || enough {
            return true;
        }
        self.due = now + left.max(SOON);
        false
    }

    /// What comes now, and how long the target is to run in it.
    pub(super) fn enter(&mut self, looking: Looking, length: Duration, now: Instant) {
        (self.looking, self.length) = (looking, length);
        self.due = now + length;
    }

    /// Asks again so much later.
    pub(super) fn ask_again(&mut self, at: Instant) {
        self.due = at;
    }

    /// The part of its time that the target may lose.
    pub(super) fn allowed(&self) -> f64 {
        self.allowed
    }

    /// Not to look on, even if it was cheap.
    pub(super) fn pause(&mut self) {
        self.looking = Looking::Not;
    }

    /// Something was spent that the next pause is to make good.
    pub(super) fn owe(&mut self, cost: Duration) {
        self.owed += cost;
    }

    /// The present state has ended; the next one. The target ran so long in it, and `cost` is what
    /// hits took of that.
    pub(super) fn next(&mut self, now: Instant, ran: Duration, cost: Duration) -> Looking {
        (self.looking, self.length) = match self.looking {
            Looking::Not if self.trial => (Looking::Frees, WINDOW),
            Looking::Not | Looking::Progress => (Looking::Window, WINDOW),
            Looking::Window | Looking::Always | Looking::Frees | Looking::Candidates => {
                // As a part of the time that the target would have taken without.
                let own = ran.saturating_sub(cost).as_secs_f64();
                let beside = matches!(self.looking, Looking::Frees | Looking::Candidates);
                let cost = cost + std::mem::take(&mut self.owed);
                let needed = cost.as_secs_f64() / (SHARE * self.allowed);
                if needed <= own && !beside {
                    (Looking::Always, CHECK)
                } else {
                    let window = self.looking == Looking::Window;
                    self.windows += u32::from(window);
                    let due = self.windows <= FIRST || self.windows.is_multiple_of(TRIAL_ONE_IN);
                    self.trial = window && due && self.trials;
                    let pause = (needed - own).max(0.0) * self.around_one();
                    let pause = Duration::from_secs_f64(pause);
                    (Looking::Not, pause)
                }
            }
        };
        self.due = now + self.length;
        self.looking
    }

    /// From 0.5 to 1.5 (xorshift64).
    fn around_one(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        0.5 + (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target that runs 600 ns for each pair of calls, in which hits cost half as much again as was
    /// measured beforehand.
    #[test]
    fn a_target_shows_what_hits_cost_in_it() {
        let costs = Costs { allocation: 1600.0, free: 600.0, count: 500.0, factor: 1.0 };
        let mut trials = Trials::default();
        assert!((trials.factor() - USUAL_FACTOR).abs() < 1e-9);
        let hits = |allocations| Hits { allocations, frees: 10_000, walk_ns: 0 };
        for _ in 0..1000 {
            let all = 10_000 * (600 + 3 * (1600 + 600) / 2);
            trials.with_all(Duration::from_nanos(all), hits(10_000), costs);
            trials.with_frees(Duration::from_nanos(10_000 * (600 + 900)), hits(0));
        }
        assert!((trials.factor() - 1.5).abs() < 0.01, "{}", trials.factor());
    }

    /// A target whose calls cost three times its own time while it is looked at.
    #[test]
    fn a_costly_target_is_looked_at_as_long_as_is_allowed() {
        let mut now = Instant::now();
        let mut pace = Pace::new(0.05, 42, now);
        let (mut cost, mut total, begun) = (Duration::ZERO, Duration::ZERO, now);
        let mut windows = 0;
        while now.duration_since(begun) < Duration::from_secs(60) {
            let took = pace.length;
            if pace.looking != Looking::Not {
                // With probes on frees alone it is half of its time.
                cost = if pace.looking == Looking::Frees { took / 2 } else { took * 3 / 4 };
                total += cost;
                windows += 1;
            }
            now += took;
            let of_this = if pace.looking == Looking::Not { Duration::ZERO } else { cost };
            pace.next(now, took, of_this);
        }
        let own = now.duration_since(begun) - total;
        let part = total.as_secs_f64() / own.as_secs_f64();
        assert!((0.011..0.019).contains(&part), "{part}");
        assert!(windows > 100, "{windows}");
    }

    #[test]
    fn a_cheap_target_is_looked_at_all_the_time_until_it_is_not_cheap() {
        let now = Instant::now();
        let mut pace = Pace::new(0.05, 42, now);
        assert!(!pace.is_over(now, WINDOW / 2) && pace.is_over(now, WINDOW));
        let cheap = Duration::from_micros(100);
        assert_eq!(pace.next(now + WINDOW, WINDOW, cheap), Looking::Always);
        assert_eq!(pace.next(pace.due, CHECK, cheap), Looking::Always);
        assert_eq!(pace.next(pace.due, CHECK, CHECK / 2), Looking::Not);
        assert_eq!(pace.next(pace.due, CHECK, Duration::ZERO), Looking::Window);
    }
}
