//! The measure of one target's progress: calls of one of its functions, counted.
//!
//! A window of recording begins and ends with such a call. What was recorded in it stands for as much
//! more as there were calls since the window before. Where a function is called too often to count it all the time,
//! it is counted for a while before each window, and how often it is called by time stands for the rest.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use memtrace_common::lens::{Order, Yard};
use memtrace_common::limits::YARDS;
use tracing::debug;

use crate::allocator::Yardstick;
use crate::kernel::{COUNTS, CpuClock, KernelError, LensMaps, Probes, ProcessProbe};
use crate::session::pace::{Costs, USUAL_FACTOR, WINDOW};
use crate::session::yardstick::next_calls;

/// How long one is counted before a window, at least and at most.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(100);
/// Of what a window costs, what that may.
const SHARE: f64 = 0.25;
/// So much more is counting a call taken to cost when calls come seldom than in trials, where all
/// candidates are counted: the kernel's code is no longer in the processor's caches. A target with few
/// calls showed 907 ns in its trials, others 520 to 630.
const SELDOM: f64 = 1.3;
/// Where calls are not counted all the time, the estimate may be wrong for other reasons than the cost of
/// counting, too: as much as if it had slowed the target by this.
const BESIDE: f64 = 0.1;
/// A window that lasts so many times as long as it should ends with the next call,
const LATE: u32 = 4;
/// and one that still lasts after so many times is given up.
const TOO_LATE: u32 = 6;
/// A window waits for a call with a certain number, for up to so great a part of its own length.
const WAIT: u64 = 4;
/// Fewer calls say too little,
const FEW: u64 = 8;
/// and fewer of these what one costs.
const ENOUGH: f64 = 1000.0;
/// The beginning of a window is read again when the target ran on for so long meanwhile: this thread
/// was not running.
const TOGETHER: Duration = Duration::from_micros(30);
const TRIES: usize = 8;

mod measured;
mod trials;

pub(super) use measured::Measured;
pub(super) use trials::TRIAL;

/// A candidate.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) yardstick: Yardstick,
    /// Whether it is a function that allocates.
    pub(super) allocates: bool,
}

/// A moment of a target: how long it has run, and how often the function was called.
#[derive(Debug, Clone, Copy, Default)]
struct Moment {
    ran: Duration,
    calls: u64,
}

/// Where a window stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    Open,
    /// It has ended, or is to end though it could not.
    Over,
    GivenUp,
}

/// The candidates of a target, and the one that was chosen.
pub(super) struct Yards {
    pid: u32,
    /// Its slot among those of the kernel side.
    first: u32,
    candidates: Vec<Candidate>,
    /// Those that need not be tried again.
    dropped: Vec<bool>,
    /// By trial: calls of the allocator, and of each candidate.
    trials: Vec<(u64, Vec<u64>)>,
    before_trial: (Moment, Vec<u64>),
    /// In trials: time beyond that which the chosen one's calls took, and calls of others.
    beyond: (f64, f64),
    /// How long a call of the chosen one took while it was counted alone, all in all.
    a_call: f64,
    chosen: usize,
    always: bool,
    links: Vec<ProcessProbe>,
    /// Whose probes those are.
    linked: Vec<usize>,
    trying: Vec<ProcessProbe>,
    /// Calls of the next window.
    calls: u64,
    ticket: i64,
    random: RandomState,
    /// The target's own time since the window before that is accounted for, in nanoseconds.
    carried: f64,
    /// Since when it is not,
    off: Moment,
    /// since when calls are counted,
    counting: Option<Moment>,
    /// and when the window's probes came.
    full: Moment,
    /// How long it had run when the window was asked for: its probes may have come some time before.
    asked: Duration,
    /// The target's own time that windows stood for until now.
    told: f64,
    /// Calls in a nanosecond of the target's own time.
    rate: f64,
    /// Calls of the allocator in a window.
    in_window: f64,
}

