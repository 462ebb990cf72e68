//! What a target's lens does next: windows, the measure of progress before them, pauses.

use std::time::{Duration, Instant};

use memtrace_common::lens::WEIGHT_ONE;
use tracing::debug;

use super::Lenses;
use super::watch::Window;
use super::yards::{Stands, TRIAL, Yards};
use crate::kernel::{KernelError, Probes};
use crate::session::pace::{Looking, WINDOW};

/// After so many windows that did not begin or end, progress is measured by CPU time.
const PATIENCE: u32 = 3;

impl Lenses {
    /// Does what is due: windows begin and end.
    pub(in crate::session) fn tend(
        &mut self,
        now: Instant,
        probes: &mut Probes,
    ) -> Result<(), KernelError> {
        let due: Vec<u32> = self
            .watched
            .iter()
            .filter(|(_, watch)| watch.begun && watch.due().is_some_and(|due| due <= now))
            .map(|(pid, _)| *pid)
            .collect();
        for pid in due {
            self.turn(pid, probes)?;
        }
        Ok(())
    }

    /// One process goes from what is done to the next, if it is time for that.
    fn turn(&mut self, pid: u32, probes: &mut Probes) -> Result<(), KernelError> {
        let costs = self.costs;
        let Some(watch) = self.watched.get_mut(&pid) else { return Ok(()) };
        let space = watch.space;
        let Some(maps) = probes.lens() else { return Ok(()) };
        let lens = maps.get(space).unwrap_or_default();
        if watch.gated {
            return self.turn_gated(pid, probes);
        }
        if !watch.is_over(lens) {
            return Ok(());
        }
        match watch.pace.as_ref().map(|pace| pace.looking) {
            Some(Looking::Not) => self.look_again(pid, probes),
            Some(Looking::Progress) => {
                let (Some(yards), Some(clock), Some(pace)) =
                    (&mut watch.yards, &watch.clock, &mut watch.pace)
                else {
                    return Ok(());
                };
                pace.owe(yards.end_counting(clock, costs, maps));
                if !yards.is_known() {
                    return self.by_time(pid, probes);
                }
                if yards.wants_trial() {
                    return self.begin_trial(pid, probes);
                }
                self.begin_gated(pid, probes)
            }
            Some(Looking::Candidates) => {
                let (Some(yards), Some(clock), Some(pace)) =
                    (&mut watch.yards, &watch.clock, &mut watch.pace)
                else {
                    return Ok(());
                };
                let (ran, cost) = yards.end_trial(clock, costs, pace.allowed(), probes);
                watch.covered.cost += cost;
                if yards.wants_trial() {
                    pace.owe(cost);
                    return self.begin_trial(pid, probes);
                }
                pace.next(Instant::now(), ran, cost);
                Ok(())
            }
            Some(Looking::Frees) => {
                let (ran, cost) = watch.end_trial(lens, costs);
                watch.detach();
                if let Some(pace) = &mut watch.pace {
                    pace.next(Instant::now(), ran, cost);
                }
                Ok(())
            }
            Some(Looking::Window | Looking::Always) | None => {
                let window = watch.end_window(lens, costs);
                self.after_window(pid, window, probes)
            }
        }
    }

    /// Nothing shows its progress but time.
    fn by_time(&mut self, pid: u32, probes: &mut Probes) -> Result<(), KernelError> {
        let Some(watch) = self.watched.get_mut(&pid) else { return Ok(()) };
        self.slots.give_back(watch.measure_by_time());
        if let Some(pace) = &mut watch.pace {
            pace.pause();
        }
        self.look_again(pid, probes)
    }

    /// A window that the target's own calls end.
    fn turn_gated(&mut self, pid: u32, probes: &mut Probes) -> Result<(), KernelError> {
        let costs = self.costs;
        let Some(watch) = self.watched.get_mut(&pid) else { return Ok(()) };
        let space = watch.space;
        let (Some(yards), Some(clock), Some(pace)) =
            (&mut watch.yards, &watch.clock, &mut watch.pace)
        else {
            watch.gated = false;
            return Ok(());
        };
        let Some(maps) = probes.lens() else { return Ok(()) };
        let (stands, left) = yards.stands(clock, space, maps)?;
        match stands {
            Stands::Open => pace.ask_again(Instant::now() + left),
            Stands::Over => {
                let window = watch.end_gated(costs, maps);
                return self.after_window(pid, window, probes);
            }
            Stands::GivenUp => {
                let lens = maps.get(space).unwrap_or_default();
                debug!("process {pid}: calls of {} don't come", yards.name());
                let began = yards.has_begun(maps);
                yards.give_up(clock, costs, space, maps);
                watch.gated = false;
                watch.given_up += 1;
                if watch.given_up > PATIENCE {
                    self.slots.give_back(watch.measure_by_time());
                }
                if began {
                    let window = watch.end_window(lens, costs);
                    return self.after_window(pid, window, probes);
                }
                // Nothing was recorded: the next window stands for this time, too.
                let (ran, cost) = watch.spent(lens, costs);
                watch.detach();
                if let Some(pace) = &mut watch.pace {
                    pace.next(Instant::now(), ran, cost);
                    pace.pause();
                }
            }
        }
        Ok(())
    }

