//! Trials: all candidates of a target are counted for a moment, to choose one, and to see what counting
//! a call costs in this target.

use std::time::Duration;

use tracing::debug;

use super::{Yards, detach, nanos};
use crate::kernel::{CpuClock, LensMaps, Probes};
use crate::session::pace::Costs;
use crate::session::yardstick::{Choice, Known, TRIALS, choose};

/// How long a trial lasts.
pub(in crate::session::lens) const TRIAL: Duration = Duration::from_millis(3);

impl Yards {
    /// Whether all candidates are to be counted now.
    pub(in crate::session::lens) fn wants_trial(&self) -> bool {
        self.rate > 0.0 && self.trials.len() < TRIALS
    }

    pub(super) fn counts(&self, maps: &LensMaps) -> Vec<u64> {
        (0..self.candidates.len()).map(|at| maps.yard(self.first + at as u32).count).collect()
    }

    pub(in crate::session::lens) fn begin_trial(
        &mut self,
        clock: &CpuClock,
        costs: Costs,
        probes: &mut Probes,
    ) {
        let is_linked = |at: &usize| !self.links.is_empty() && self.linked.contains(at);
        let tried: Vec<usize> = (0..self.candidates.len())
            .filter(|at| !is_linked(at) && (*at == self.chosen || !self.dropped[*at]))
            .collect();
        self.trying = self.attach(&tried, probes);
        if let Some(maps) = probes.lens() {
            let now = self.moment(clock, maps);
            self.settle(now, costs);
            self.before_trial = (now, self.counts(maps));
        }
    }

    /// It ends: how long the target ran in it, and what of that the probes took.
    pub(in crate::session::lens) fn end_trial(
        &mut self,
        clock: &CpuClock,
        costs: Costs,
        allowed: f64,
        probes: &mut Probes,
    ) -> (Duration, Duration) {
        let Some(maps) = probes.lens() else { return Default::default() };
        let now = self.moment(clock, maps);
        let after = self.counts(maps);
        detach(&mut self.trying);
        let (begun, before) = std::mem::take(&mut self.before_trial);
        let ran = now.ran.saturating_sub(begun.ran);
        let own = now.calls.saturating_sub(begun.calls) as f64 / self.rate;
        self.carried += own;
        self.off = now;
        self.counting = self.counting.map(|_| now);
        let counts: Vec<u64> = after.iter().zip(&before).map(|(now, then)| now - then).collect();
        let allocations: u64 = counts
            .iter()
            .zip(&self.candidates)
            .filter(|(_, candidate)| candidate.allocates)
            .map(|(count, _)| *count)
            .sum();
        // The others' calls are what they cost longer than the chosen one's alone.
        let calls = now.calls.saturating_sub(begun.calls) as f64;
        self.beyond.0 += nanos(ran) - calls * self.a_call;
        self.beyond.1 += counts.iter().sum::<u64>() as f64 - calls;
        // What is called nearly as often as the allocator, and what is never called, is of no use.
        let second = !self.trials.is_empty();
        for (at, count) in counts.iter().enumerate() {
            let useless = *count > allocations / 2 || (second && *count == 0);
            self.dropped[at] |= useless && !self.candidates[at].allocates;
        }
        self.trials.push((allocations, counts));
        if self.trials.len() == TRIALS {
            debug!(
                "process {}: counting a call costs {:.0} ns, in the calibration {:.0} ns; {:?}",
                self.pid,
                self.cost(costs),
                costs.count,
                self.beyond
            );
            self.choose(costs, allowed);
            self.pause(clock, probes);
        }
        (ran, ran.saturating_sub(Duration::from_nanos(own as u64)))
    }

    fn choose(&mut self, costs: Costs, allowed: f64) {
        let mut trials = self.trials.clone();
        for (_, counts) in &mut trials {
            for (count, dropped) in counts.iter_mut().zip(&self.dropped) {
                *count *= u64::from(!dropped);
            }
        }
        let sum = |of: fn(&(u64, Vec<u64>), usize) -> u64| -> f64 {
            trials.iter().map(|trial| of(trial, self.chosen)).sum::<u64>() as f64
        };
        let a_call = sum(|trial, _| trial.0) / sum(|trial, chosen| trial.1[chosen]).max(1.0);
        let known = Known {
            in_window: self.in_window,
            a_second: self.rate * 1e9 * a_call,
            cost: self.cost(costs) / 1e9,
            allowed,
        };
        let Some(Choice { candidate, always, calls }) = choose(&trials, known) else { return };
        if candidate != self.chosen {
            detach(&mut self.links);
            self.rate = 0.0;
        }
        (self.chosen, self.always, self.calls) = (candidate, always, (calls as u64).max(2));
        debug!(
            "process {}: {known:?}, so progress is calls of {}: {calls:.0} in a window, always: {always}",
            self.pid,
            self.name()
        );
    }

    /// Whether it is still the right one: else looks anew, or counts it more or less.
    pub(super) fn suits(&mut self, slower: f64, allowed: f64) {
        if self.trials.len() == TRIALS && self.calls <= 2 {
            self.look_anew();
        } else if self.trials.len() == TRIALS {
            // As it was chosen, with some room so that it is not changed all the time.
            let most = allowed * 0.2;
            self.always = if self.always { slower < 1.5 * most } else { slower < 0.8 * most };
        }
    }

    /// It does not suit any more.
    pub(in crate::session::lens) fn look_anew(&mut self) {
        detach(&mut self.links);
        detach(&mut self.trying);
        self.trials.clear();
        self.beyond = (0.0, 0.0);
        self.dropped.fill(false);
        self.always = false;
        self.counting = None;
        self.rate = 0.0;
        if let Some(at) = self.candidates.iter().position(|candidate| candidate.allocates) {
            self.chosen = at;
        }
        self.calls = (self.in_window / 2.0).max(2.0) as u64;
    }
}
