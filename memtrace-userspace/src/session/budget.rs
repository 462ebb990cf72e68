//! How many of a target's stacks are walked, so that tracing it costs no more than a part of its time.
//!
//! What may be spent grows with the time that the target runs, and what is not spent is kept for up to
//! ten seconds of it: growth that is short is walked whole. Pure: what was counted in, what to do out.

use std::time::Duration;

use memtrace_common::limits::MAX_THIN;

/// What is not spent in so much of the target's time may be spent later, or was spent too early.
const SAVED: f64 = 10e9;
/// Were all of it saved, it would be spent over so much of its time; the less there is, the slower, so
/// that little changes once the budget is used up. Until the next look not more than there is can be spent.
const SPENT_OVER: f64 = 0.2e9;
/// While so much of all that may be saved is left, every stack is walked: a program that starts has new code at each
/// event, whose names cost twenty times as much as the walk, and only once.
const PLENTY: f64 = 0.5;
/// The target must have run for so long before anything is decided.
const LEAST: f64 = 20e6;
/// By how much what was measured last counts.
const NEW: f64 = 0.5;
/// Few enough stacks are walked to see what an event costs without.
const FEW: u32 = 3;

/// What an event costs, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct EventCost {
    /// What the probes' own clock doesn't see of it: entering programs, and caches that are cold
    /// afterwards.
    pub(super) outside: f64,
    /// All of one whose stack is not walked.
    pub(super) not_walked: f64,
}

impl Default for EventCost {
    /// What was measured on the machine where this was made, for where it can't be measured.
    fn default() -> Self {
        Self { outside: 300.0, not_walked: 450.0 }
    }
}

/// What was counted of a target until now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Seen {
    /// How long it has run on CPUs.
    pub(super) ran: Duration,
    /// Its events.
    pub(super) events: u64,
    /// As the probes' own clock has them, in nanoseconds.
    pub(super) probe_ns: u64,
}

/// The budget of one target.
#[derive(Debug)]
pub(super) struct Budget {
    allowed: f64,
    cost: EventCost,
    /// All of an event whose stack is walked, as far as that was seen.
    walked: f64,
    /// Nanoseconds that may be spent now; below zero, that were spent too early.
    saved: f64,
    /// Events in a nanosecond of the target's own time.
    rate: f64,
    pub(super) thin: u32,
    before: Seen,
    /// What was spent in all, and the target's own time.
    spent: f64,
    own: f64,
    /// Whether it was thinned at any time.
    pub(super) was_thinned: bool,
    /// Whether what may be spent is not enough for its events alone.
    pub(super) is_over: bool,
}

impl Budget {
    /// A budget of a target that was just met.
    pub(super) fn new(allowed: f64, cost: EventCost, now: Seen) -> Self {
        Self {
            allowed,
            cost,
            walked: 2.0 * cost.not_walked,
            saved: allowed * SAVED,
            rate: 0.0,
            thin: 0,
            before: now,
            spent: 0.0,
            own: 0.0,
            was_thinned: false,
            is_over: false,
        }
    }

    /// What was spent, as a part of the target's own time.
    pub(super) fn part(&self) -> f64 {
        if self.own > 0.0 { self.spent / self.own } else { 0.0 }
    }

    /// The part that is allowed.
    pub(super) fn allowed(&self) -> f64 {
        self.allowed
    }

    /// Takes in what was counted until now; returns how stacks are to be thinned from now on.
    pub(super) fn step(&mut self, now: Seen) -> u32 {
        let ran = now.ran.saturating_sub(self.before.ran).as_nanos() as f64;
        if ran < LEAST {
            return self.thin;
        }
        let events = now.events.saturating_sub(self.before.events) as f64;
        let inside = now.probe_ns.saturating_sub(self.before.probe_ns) as f64;
        self.before = now;
        let spent = inside + events * self.cost.outside;
        // What is known of costs may be wrong: a target runs a little whatever they seem to be.
        let own = (ran - spent).max(ran / 10.0);
        self.spent += spent;
        self.own += own;
        let most = self.allowed * SAVED;
        self.saved = (self.saved + self.allowed * own - spent).clamp(-most, most);
        self.rate += NEW * (events / own - self.rate);
        if events > 0.0 {
            self.learn(spent / events);
        }
        self.thin = self.wanted();
        self.was_thinned |= self.thin > 0;
        self.is_over |= self.thin == MAX_THIN && self.saved <= -0.9 * most;
        self.thin
    }

    /// What an event cost on average.
    fn learn(&mut self, cost: f64) {
        let part = 0.5_f64.powi(self.thin.cast_signed());
        if self.thin == 0 {
            self.walked += NEW * (cost - self.walked);
        } else if self.thin >= FEW {
            let rest = (cost - part * self.walked) / (1.0 - part);
            self.cost.not_walked += NEW * (rest.max(0.0) - self.cost.not_walked);
        }
        self.walked = self.walked.max(self.cost.not_walked);
    }

