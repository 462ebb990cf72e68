//! The one loop: events in, books kept, windows of time closed, interpreters recognised, targets let
//! go, a profile out.
//!
//! All state changes happen here, in the order in which the kernel side made the records. The
//! shutdown order is written once, in [`Session::finish`].

mod binding;
mod budget;
mod calibration;
mod calls;
mod checks;
mod child;
mod counted;
pub mod facts;
mod familiar;
mod haste;
mod journal;
mod kills;
mod lens;
mod machine;
mod pace;
mod past;
mod presence;
mod recognise;
mod target;
mod targets;
mod thinning;
mod visit;
mod windows;
mod yardstick;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;
use tracing::warn;

pub use binding::Binding;
pub use calibration::{
    PAGES as CALIBRATION_PAGES, PAIRS as CALIBRATION_PAIRS, Work as CalibrationWork,
};
pub use child::{Child, ChildEnd};
pub use lens::LensPlan;
pub use machine::Stranger;
pub use target::Target;

use self::facts::Facts;
use crate::history::entry::SpaceId;
use crate::history::{Entry, Head};
use crate::kernel::support::{self, SupportError};
use crate::kernel::{KernelError, Options, Probes, Ring, decode};
use crate::machine::{HERE, Machine, NotHere};
use crate::profile::Profile;
use crate::python::Images;
use crate::python::Interpreter;
use crate::python::{DiscoverError, Refusal};
use crate::python::{Discovery, discover};
use crate::source::TargetFiles;
use targets::Targets;
use thinning::Measuring;

/// How often waiting records are fetched when the kernel side has not woken us before.
const TICK: Duration = Duration::from_millis(20);

/// The same where nothing was waiting the last time. Who makes many records wakes us.
const QUIET_TICK: Duration = Duration::from_millis(100);

/// Records taken in one go before anything else gets its turn.
const BATCH: usize = 1 << 14;

/// The same where records of native stacks are among them, each of which takes ten times as long.
const NATIVE_BATCH: usize = 1 << 10;

/// What stops tracing before it has begun.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// This kernel, or these privileges.
    #[error(transparent)]
    Support(#[from] SupportError),
    /// The kernel side.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A target can't be looked at.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// A target is a Python that can't be traced.
    #[error("process {pid}: {refusal}")]
    Refused {
        /// Which.
        pid: u32,
        /// Why.
        refusal: Refusal,
    },
    /// A target is no Python.
    #[error("process {pid} ({name}) is not a Python process; `memtrace ps` lists those that are")]
    NotPython {
        /// Which.
        pid: u32,
        /// Its `comm`.
        name: String,
    },
    /// The target ended before there was anything to report.
    #[error("process {0} ended before it could be traced")]
    Gone(u32),
    /// The command can't be started.
    #[error("{command}: {source}")]
    Start {
        /// What was to be started.
        command: String,
        /// Why not.
        source: std::io::Error,
    },
    /// This machine.
    #[error(transparent)]
    NotHere(#[from] NotHere),
    /// The event loop itself.
    #[error("waiting for events: {0}")]
    Wait(std::io::Error),
}

/// What to trace, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Follow forked children.
    pub follow: bool,
    /// How threads are bound to thread states.
    pub binding: Binding,
    /// Notice the deaths of code objects by a uprobe in each target.
    pub uprobes: bool,
    /// Count evaluations by function.
    pub calls: bool,
    /// Length of a window of time.
    pub window: Duration,
    /// Keep the entries of the history for [`Session::take_entries`].
    pub keep_entries: bool,
    /// Trace whatever calls `exec` and turns out to be Python, and go on without any target. No history
    /// is kept then: the entries are all there is, and what has ended is forgotten by
    /// [`Session::forget_ended`].
    pub machine: bool,
    /// With the allocator lens.
    pub lens: Option<LensPlan>,
    /// The part of a target's time that events may take: stacks are walked for as many of them as that
    /// allows. `None`: for all.
    pub max_overhead: Option<f64>,
    /// For the kernel side.
    pub options: Options,
}

/// How far the loop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A window of time has closed.
    Window,
    /// The time is over, or the user said so.
    Asked,
    /// No target is left.
    NoTargets,
}

/// A trace under way.
pub struct Session {
    ring: Ring,
    targets: Targets,
    window: Duration,
    batch: usize,
    /// When the open window is to be closed.
    closes: Instant,
}