    /// What a window has shown is taken in; then the next one begins, or a pause.
    fn after_window(
        &mut self,
        pid: u32,
        window: Window,
        probes: &mut Probes,
    ) -> Result<(), KernelError> {
        let epoch = self.epoch;
        let Some(watch) = self.watched.get_mut(&pid) else { return Ok(()) };
        let space = watch.space;
        let next =
            watch.pace.as_mut().map(|pace| pace.next(Instant::now(), window.ran, window.cost));
        debug!("process {pid}: {window:?}, then {next:?}");
        watch.window_cost = window.cost;
        let stops = next == Some(Looking::Not);
        let Some(maps) = probes.lens() else { return Ok(()) };
        if stops {
            maps.set(space, 0, epoch)?;
            watch.detach();
        } else if watch.gated {
            // It goes on, without an end.
            maps.set(space, WEIGHT_ONE, epoch)?;
        }
        watch.gated = false;
        let sums = maps.sums()?;
        self.collect(space, &sums, window.scale);
        let Some(watch) = self.watched.get_mut(&pid) else { return Ok(()) };
        watch.to_tell = stops;
        if !stops {
            if let Some(yards) = &mut watch.yards {
                yards.rest();
            }
            return Ok(());
        }
        self.begin_pause(pid, window, probes);
        // Their end would not be seen.
        self.gone.insert(space);
        Ok(())
    }

    fn begin_pause(&mut self, pid: u32, window: Window, probes: &mut Probes) {
        let Some(watch) = self.watched.get_mut(&pid) else { return };
        let counts = probes.lens().is_some_and(|maps| maps.counts_calls());
        if watch.yards.is_none() && counts && watch.clock.is_some() && !watch.by_time {
            let candidates = watch.candidates();
            if let Some(first) = self.slots.take() {
                watch.yards = Yards::new(pid, first, candidates, window.allocations);
                if watch.yards.is_none() {
                    self.slots.give_back(Some(first));
                }
            }
        }
        if let (Some(yards), Some(clock), Some(pace)) =
            (&mut watch.yards, &watch.clock, &mut watch.pace)
        {
            pace.trials = false;
            yards.pause(clock, probes);
        }
    }

    /// A pause is over.
    fn look_again(&mut self, pid: u32, probes: &mut Probes) -> Result<(), KernelError> {
        let costs = self.costs;
        let Some(watch) = self.watched.get_mut(&pid) else { return Ok(()) };
        let space = watch.space;
        let Some(pace) = &mut watch.pace else { return Ok(()) };
        let lens = probes.lens().and_then(|maps| maps.get(space)).unwrap_or_default();
        if let (Some(yards), Some(clock)) = (&mut watch.yards, &watch.clock) {
            let length = yards.begin_counting(clock, watch.window_cost, costs, probes);
            let Some(length) = length else {
                if let Some(maps) = probes.lens() {
                    yards.end_counting(clock, costs, maps);
                }
                return self.begin_gated(pid, probes);
            };
            pace.enter(Looking::Progress, length, Instant::now());
            watch.begin_trial(lens);
            return Ok(());
        }
        if pace.next(Instant::now(), Duration::ZERO, Duration::ZERO) == Looking::Frees {
            watch.attach_frees(pid, probes);
            watch.begin_trial(lens);
            return Ok(());
        }
        if self.gone.contains(&space) {
            self.forget_gone(probes);
        }
        self.epoch += 1;
        let Some(watch) = self.watched.get_mut(&pid) else { return Ok(()) };
        watch.attach_all(pid, probes);
        let Some(maps) = probes.lens() else { return Ok(()) };
        maps.set(space, WEIGHT_ONE, self.epoch)?;
        watch.begin_window(maps.get(space).unwrap_or_default());
        Ok(())
    }

    /// All functions that may show its progress are counted.
    fn begin_trial(&mut self, pid: u32, probes: &mut Probes) -> Result<(), KernelError> {
        let costs = self.costs;
        let Some(watch) = self.watched.get_mut(&pid) else { return Ok(()) };
        let (Some(yards), Some(clock), Some(pace)) =
            (&mut watch.yards, &watch.clock, &mut watch.pace)
        else {
            return Ok(());
        };
        yards.begin_trial(clock, costs, probes);
        pace.enter(Looking::Candidates, TRIAL, Instant::now());
        let lens = probes.lens().and_then(|maps| maps.get(watch.space)).unwrap_or_default();
        watch.begin_trial(lens);
        Ok(())
    }

    /// A window that begins with the next call of the function that is counted.
    fn begin_gated(&mut self, pid: u32, probes: &mut Probes) -> Result<(), KernelError> {
        let Some(space) = self.watched.get(&pid).map(|watch| watch.space) else { return Ok(()) };
        if self.gone.contains(&space) {
            self.forget_gone(probes);
        }
        self.epoch += 1;
        let Some(watch) = self.watched.get_mut(&pid) else { return Ok(()) };
        let Some(maps) = probes.lens() else { return Ok(()) };
        maps.set(space, 0, self.epoch)?;
        let lens = maps.get(space).unwrap_or_default();
        if let Some(pace) = &mut watch.pace {
            pace.enter(Looking::Window, WINDOW, Instant::now());
        }
        watch.begin_window(lens);
        watch.attach_all(pid, probes);
        let (Some(yards), Some(clock), Some(maps)) =
            (&mut watch.yards, &watch.clock, probes.lens())
        else {
            return Ok(());
        };
        yards.begin_window(self.epoch, space, clock, maps)?;
        watch.gated = true;
        Ok(())
    }
}
