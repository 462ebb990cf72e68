//! How fast this machine is at fixed pieces of work, and how long memtrace takes on it to attach with all
//! its probes and to detach: so that a time on an emulated processor can be put in relation.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::attach::Tracer;
use crate::interpreters::newest;
use crate::target::Target;
use crate::{Result, check};

/// All that attach and detach have to do; the last where there is such a thing.
const ALL_PROBES: [&str; 6] =
    ["--lens", "allocator", "--exact", "--objects", "--calls", "--native"];
/// Attaches, of which the slowest counts.
const ATTACHES: usize = 3;
/// Rounds of work, of which the fastest counts: what disturbs only adds.
const ROUNDS: usize = 5;
const STEPS: u64 = 1_000_000;
const CALLS: u64 = 20_000;

/// How fast the machine is.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Pace {
    /// A step of a calculation in registers, in nanoseconds.
    pub step_ns: f64,
    /// A system call that does nothing.
    pub call_ns: f64,
}

impl Pace {
    /// Measures, in some tens of milliseconds.
    #[must_use]
    pub fn measure() -> Self {
        Self { step_ns: each(STEPS, calculate), call_ns: each(CALLS, call) }
    }
}

/// How long it takes with all probes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Attached {
    /// From memtrace's start until it has attached, in nanoseconds.
    pub attach_ns: u64,
    /// From Ctrl-C until it has ended, its report written.
    pub detach_ns: u64,
}

impl Attached {
    /// Measures.
    ///
    /// # Errors
    /// When memtrace can't trace here.
    pub fn measure() -> Result<Self> {
        let left_out = usize::from(std::env::consts::ARCH != "x86_64");
        let options = &ALL_PROBES[..ALL_PROBES.len() - left_out];
        let (mut attach, mut detach) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..ATTACHES {
            let mut target = Target::start(&newest()?, "resident.py", &["keeps"])?;
            let tracer = Tracer::attach(&[target.pid], options)?;
            attach = attach.max(tracer.attached_after);
            target.go()?;
            let finished = tracer.stop()?;
            detach = detach.max(finished.ended_after);
            check::law(&finished.report()?)?;
        }
        Ok(Self {
            attach_ns: u64::try_from(attach.as_nanos())?,
            detach_ns: u64::try_from(detach.as_nanos())?,
        })
    }
}

/// Nanoseconds of one in the fastest round.
#[allow(clippy::cast_precision_loss, reason = "milliseconds, and as many steps")]
fn each(count: u64, work: fn(u64)) -> f64 {
    let round = |_| {
        let begun = Instant::now();
        work(count);
        begun.elapsed()
    };
    let fastest = (0..ROUNDS).map(round).min().unwrap_or_default();
    fastest.as_nanos() as f64 / count as f64
}

/// An xorshift.
fn calculate(steps: u64) {
    let mut number = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..steps {
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
    }
    std::hint::black_box(number);
}

fn call(calls: u64) {
    for _ in 0..calls {
        // SAFETY: it has no effects.
        unsafe { libc::syscall(libc::SYS_getppid) };
    }
}
