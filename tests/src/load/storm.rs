//! Processes that touch pages at full speed, all at once: four threads each.
//!
//! Their truth: what the marked line has to have grown at least, and what the page tables say of each when it
//! holds still again. Which events a ring buffer has no room for, nobody can say beforehand.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::check;
use crate::daemon::Daemon;
use crate::interpreters::Interpreter;
use crate::memory::Resident;
use crate::report::Report;
use crate::target::Target;

/// Longest that a step of all may take.
const STEP: Duration = Duration::from_secs(600);

/// The processes.
#[derive(Debug)]
pub struct Storm(Vec<Target>);

/// What a storm left.
#[derive(Debug)]
pub struct Left {
    /// What each process has in memory, by pid.
    kernel: Vec<(u32, Resident)>,
    /// What the marked lines of all have grown.
    pub grown: i64,
}

/// What a report says of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    /// Events.
    pub events: u64,
    /// Events that the ring buffer had no room for.
    pub lost: u64,
}

impl Storm {
    /// Starts so many, of all these interpreters in turn, called with `tag`. They hold still.
    ///
    /// # Errors
    /// When one fails.
    pub fn gathering(pythons: &[Interpreter], tag: &str, count: usize) -> Result<Self> {
        let one = |python| Target::start(python, "threads.py", &["many_at_once", tag]);
        Ok(Self(pythons.iter().cycle().take(count).map(one).collect::<Result<_>>()?))
    }

    /// Lets it go, so many times in a row, once a daemon knows all of them.
    ///
    /// # Errors
    /// When one fails.
    pub fn rage(&mut self, daemon: &Daemon, times: usize) -> Result<Left> {
        for target in &self.0 {
            daemon.process(target.pid)?;
        }
        let mut left = Left { kernel: Vec::new(), grown: 0 };
        for _ in 0..times {
            for target in &mut self.0 {
                target.begin()?;
            }
            for target in &mut self.0 {
                let truth = target.conversation().patient_answer(STEP)?;
                left.grown += truth.mark("in threads")?.grown()?;
            }
        }
        for target in &self.0 {
            left.kernel.push((target.pid, target.settled()?));
        }
        Ok(left)
    }
}

impl Left {
    /// The law for each process by itself, and against the kernel.
    ///
    /// # Errors
    /// When it is broken for one.
    pub fn holds(&self, report: &Report) -> Result<Told> {
        check::law(report)?;
        let mut told = Told::default();
        for (pid, kernel) in &self.kernel {
            check::agrees_with_kernel(report, *pid, *kernel)?;
            let process = report.process(*pid)?;
            told.events += process.events;
            told.lost += process.lost_events;
        }
        ensure!(told.events > 0, "no events");
        Ok(told)
    }
}