/// The result: figures, and the files that their sources are read from.
pub struct Traced {
    /// The figures.
    pub profile: Profile,
    /// By process, in the profile's order.
    pub files: Vec<Option<Arc<TargetFiles>>>,
    /// The last entries, where they are kept.
    pub entries: Vec<Entry>,
    /// Whether a process was killed: by the OOM killer, or by SIGKILL otherwise.
    pub killed: bool,
}

impl Session {
    /// Loads and attaches the kernel side; no target is traced yet.
    ///
    /// # Errors
    ///
    /// [`KernelError`].
    pub fn open(plan: &Plan) -> Result<Self, SessionError> {
        support::require()?;
        if plan.options.native && HERE != Machine::X86_64 {
            let instead = "trace without it, for Python's lines";
            return Err(NotHere { what: "--native", instead }.into());
        }
        let (mut probes, ring) = Probes::load(&plan.options)?;
        let measuring = plan.max_overhead.map(Measuring::start);
        if plan.machine {
            probes.expect_every_exec(plan.follow)?;
        }
        probes.attach()?;
        let thinning = measuring.map(|measuring| measuring.finish(&mut probes));
        // Loading needs ten times the memory of tracing (all of the kernel's BTF); give it back.
        // SAFETY: a call without pointers.
        unsafe { libc::malloc_trim(0) };
        let mut targets = Targets::new(probes, plan)?;
        targets.thinning = thinning;
        let batch = if plan.options.native { NATIVE_BATCH } else { BATCH };
        let (window, closes) = (plan.window, Instant::now() + plan.window);
        Ok(Self { ring, targets, window, batch, closes })
    }

    /// Begins to trace a process whose interpreter was found; returns Python's version.
    ///
    /// # Errors
    ///
    /// [`SessionError`]: it is gone, or the kernel side fails.
    pub fn attach(&mut self, pid: u32, interpreter: Interpreter) -> Result<String, SessionError> {
        let version = interpreter.text.clone();
        self.targets.begin(pid, interpreter)?;
        Ok(version)
    }

    /// Announces a child of ours that is about to `exec`.
    ///
    /// # Errors
    ///
    /// [`KernelError`].
    pub fn expect(&mut self, pid: u32) -> Result<(), SessionError> {
        Ok(self.targets.expect(pid)?)
    }