impl Yards {
    /// Begins with the first candidate that allocates; `allocations` were in the last window.
    pub(super) fn new(
        pid: u32,
        first: u32,
        mut candidates: Vec<Candidate>,
        allocations: u64,
    ) -> Option<Self> {
        candidates.truncate(YARDS as usize);
        let chosen = candidates.iter().position(|candidate| candidate.allocates)?;
        Some(Self {
            pid,
            first,
            dropped: vec![false; candidates.len()],
            candidates,
            trials: Vec::new(),
            before_trial: (Moment::default(), Vec::new()),
            beyond: (0.0, 0.0),
            a_call: 0.0,
            chosen,
            always: false,
            links: Vec::new(),
            linked: Vec::new(),
            trying: Vec::new(),
            calls: (allocations / 2).max(2),
            ticket: 0,
            random: RandomState::new(),
            carried: 0.0,
            off: Moment::default(),
            counting: None,
            full: Moment::default(),
            asked: Duration::ZERO,
            told: 0.0,
            rate: 0.0,
            in_window: allocations as f64,
        })
    }

    pub(super) fn slot(&self) -> u32 {
        self.first
    }

    fn chosen_slot(&self) -> u32 {
        self.first + self.chosen as u32
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.candidates[self.chosen].yardstick.name
    }

    fn moment(&self, clock: &CpuClock, maps: &LensMaps) -> Moment {
        let mut moment = Moment { ran: clock.read(), calls: 0 };
        for _ in 0..TRIES {
            moment.calls = maps.yard(self.chosen_slot()).count;
            let after = clock.read();
            if after.saturating_sub(moment.ran) < TOGETHER {
                break;
            }
            moment.ran = after;
        }
        moment
    }

    fn attach(&self, which: &[usize], probes: &mut Probes) -> Vec<ProcessProbe> {
        let mut links = Vec::new();
        let mut left: Vec<usize> = which.to_vec();
        while let Some(first) = left.first() {
            let path = self.candidates[*first].yardstick.point.path.clone();
            let same = |at: &usize| self.candidates[*at].yardstick.point.path == path;
            let (together, others): (Vec<usize>, Vec<usize>) = left.into_iter().partition(same);
            let places: Vec<(u64, u64)> = together
                .iter()
                .map(|at| {
                    let offset = self.candidates[*at].yardstick.point.file_offset;
                    (offset, u64::from(self.first) + *at as u64)
                })
                .collect();
            match probes.attach_lens(COUNTS, self.pid, &path, &places) {
                Ok(more) => links.extend(more),
                Err(error) => debug!("process {}, {}: {error}", self.pid, path.display()),
            }
            left = others;
        }
        links
    }

    /// A pause begins.
    pub(super) fn pause(&mut self, clock: &CpuClock, probes: &mut Probes) {
        if self.rate > 0.0
            && !self.links.is_empty()
            && let Some(maps) = probes.lens()
        {
            let calls = self.moment(clock, maps).calls.saturating_sub(self.off.calls);
            self.carried += calls as f64 / self.rate;
        }
        if self.always && self.links.is_empty() {
            self.linked = vec![self.chosen];
            self.links = self.attach(&self.linked, probes);
        } else if !self.always {
            detach(&mut self.links);
        }
        let Some(maps) = probes.lens() else { return };
        self.off = self.moment(clock, maps);
        self.counting = self.always.then_some(self.off);
    }

    /// What counting a call costs in this target, in nanoseconds.
    fn cost(&self, costs: Costs) -> f64 {
        let (time, calls) = self.beyond;
        if calls < ENOUGH {
            return costs.count * USUAL_FACTOR;
        }
        (SELDOM * time / calls).clamp(costs.count * 0.7, costs.count * 3.0)
    }

    /// The target's own time between two moments at which calls were counted, in nanoseconds.
    fn own(&self, from: Moment, to: Moment, costs: Costs) -> f64 {
        let ran = to.ran.saturating_sub(from.ran).as_nanos() as f64;
        let calls = to.calls.saturating_sub(from.calls) as f64;
        (ran - calls * self.cost(costs)).max(ran / 20.0)
    }

    /// Accounts for the time until now.
    fn settle(&mut self, now: Moment, costs: Costs) {
        self.carried += match self.counting {
            Some(counting) => {
                nanos(counting.ran.saturating_sub(self.off.ran)) + self.own(counting, now, costs)
            }
            None => nanos(now.ran.saturating_sub(self.off.ran)),
        };
        self.off = now;
        self.counting = self.counting.map(|_| now);
    }

