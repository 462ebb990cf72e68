//! How long a process has run on CPUs, to the moment: a software counter of the kernel's for each of its
//! threads.
//!
//! `/proc` and the clocks of other processes say it as of their last timer tick, which is as long as a
//! window of the allocator lens.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

/// `PERF_TYPE_SOFTWARE`, `PERF_COUNT_SW_TASK_CLOCK` (`include/uapi/linux/perf_event.h`).
const SOFTWARE: u32 = 1;
const TASK_CLOCK: u64 = 1;
/// `perf_event_attr.inherit` and `.inherit_thread` (Linux 5.13): threads that begin later count, too, and
/// children do not.
const INHERIT: u64 = 1 << 1 | 1 << 35;
/// `PERF_FLAG_FD_CLOEXEC`
const CLOEXEC: u64 = 1 << 3;

/// The first version of `struct perf_event_attr`, as long as the kernel wants it at least.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    bp_addr: u64,
}

/// The clock of one process, from when it was made.
#[derive(Debug)]
pub struct CpuClock {
    threads: Vec<OwnedFd>,
}

impl CpuClock {
    /// A clock of a process that runs.
    ///
    /// # Errors
    ///
    /// When it is gone, or the kernel allows no counter.
    pub fn of(pid: u32) -> io::Result<Self> {
        let mut threads = Vec::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let Some(tid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok())
            else {
                continue;
            };
            // A thread that has ended meanwhile counts nothing.
            threads.extend(counter(tid));
        }
        if threads.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(Self { threads }) }
    }

    /// The time until now.
    #[must_use]
    pub fn read(&self) -> Duration {
        let mut sum = 0;
        for thread in &self.threads {
            let mut count = [0; 8];
            // SAFETY: eight bytes, which is what a counter without options gives.
            let read =
                unsafe { libc::read(thread.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
            if read == 8 {
                sum += u64::from_ne_bytes(count);
            }
        }
        Duration::from_nanos(sum)
    }
}

fn counter(tid: i32) -> io::Result<OwnedFd> {
    let attributes = Attributes {
        kind: SOFTWARE,
        size: size_of::<Attributes>() as u32,
        config: TASK_CLOCK,
        flags: INHERIT,
        ..Attributes::default()
    };
    // SAFETY: the attributes are as long as they say.
    let fd = unsafe {
        libc::syscall(libc::SYS_perf_event_open, &raw const attributes, tid, -1, -1, CLOEXEC)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor of our own.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_process_that_runs_is_timed_and_one_that_sleeps_is_not() {
        let Ok(clock) = CpuClock::of(std::process::id()) else { return };
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(50) {}
        let busy = clock.read();
        assert!(busy > Duration::from_millis(1) && busy < Duration::from_secs(5), "{busy:?}");
        assert!(CpuClock::of(u32::MAX >> 1).is_err());
    }

    #[test]
    fn a_thread_that_begins_later_counts_and_a_child_does_not() {
        let Ok(clock) = CpuClock::of(std::process::id()) else { return };
        let busy = || {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(100) {}
        };
        std::thread::spawn(busy).join().unwrap();
        let with_thread = clock.read();
        let mut child = std::process::Command::new("sh");
        child.args(["-c", "i=0; while [ $i -lt 500000 ]; do i=$((i+1)); done"]);
        assert!(child.status().unwrap().success());
        let usage = procfs::process::Process::myself().unwrap().stat().unwrap();
        let of_child = usage.cutime.cast_unsigned() * 1000 / procfs::ticks_per_second();
        assert!(of_child > 50, "the child ran for {of_child} ms");
        assert!(with_thread > Duration::from_millis(5), "{with_thread:?}");
        let more = clock.read().saturating_sub(with_thread);
        assert!(more < Duration::from_millis(of_child) / 2, "{more:?} beside {of_child} ms");
    }
}
