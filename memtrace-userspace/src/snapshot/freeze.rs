//! Holding a process still while it is looked at, so that no death of ours leaves it so.
//!
//! Each thread is stopped by `PTRACE_SEIZE` and `PTRACE_INTERRUPT`. The kernel itself lets go of
//! them when the thread that holds them ends, however it ends: no watchdog, no signal that a
//! parent or a supervisor would see, and a process that somebody else has stopped stays as it
//! was. `docs/decisions/0008` says why not SIGSTOP, and why not the cgroup freezer. Nothing of the
//! threads is read or written through ptrace.

use std::collections::HashSet;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::units::Nanos;

/// How long threads may take to stop. One that runs stops within microseconds; one that the
/// kernel can't interrupt (it waits for a disk) changes no memory by its own.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two looks at threads that have not stopped yet.
const PAUSE: Duration = Duration::from_micros(100);
/// Rounds of looking for threads that were started meanwhile.
const ROUNDS: usize = 100;
/// `PTRACE_EVENT_STOP`: the stop that was asked for, or the group's.
const EVENT_STOP: i32 = 128;

/// Why a process can't be stopped.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// Somebody traces it.
    #[error(
        "process {pid} can't be stopped: process {tracer} (a debugger?) has it under ptrace; end \
         that, or leave out --freeze"
    )]
    Traced {
        /// Which.
        pid: u32,
        /// By whom.
        tracer: u32,
    },
    /// The kernel refused.
    #[error(
        "process {pid} can't be stopped: {source}; run memtrace as root or give it \
         CAP_SYS_PTRACE, or leave out --freeze"
    )]
    Refused {
        /// Which.
        pid: u32,
        /// What the kernel said.
        source: io::Error,
    },
}

/// One thread.
#[derive(Debug)]
struct Held {
    tid: libc::pid_t,
    /// It is stopped.
    stopped: bool,
    /// A signal that it was about to get, and gets when it is let go.
    signal: libc::c_int,
}

/// A process that is held still until this is dropped.
#[derive(Debug)]
pub(super) struct Frozen {
    threads: Vec<Held>,
    since: Instant,
}

impl Frozen {
    /// Stops all threads of a process.
    ///
    /// # Errors
    ///
    /// [`FreezeError`]; nothing is held then.
    pub(super) fn stop(pid: u32) -> Result<Self, FreezeError> {
        let mut frozen = Self { threads: Vec::new(), since: Instant::now() };
        let mut known = HashSet::new();
        let deadline = frozen.since + PATIENCE;
        // A thread that still runs may start another; so until nothing new is found.
        for _ in 0..ROUNDS {
            let new: Vec<_> = tasks(pid).into_iter().filter(|tid| known.insert(*tid)).collect();
            if new.is_empty() {
                break;
            }
            for tid in new {
                match seize(tid) {
                    Ok(()) => frozen.threads.push(Held { tid, stopped: false, signal: 0 }),
                    // It ended meanwhile.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    Err(source) => return Err(refused(pid, source)),
                }
            }
            frozen.wait(deadline);
        }
        if frozen.threads.is_empty() {
            return Err(refused(pid, io::Error::from_raw_os_error(libc::ESRCH)));
        }
        Ok(frozen)
    }

    /// Waits until all threads have stopped, or the time is over.
    fn wait(&mut self, deadline: Instant) {
        loop {
            self.threads.retain_mut(|thread| thread.stopped || thread.look());
            if self.threads.iter().all(|thread| thread.stopped) || Instant::now() >= deadline {
                return;
            }
            sleep(PAUSE);
        }
    }

    /// Threads that the kernel could not interrupt.
    #[must_use]
    pub(super) fn running(&self) -> usize {
        self.threads.iter().filter(|thread| !thread.stopped).count()
    }

    /// Lets go, and says how long the process was held.
    #[must_use]
    pub(super) fn thaw(mut self) -> Nanos {
        self.let_go();
        Nanos(u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn let_go(&mut self) {
        // One that has not stopped can't be let go: it is waited for. What is left is let go by
        // the kernel when memtrace ends.
        self.wait(Instant::now() + PATIENCE);
        for thread in self.threads.drain(..).filter(|thread| thread.stopped) {
            // An error means that it has died, as a thread of a killed process does.
            let _ = request(libc::PTRACE_DETACH, thread.tid, thread.signal);
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.let_go();
        }
    }
}

impl Held {
    /// Whether it is still there.
    fn look(&mut self) -> bool {
        let mut status = 0;
        // SAFETY: the status is ours to be written.
        let who = unsafe { libc::waitpid(self.tid, &raw mut status, libc::__WALL | libc::WNOHANG) };
        if who == 0 {
            return true;
        }
        if who != self.tid || !libc::WIFSTOPPED(status) {
            return false;
        }
        self.stopped = true;
        if status >> 16 != EVENT_STOP {
            self.signal = libc::WSTOPSIG(status);
        }
        true
    }
}

fn tasks(pid: u32) -> Vec<libc::pid_t> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn seize(tid: libc::pid_t) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, tid, 0)?;
    request(libc::PTRACE_INTERRUPT, tid, 0)
}

fn request(what: libc::c_uint, tid: libc::pid_t, data: libc::c_int) -> io::Result<()> {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    let data = data as usize as *mut libc::c_void;
    // SAFETY: none of the three requests reads or writes memory of ours through its arguments.
    let result = unsafe { libc::ptrace(what, tid, nothing, data) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn refused(pid: u32, source: io::Error) -> FreezeError {
    let tracer = std::fs::read_to_string(format!("/proc/{pid}/status")).ok().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
        line.trim().parse::<u32>().ok().filter(|tracer| *tracer != 0)
    });
    match tracer.filter(|tracer| *tracer != std::process::id()) {
        Some(tracer) => FreezeError::Traced { pid, tracer },
        None => FreezeError::Refused { pid, source },
    }
}