    /// How long calls are to be counted before a window that costs as much as the one before; `None`
    /// when they are counted already.
    pub(super) fn begin_counting(
        &mut self,
        clock: &CpuClock,
        window_cost: Duration,
        costs: Costs,
        probes: &mut Probes,
    ) -> Option<Duration> {
        if self.counting.is_some() {
            return None;
        }
        // The first time it turns out which of the allocator's functions the target calls most.
        self.linked = if self.trials.is_empty() {
            (0..self.candidates.len()).filter(|at| self.candidates[*at].allocates).collect()
        } else {
            vec![self.chosen]
        };
        self.links = self.attach(&self.linked, probes);
        let maps = probes.lens()?;
        self.before_trial.1 = self.counts(maps);
        self.counting = Some(self.moment(clock, maps));
        let slower = self.rate * self.cost(costs);
        let length = SHARE * window_cost.as_secs_f64() * (1.0 + slower) / slower.max(1e-3);
        Some(if self.rate == 0.0 {
            WINDOW
        } else {
            Duration::from_secs_f64(length).clamp(SHORTEST, LONGEST)
        })
    }

    /// A window is about to begin, with probes yet to come. Returns what counting before it has cost.
    pub(super) fn end_counting(
        &mut self,
        clock: &CpuClock,
        costs: Costs,
        maps: &LensMaps,
    ) -> Duration {
        if self.trials.is_empty() {
            let after = self.counts(maps);
            let calls = |at: &usize| after[*at].saturating_sub(self.before_trial.1[*at]);
            if let Some(most) = self.linked.iter().copied().max_by_key(calls) {
                self.chosen = most;
            }
            let before = self.before_trial.1.get(self.chosen).copied().unwrap_or_default();
            self.counting = self.counting.map(|from| Moment { calls: before, ..from });
        }
        self.full = self.moment(clock, maps);
        let Some(from) = self.counting else { return Duration::ZERO };
        let calls = self.full.calls.saturating_sub(from.calls);
        if calls >= FEW {
            self.rate = calls as f64 / self.own(from, self.full, costs);
            self.a_call = nanos(self.full.ran.saturating_sub(from.ran)) / calls as f64;
        }
        Duration::from_nanos((calls as f64 * self.cost(costs)) as u64)
    }

    /// The window is to begin with the next call.
    pub(super) fn begin_window(
        &mut self,
        ticket: u64,
        space: u32,
        clock: &CpuClock,
        maps: &mut LensMaps,
    ) -> Result<(), KernelError> {
        self.ticket = ticket.cast_signed();
        self.asked = clock.read();
        self.order(self.calls, space, maps)
    }

    fn order(&self, calls: u64, space: u32, maps: &mut LensMaps) -> Result<(), KernelError> {
        let order = Order {
            ticket: self.ticket,
            calls,
            space,
            multiple: u32::try_from(self.calls / WAIT).unwrap_or(u32::MAX).max(1),
            shift: self.random.hash_one(self.ticket),
        };
        maps.order(self.chosen_slot(), order)
    }

    /// Its window, once it has begun.
    fn window(&self, maps: &LensMaps) -> Option<Yard> {
        Some(maps.yard(self.chosen_slot())).filter(|yard| yard.ticket == self.ticket)
    }

    /// Whether it has begun.
    pub(super) fn has_begun(&self, maps: &LensMaps) -> bool {
        self.window(maps).is_some()
    }

    /// Whether less than half of it is over.
    pub(super) fn has_hardly_begun(&self, maps: &LensMaps) -> bool {
        let done = self.window(maps).map_or(0, |window| window.count.saturating_sub(window.opened));
        done * 2 < self.calls
    }

    /// Where the window stands, and how much longer it will last, about.
    pub(super) fn stands(
        &mut self,
        clock: &CpuClock,
        space: u32,
        maps: &mut LensMaps,
    ) -> Result<(Stands, Duration), KernelError> {
        let window = self.window(maps);
        let ran = clock.read().saturating_sub(self.asked);
        let stands = if window.is_some_and(|window| window.closed != 0) {
            Stands::Over
        } else if ran > WINDOW * (if window.is_some() { TOO_LATE } else { 2 }) {
            Stands::GivenUp
        } else {
            Stands::Open
        };
        if stands == Stands::Open && window.is_some() && ran > WINDOW * LATE {
            self.order(1, space, maps)?;
        }
        let done = window.map_or(0, |window| window.count.saturating_sub(window.opened)) as f64;
        let left = match done / self.calls as f64 {
            part if part > 0.05 => ran.as_secs_f64() * (1.0 / part - 1.0),
            _ => WINDOW.as_secs_f64() / 4.0,
        };
        Ok((stands, Duration::from_secs_f64(left.clamp(5e-4, 5e-3))))
    }

