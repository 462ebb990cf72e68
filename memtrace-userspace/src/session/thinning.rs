//! Stack walks within a budget: what an event costs on this machine, and what that means for each target.

use std::io::Error;
use std::time::Duration;

use memtrace_common::layout::PyLayout;
use tracing::{debug, warn};

use super::budget::{Budget, EventCost, Seen};
use super::calibration::{Calibration, Work};
use super::target::Target;
use super::targets::Targets;
use crate::kernel::{KernelError, Probes};

/// How many times as much an event costs in a target as in the small program in which it was measured:
/// afterwards a large one finds less of what it needs in the processor's caches.
const FACTOR: f64 = 1.3;

/// What an event costs is being measured. It begins before the probes are there, since they cost a page
/// fault of any process something.
pub(super) struct Measuring {
    allowed: f64,
    begun: Result<(Calibration, f64), Error>,
}

impl Measuring {
    pub(super) fn start(allowed: f64) -> Self {
        let begun = Calibration::start().and_then(|mut child| {
            let without = child.round(Work::Pages)?;
            Ok((child, without))
        });
        Self { allowed, begun }
    }

    /// The probes are there.
    pub(super) fn finish(self, probes: &mut Probes) -> Thinning {
        let measured = self.begun.and_then(|(child, without)| measure(child, without, probes));
        let cost = measured.unwrap_or_else(|error| {
            warn!("what an event costs can't be measured ({error}); a usual figure is taken");
            EventCost::default()
        });
        debug!("an event costs {cost:?}");
        Thinning { allowed: self.allowed, cost }
    }
}

fn measure(mut child: Calibration, without: f64, probes: &mut Probes) -> Result<EventCost, Error> {
    let pid = child.pid();
    let begun = probes.begin(pid, &PyLayout::NONE, false).map_err(Error::other)?;
    let begun = begun.ok_or_else(|| Error::other("it is gone"))?;
    let with = child.round(Work::Pages);
    probes.close(&[pid]).map_err(Error::other)?;
    let tally = probes.space(begun.mm, begun.space).map(|space| space.tally);
    probes.forget(begun.mm, begun.space);
    let tally = tally.filter(|tally| tally.events > 0);
    let tally = tally.ok_or_else(|| Error::other("it had no events"))?;
    // No Python: its stack is no frames long.
    let inside = tally.probe_ns as f64 / tally.events as f64;
    let outside = (with? - without - inside).max(50.0) * FACTOR;
    Ok(EventCost { outside, not_walked: inside + outside })
}

/// Budgets for all targets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thinning {
    allowed: f64,
    cost: EventCost,
}

impl Thinning {
    /// The budget of a process that was just met.
    pub(super) fn budget(&self, pid: u32) -> Budget {
        let seen = Seen { ran: cpu_time(pid).unwrap_or_default(), ..Seen::default() };
        Budget::new(self.allowed, self.cost, seen)
    }
}

impl Targets {
    /// Looks at what events cost each target, and has as many stacks walked as its budget allows.
    pub(super) fn thin(&mut self) -> Result<(), KernelError> {
        if self.thinning.is_none() {
            return Ok(());
        }
        let mut changed = Vec::new();
        for target in self.targets.values_mut().filter(|target| target.is_live()) {
            let Some(budget) = target.budget.as_mut().filter(|_| target.python.is_some()) else {
                continue;
            };
            let Some(space) = self.probes.space(target.mm, target.space) else { continue };
            let Some(ran) = cpu_time(target.pid) else { continue };
            let (events, probe_ns) = (space.tally.events, space.tally.probe_ns);
            let noted = (budget.was_thinned, budget.is_over);
            let thin = budget.step(Seen { ran, events, probe_ns });
            if thin != space.thin {
                debug!("process {}: stacks of one in {}", target.pid, 1 << thin);
                changed.push((target.pid, target.space, thin));
            }
            if noted != (budget.was_thinned, budget.is_over) {
                target.tell_known(&mut self.journal);
            }
        }
        if changed.is_empty() { Ok(()) } else { self.probes.thin(&changed) }
    }
}

impl Target {
    /// What a reader should know of its budget.
    pub(super) fn note_of_budget(&self) -> Option<String> {
        let budget = self.budget.as_ref().filter(|budget| budget.was_thinned)?;
        let (allowed, part) = (100.0 * budget.allowed(), 100.0 * budget.part());
        Some(if budget.is_over {
            format!(
                "for a while its events alone cost more than the {allowed} % of its time that they may, \
                 although only one stack in 64 was walked: {part:.1} % of all its time"
            )
        } else {
            format!(
                "not every stack was walked, to keep to {allowed} % of its time: lines have what was \
                 walked, and estimates beside it"
            )
        })
    }
}

/// How long a process has run on CPUs, as of its last timer tick; `None` when it is gone.
fn cpu_time(pid: u32) -> Option<Duration> {
    // `MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)` (`include/linux/posix-timers.h`).
    const SCHEDULED: i32 = 2;
    let clock = !pid.cast_signed() << 3 | SCHEDULED;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) };
    (failed == 0)
        .then(|| Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned() as u32))
}
