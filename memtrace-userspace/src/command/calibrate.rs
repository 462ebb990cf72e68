//! `memtrace calibrate` (hidden): the other side of measuring what a probe costs. For each line of
//! input a round of what it names, and the nanoseconds that one of them took.

use std::hint::black_box;
use std::io::{BufRead as _, Write as _};

use anyhow::{Result, ensure};

use crate::session::{CALIBRATION_PAGES, CALIBRATION_PAIRS, CalibrationWork};
use crate::units::PAGE;

/// Does it.
///
/// # Errors
///
/// When nobody listens any more.
pub fn run() -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        let pages = line? == CalibrationWork::Pages.line();
        let nanos = if pages { touch_pages()? } else { allocate() };
        writeln!(std::io::stdout(), "{nanos}")?;
    }
    Ok(())
}

fn allocate() -> f64 {
    let begun = cpu_time();
    for size in 0..CALIBRATION_PAIRS {
        // SAFETY: what is allocated is freed, and not touched.
        unsafe { libc::free(black_box(libc::malloc(100 + size as usize % 100))) };
    }
    (cpu_time() - begun) as f64 / f64::from(CALIBRATION_PAIRS)
}

fn touch_pages() -> Result<f64> {
    let length = CALIBRATION_PAGES * PAGE as usize;
    let begun = cpu_time();
    // SAFETY: a new mapping, which nobody else knows.
    let start = unsafe {
        let (access, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        libc::mmap(std::ptr::null_mut(), length, access, flags, -1, 0)
    };
    ensure!(start != libc::MAP_FAILED, "no memory");
    // SAFETY: the mapping of above; each page is written to once.
    unsafe {
        libc::madvise(start, length, libc::MADV_NOHUGEPAGE);
        for page in 0..CALIBRATION_PAGES {
            start.cast::<u8>().add(page * PAGE as usize).write_volatile(1);
        }
        libc::munmap(start, length);
    }
    Ok((cpu_time() - begun) as f64 / CALIBRATION_PAGES as f64)
}

/// Nanoseconds that this thread has run: other work on the machine is not in it.
fn cpu_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