    /// The window has ended, or ends now. `None` when too few calls say how much work it was.
    pub(super) fn end_window(
        &mut self,
        clock: &CpuClock,
        costs: Costs,
        allocations: u64,
        allowed: f64,
        space: u32,
        maps: &mut LensMaps,
    ) -> Option<Measured> {
        let now = self.moment(clock, maps);
        let window = self.window(maps);
        self.order(0, space, maps).ok()?;
        let counting = self.counting.take();
        let (carried, off) =
            (std::mem::take(&mut self.carried), std::mem::replace(&mut self.off, now));
        let (window, counting) = (window?, counting?);
        let counted = self.full.calls.saturating_sub(counting.calls);
        let closed = if window.closed == 0 { now.calls } else { window.closed };
        let calls = closed.saturating_sub(window.opened);
        let own = self.own(counting, self.full, costs);
        if counted < FEW || calls < 2 || own <= 0.0 {
            return None;
        }
        self.rate = counted as f64 / own;
        let by_time = self.rate * (carried + nanos(counting.ran.saturating_sub(off.ran)));
        let all = by_time + closed.saturating_sub(counting.calls) as f64;
        let of = |calls: f64| Duration::from_nanos((calls / self.rate) as u64);
        self.carried = now.calls.saturating_sub(closed) as f64 / self.rate;
        self.told += all / self.rate;
        let ran = now.ran.saturating_sub(self.full.ran);
        let in_full = now.calls.saturating_sub(self.full.calls) as f64;
        let slower = counted as f64 * self.cost(costs) / own;
        let measured = Measured {
            scale: all / calls as f64,
            time: of(all),
            recorded: of(calls as f64),
            slowed: of((slower + BESIDE) * by_time),
            ran,
            cost: ran.saturating_sub(of(in_full)),
            calls: now.calls.saturating_sub(counting.calls),
            counting: Duration::from_nanos((counted as f64 * self.cost(costs)) as u64),
        };
        let ran_one = ran.as_secs_f64().max(1e-6);
        self.in_window = allocations as f64 * WINDOW.as_secs_f64() / ran_one;
        if window.closed != 0 {
            // Not what it lasted beyond its end, until that was seen.
            let part = calls as f64 / in_full.max(calls as f64);
            self.calls = next_calls(self.calls, ran.mul_f64(part), WINDOW);
        }
        self.suits(slower, allowed);
        Some(measured)
    }

    /// The window came to nothing; the time until now counts for the next.
    pub(super) fn give_up(
        &mut self,
        clock: &CpuClock,
        costs: Costs,
        space: u32,
        maps: &mut LensMaps,
    ) {
        let _ = self.order(0, space, maps);
        let now = self.moment(clock, maps);
        self.settle(now, costs);
        self.look_anew();
    }

    /// Whether the last counting showed how often calls come.
    pub(super) fn is_known(&self) -> bool {
        self.rate > 0.0
    }

    /// Tracing ends: what came after the last window, as a part of all that windows stood for. `None` where that
    /// is told by time.
    pub(super) fn rest_of_all(&self, clock: &CpuClock, maps: &LensMaps) -> Option<f64> {
        if !self.always || self.rate <= 0.0 || self.told <= 0.0 {
            return None;
        }
        let counting = self.counting?;
        let calls = self.moment(clock, maps).calls.saturating_sub(counting.calls) as f64;
        let before = self.carried + nanos(counting.ran.saturating_sub(self.off.ran));
        Some((calls / self.rate + before) / self.told)
    }

    /// Nothing is to be counted for now, and what was is forgotten.
    pub(super) fn rest(&mut self) {
        detach(&mut self.links);
        self.counting = None;
        self.carried = 0.0;
    }

    pub(super) fn into_links(self) -> impl Iterator<Item = ProcessProbe> {
        self.links.into_iter().chain(self.trying)
    }

    pub(super) fn detach(&mut self) {
        detach(&mut self.links);
        detach(&mut self.trying);
    }
}

fn detach(links: &mut Vec<ProcessProbe>) {
    for link in links.drain(..) {
        link.close_in_background();
    }
}

fn nanos(time: Duration) -> f64 {
    time.as_nanos() as f64
}
