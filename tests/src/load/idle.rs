//! Python processes that do nothing, and a daemon that watches them.
//!
//! Their truth: nothing changes, so whatever the daemon does meanwhile is the price of its being there.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use procfs::process::Process;

use crate::daemon::Daemon;
use crate::interpreters::Interpreter;
use crate::memory;
use crate::target::Target;

/// Processes that wait for somebody to say something.
#[derive(Debug)]
pub struct Idle(Vec<Target>);

/// What the daemon took while nothing happened, as the kernel counts it.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// CPU time by time on the clock: 1 is one core.
    pub cores: f64,
    /// RSS at the end, in bytes.
    pub rss: i64,
    /// Highest RSS since its start, in bytes.
    pub peak: i64,
}

fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = Process::new(i32::try_from(pid)?)?.stat()?;
    #[allow(clippy::cast_precision_loss, reason = "ticks of some minutes")]
    Ok((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
}

impl Idle {
    /// Starts so many, of all these interpreters in turn, called with `tag`.
    ///
    /// # Errors
    /// When one doesn't come to rest.
    pub fn start(pythons: &[Interpreter], tag: &str, count: usize) -> Result<Self> {
        let one = |python| Target::start(python, "resident.py", &["keeps", tag]);
        Ok(Self(pythons.iter().cycle().take(count).map(one).collect::<Result<_>>()?))
    }

    /// What a daemon takes, from when it knows them all and a moment of rest is over.
    ///
    /// # Errors
    /// When it doesn't find them all, or one did something after all.
    pub fn watched(&self, daemon: &Daemon, time: Duration) -> Result<Took> {
        for target in &self.0 {
            daemon.process(target.pid)?;
        }
        let last = self.0.last().context("no processes")?;
        daemon.next_window()?;
        let (quiet, begun, before) =
            (memory::resident(last.pid)?, Instant::now(), cpu_seconds(daemon.pid())?);
        thread::sleep(time);
        let cores = (cpu_seconds(daemon.pid())? - before) / begun.elapsed().as_secs_f64();
        ensure!(memory::resident(last.pid)? == quiet, "process {} was not idle", last.pid);
        let rss = memory::resident(daemon.pid())?.rss;
        Ok(Took { cores, rss, peak: memory::peak(daemon.pid())? })
    }
}
