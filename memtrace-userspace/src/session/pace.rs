//! When the allocator lens looks, so that it costs no more than it may.
//!
//! A window in which every call is recorded costs what its hits cost; then nothing is looked at for as
//! long as that cost needs to become the allowed part of the time, half as long or half as long again,
//! at random, so that windows don't fall in step with the target. Pure: times and counts in, what to do
//! next out.

use std::time::{Duration, Instant};

/// Length of a window. Putting probes in takes less than a tenth of it.
const WINDOW: Duration = Duration::from_millis(10);
/// A target that was cheap to look at all the time is looked at again after this time.
const CHECK: Duration = Duration::from_millis(100);
/// The shortest time until somebody asks again.
const SOON: Duration = Duration::from_millis(2);
/// Of what is allowed, what is used: probes also cost when they come and go.
const SHARE: f64 = 0.8;

/// What hits cost, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Costs {
    /// Entry and return of a function that allocates, without the walk.
    pub(super) allocation: f64,
    /// A function that frees.
    pub(super) free: f64,
}

impl Default for Costs {
    /// What was measured on the machine where this was made, for where it can't be measured.
    fn default() -> Self {
        Self { allocation: 2000.0, free: 1000.0 }
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
        Duration::from_nanos(nanos as u64)
    }
}

/// What is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looking {
    /// Everything, for a window.
    Window,
    /// Everything, as long as it is cheap.
    Always,
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
    random: u64,
}

impl Pace {
    pub(super) fn new(allowed: f64, seed: u64, now: Instant) -> Self {
        let looking = Looking::Window;
        Self { allowed, looking, due: now + WINDOW, length: WINDOW, random: seed | 1 }
    }

    /// Whether the present state is over, the target having run so long in it. If not, it is asked
    /// again later.
    pub(super) fn is_over(&mut self, now: Instant, ran: Duration) -> bool {
        let left = self.length.saturating_sub(ran);
        // Nearly is enough: a timer is not exact either.
        if self.looking == Looking::Always || left * 8 <= self.length {
            return true;
        }
        self.due = now + left.max(SOON);
        false
    }

    /// The present state has ended; the next one. The target ran so long in it, and `cost` is what
    /// hits took of that.
    pub(super) fn next(&mut self, now: Instant, ran: Duration, cost: Duration) -> Looking {
        (self.looking, self.length) = match self.looking {
            Looking::Not => (Looking::Window, WINDOW),
            Looking::Window | Looking::Always => {
                // As a part of the time that the target would have taken without.
                let own = ran.saturating_sub(cost).as_secs_f64();
                let needed = cost.as_secs_f64() / (SHARE * self.allowed);
                if needed <= own {
                    (Looking::Always, CHECK)
                } else {
                    let pause = Duration::from_secs_f64((needed - own) * self.around_one());
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
                cost = took * 3 / 4;
                total += cost;
                windows += 1;
            }
            now += took;
            let of_this = if pace.looking == Looking::Not { Duration::ZERO } else { cost };
            pace.next(now, took, of_this);
        }
        let own = now.duration_since(begun) - total;
        let part = total.as_secs_f64() / own.as_secs_f64();
        assert!((0.035..0.05).contains(&part), "{part}");
        assert!(windows > 200, "{windows}");
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
