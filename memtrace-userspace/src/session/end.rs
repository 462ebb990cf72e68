//! The last step of a trace: from targets to a profile.

use std::time::{Duration, SystemTime};

use super::Traced;
use super::presence::present_pages;
use super::target::Target;
use crate::ledger::{Facts, summarise};
use crate::profile::Profile;
use crate::units::Nanos;

/// Sums up all targets. What is still present is asked of the processes that run on.
pub(super) fn sum_up(
    mut targets: Vec<Target>,
    started_at: SystemTime,
    duration: Duration,
) -> Traced {
    let cpu = own_cpu();
    let all_events: u64 = targets.iter().map(|target| target.tally.events).sum();
    let kernel = procfs::sys::kernel::Version::current()
        .map(|v| format!("{}.{}.{}", v.major, v.minor, v.patch))
        .unwrap_or_default();
    let mut processes = Vec::with_capacity(targets.len());
    let mut files = Vec::with_capacity(targets.len());
    for target in &mut targets {
        target.books.settle_all();
        let present = target
            .is_live()
            .then(|| present_pages(target.pid, target.books.pages()).ok())
            .flatten();
        let share = match all_events {
            0 => 0,
            all => (u128::from(cpu.0) * u128::from(target.tally.events) / u128::from(all)) as u64,
        };
        let facts = Facts {
            pid: target.pid,
            parent: target.parent,
            command: std::mem::take(&mut target.command),
            python: target.python.take().map(|known| (known.version, known.line_table)),
            ending: target.ending,
            tally: target.tally,
            present,
            userspace_cpu: Nanos(share),
            notes: std::mem::take(&mut target.notes),
        };
        processes.push(summarise(&mut target.books, &target.stacks, facts));
        files.push(target.files.take());
    }
    let profile = Profile {
        started_at,
        duration: Nanos(duration.as_nanos() as u64),
        kernel,
        exact: true,
        processes,
    };
    Traced { profile, files }
}

/// memtrace's own CPU time so far.
fn own_cpu() -> Nanos {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Nanos(usage.tv_sec as u64 * 1_000_000_000 + usage.tv_nsec as u64)
}