    /// How many are to be walked, by what events cost and how many there are.
    fn wanted(&self) -> u32 {
        // Of a nanosecond of the target's own.
        let part_saved = self.saved / (self.allowed * SAVED);
        if part_saved >= PLENTY {
            return 0;
        }
        let may = self.allowed + self.saved * part_saved.abs() / SPENT_OVER;
        (0..MAX_THIN)
            .find(|thin| {
                let part = 0.5_f64.powi(thin.cast_signed());
                let walk = self.walked - self.cost.not_walked;
                self.rate * (self.cost.not_walked + part * walk) <= may
            })
            .unwrap_or(MAX_THIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: EventCost = EventCost { outside: 200.0, not_walked: 300.0 };

    /// A target with so many events in a second of its own time, of which a walked one costs 700 ns, 500
    /// of them inside, and another one 300. Returns, second by second, how it was thinned at its end and
    /// what part was spent.
    fn course(budget: &mut Budget, seen: &mut Seen, rate: f64, seconds: usize) -> Vec<(u32, f64)> {
        let mut course = Vec::new();
        for _ in 0..seconds {
            let mut spent = 0.0;
            for _ in 0..4 {
                let events = rate / 4.0;
                let walked = events * 0.5_f64.powi(budget.thin.cast_signed());
                let inside = 100.0 * events + 400.0 * walked;
                let cost = inside + 200.0 * events;
                spent += cost;
                seen.ran += Duration::from_nanos(250_000_000 + cost as u64);
                seen.events += events as u64;
                seen.probe_ns += inside as u64;
                budget.step(*seen);
            }
            course.push((budget.thin, spent / 1e9));
        }
        course
    }

    #[test]
    fn short_growth_is_walked_whole_and_long_growth_keeps_to_the_budget() {
        let (mut budget, mut seen) = (Budget::new(0.02, COST, Seen::default()), Seen::default());
        // 50,000 events cost 3.5 %, and 1.5 % without walks.
        let course = course(&mut budget, &mut seen, 50_000.0, 60);
        assert!(course[..5].iter().all(|(thin, _)| *thin == 0), "{course:?}");
        let late: f64 = course[30..].iter().map(|(_, part)| part).sum::<f64>() / 30.0;
        assert!((0.018..0.0205).contains(&late), "{late}: {course:?}");
        assert!(budget.was_thinned && !budget.is_over);
        // All of it: what was saved at the beginning, and no more.
        let most = 0.02 * 60.0 + 0.02 * 10.0;
        let all: f64 = course.iter().map(|(_, part)| part).sum();
        assert!(all <= most * 1.01, "{all} of {most}");
    }

    #[test]
    fn a_storm_is_thinned_within_a_second_and_whole_again_after_it() {
        let (mut budget, mut seen) = (Budget::new(0.02, COST, Seen::default()), Seen::default());
        // 21 %, and 9 % without walks: more than is allowed whatever is done.
        let storm = course(&mut budget, &mut seen, 300_000.0, 20);
        assert!(storm[1].0 >= 2, "{storm:?}");
        assert_eq!(storm[19].0, MAX_THIN);
        assert!(budget.is_over && budget.part() > 0.09);
        let calm = course(&mut budget, &mut seen, 1000.0, 30);
        assert_eq!(calm[29].0, 0, "{calm:?}");
    }

    /// As seen of CPython 3.11 with six starts at once.
    #[test]
    fn a_start_whose_events_bring_new_code_is_walked_whole() {
        let (mut budget, mut seen) = (Budget::new(0.02, COST, Seen::default()), Seen::default());
        for (ran, events, probe_ns) in [(53, 1419, 31_116_832), (94, 7083, 39_236_298)] {
            (seen.ran, seen.events, seen.probe_ns) = (Duration::from_millis(ran), events, probe_ns);
            assert_eq!(budget.step(seen), 0);
        }
    }

    #[test]
    fn a_target_within_the_budget_is_walked_whole() {
        let (mut budget, mut seen) = (Budget::new(0.02, COST, Seen::default()), Seen::default());
        let course = course(&mut budget, &mut seen, 25_000.0, 60);
        assert!(course.iter().all(|(thin, _)| *thin == 0) && !budget.was_thinned);
    }

    #[test]
    fn a_target_that_sleeps_changes_nothing() {
        let mut budget = Budget::new(0.02, COST, Seen::default());
        let now = Seen { ran: Duration::from_millis(1), events: 10_000, probe_ns: 5_000_000 };
        assert_eq!(budget.step(now), 0);
        assert_eq!(budget.before, Seen::default());
    }
}
