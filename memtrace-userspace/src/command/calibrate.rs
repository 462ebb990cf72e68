//! `memtrace calibrate` (hidden): the other side of measuring what a probe costs. For each line of
//! input a round of allocations, and the nanoseconds that a pair of calls took.

use std::hint::black_box;
use std::io::{BufRead as _, Write as _};

use anyhow::Result;

use crate::session::CALIBRATION_PAIRS;

/// Does it.
///
/// # Errors
///
/// When nobody listens any more.
pub fn run() -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        line?;
        let begun = cpu_time();
        for size in 0..CALIBRATION_PAIRS {
            // SAFETY: what is allocated is freed, and not touched.
            unsafe { libc::free(black_box(libc::malloc(100 + size as usize % 100))) };
        }
        let nanos = (cpu_time() - begun) as f64 / f64::from(CALIBRATION_PAIRS);
        writeln!(std::io::stdout(), "{nanos}")?;
    }
    Ok(())
}

/// Nanoseconds that this thread has run: other work on the machine is not in it.
fn cpu_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