    /// Traces until `stop` is ready or no target is left.
    ///
    /// # Errors
    ///
    /// [`SessionError`] when the kernel side fails; what was recorded so far is kept.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) -> Result<(), SessionError> {
        tokio::pin!(stop);
        while self.step(&mut stop).await? == Step::Window {}
        Ok(())
    }

    /// Traces until the open window closes, `stop` is ready, or no target is left.
    ///
    /// # Errors
    ///
    /// As [`Session::run`].
    pub async fn step(
        &mut self,
        stop: &mut (impl Future<Output = ()> + Unpin),
    ) -> Result<Step, SessionError> {
        let mut tick = TICK;
        loop {
            let next = [self.targets.next_due(), Some(self.closes)].into_iter().flatten();
            let next = next.fold(Instant::now() + tick, Instant::min);
            tokio::select! {
                biased;
                () = &mut *stop => return Ok(Step::Asked),
                woken = self.ring.wake() => woken.map_err(SessionError::Wait)?,
                () = sleep_until(next.into()) => {}
            }
            let mut drained = self.drain();
            tick = if drained == 0 { QUIET_TICK } else { TICK };
            self.targets.emptied |= drained < self.batch;
            // Windows close also while records come faster than they are booked.
            while drained == self.batch && Instant::now() < self.closes {
                self.targets.hurry();
                // A storm must not keep us from the signal that ends it.
                if is_ready(stop).await {
                    return Ok(Step::Asked);
                }
                // Nor from an interpreter that starts, since records of stacks take their time.
                if self.batch < BATCH {
                    self.targets.tend(Instant::now())?;
                }
                drained = self.drain();
                self.targets.emptied |= drained < self.batch;
            }
            let now = Instant::now();
            self.targets.tend(now)?;
            self.targets.tell_peaks();
            if !self.targets.any_left() {
                return Ok(Step::NoTargets);
            }
            if now >= self.closes {
                self.targets.read_lens()?;
                self.drain();
                self.targets.close_windows();
                // A window that closes late does not make the next one short.
                self.closes = (self.closes + self.window).max(now);
                return Ok(Step::Window);
            }
        }
    }

    /// What this trace is about.
    #[must_use]
    pub fn head(&self) -> &Head {
        self.targets.journal.history().head()
    }

    /// Takes the entries of the history since the last time, where they are kept.
    pub fn take_entries(&mut self) -> Vec<Entry> {
        self.targets.journal.take_entries()
    }

    /// The figures up to the last closed window.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.targets.journal.history().profile()
    }

    /// The files of each process of [`Session::profile`], in its order.
    #[must_use]
    pub fn files(&self) -> Vec<Option<Arc<TargetFiles>>> {
        self.targets.files()
    }

    /// Changes the length of windows, from the next one on.
    pub fn set_window(&mut self, window: Duration) {
        self.window = window;
    }

    /// Names so many stacks at most; lines of others are left out and counted.
    pub fn set_most_stacks(&mut self, stacks: usize) {
        self.targets.journal.book.set_bound(stacks);
    }

    /// Whether lines are left out because there are as many stacks as there may be.
    #[must_use]
    pub fn is_full_of_stacks(&self) -> bool {
        self.targets.journal.book.is_full()
    }

    /// Lets go of processes that run on, by the numbers of their spaces: their books are closed.
    ///
    /// # Errors
    ///
    /// [`KernelError`] when the kernel side can't be asked.
    pub fn let_go(&mut self, spaces: &[SpaceId]) -> Result<(), SessionError> {
        Ok(self.targets.let_go(spaces)?)
    }

    /// Forgets the targets that have ended; their entries were told.
    pub fn forget_ended(&mut self) {
        self.targets.forget_ended();
        self.targets.lose_patience();
    }

    /// Processes that were seen to be Python and can't be traced, since the last time.
    pub fn take_strangers(&mut self) -> Vec<Stranger> {
        self.targets.take_strangers()
    }

    /// What is known of the processes that turned out to be Python, since the last time.
    pub fn take_facts(&mut self) -> Vec<(SpaceId, Facts)> {
        self.targets.take_facts()
    }

    /// Processes that are traced, or being looked at.
    #[must_use]
    pub fn pids(&self) -> HashSet<u32> {
        self.targets.live().into_iter().collect()
    }

    /// A process that the kernel side has and whose record was lost is nobody's: it can be attached to.
    pub fn disown(&mut self, pid: u32) {
        self.targets.probes().forget_process(pid);
    }

    /// From now on this thread comes before others that are not urgent, where that is allowed: what is not read
    /// in time is lost.
    pub fn lead(&mut self) {
        haste::lead();
    }

    /// The files of a target.
    #[must_use]
    pub fn files_of(&self, space: SpaceId) -> Option<Arc<TargetFiles>> {
        self.targets.files_of(space)
    }

    /// Books what is waiting; returns how many records there were.
    fn drain(&mut self) -> usize {
        let targets = &mut self.targets;
        self.ring.drain(self.batch, |bytes| match decode(bytes) {
            Ok(event) => targets.handle(event),
            Err(error) => warn!("{error}"),
        })
    }

    /// Ends tracing, in this order: the counters are read one last time and recording stops;
    /// what is still in the ring buffer is booked; the targets are looked at once more, at once, for
    /// what is still present, and the books are closed; then the kernel side is detached.
    ///
    /// # Errors
    ///
    /// [`KernelError`] when the kernel side can't be asked.
    pub fn finish(mut self) -> Result<Traced, SessionError> {
        let mut live = self.targets.live();
        // A process whose end has no record yet may have its pid in common with the next one.
        live.sort_unstable();
        live.dedup();
        self.targets.probes().close(&live)?;
        self.targets.read_lens()?;
        while self.drain() > 0 {}
        self.targets.read_tallies();
        self.targets.end_live()?;
        let Self { ring, targets, .. } = self;
        let traced = targets.detach();
        drop(ring);
        Ok(traced)
    }
}

/// Whether the future is ready now.
async fn is_ready(future: &mut (impl Future<Output = ()> + Unpin)) -> bool {
    tokio::select! {
        biased;
        () = &mut *future => true,
        () = std::future::ready(()) => false,
    }
}

/// Looks at a process for [`Session::attach`]; nothing is loaded or attached for that.
///
/// # Errors
///
/// [`SessionError`]: there is no such process, it is no Python, or one that can't be traced.
pub fn look_at(pid: u32, images: &mut Images) -> Result<Interpreter, SessionError> {
    support::require()?;
    match discover(pid, images)? {
        Discovery::Python(interpreter) => Ok(*interpreter),
        Discovery::Refused(refusal) => Err(SessionError::Refused { pid, refusal }),
        Discovery::NotPython => {
            let name = target::comm(pid).ok_or(SessionError::Gone(pid))?;
            Err(SessionError::NotPython { pid, name })
        }
    }
}
