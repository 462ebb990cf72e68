//! Processes that work and have memory come and go, more of them than there are cores.
//!
//! Their truth: each does the same amount of work each time (`programs/busy.py` checks the result), so that its
//! own time is the measure of what is done to it.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::daemon::Daemon;
use crate::interpreters::Interpreter;
use crate::measure::Pairs;
use crate::target::Target;

/// Rounds of a step: about a third of a second of a process's own time. Many short steps: a machine is not the same
/// for long.
pub const ROUNDS: usize = 10;

/// Longest that a step of all may take.
const STEP: Duration = Duration::from_secs(600);

/// The processes.
#[derive(Debug)]
pub struct Busy(Vec<Target>);

/// What a step of one process came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Step {
    /// Its own CPU time, in seconds, time in the kernel for it included.
    pub cpu: f64,
    /// On the clock, which other processes and the daemon have a part in.
    pub took: f64,
    /// Page faults.
    pub faults: f64,
}

/// Steps of all, one untraced and one traced a pair: process by process, pair by pair.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Seconds of CPU time.
    pub cpu: Pairs,
    /// Seconds on the clock.
    pub took: Pairs,
    /// Page faults by second of CPU time, untraced.
    pub fault_rates: Vec<f64>,
}

impl Busy {
    /// Starts so many, of all these interpreters in turn, called with `tag`; all have done a step.
    ///
    /// # Errors
    /// When one fails.
    pub fn start(pythons: &[Interpreter], tag: &str, count: usize, rounds: usize) -> Result<Self> {
        let rounds = rounds.to_string();
        let one = |python| Target::start(python, "busy.py", &[&rounds, tag]);
        let targets = pythons.iter().cycle().take(count).map(one).collect::<Result<_>>()?;
        let mut busy = Self(targets);
        busy.step()?;
        Ok(busy)
    }

    /// A step of all at once.
    ///
    /// # Errors
    /// When one fails.
    pub fn step(&mut self) -> Result<Vec<Step>> {
        for target in &mut self.0 {
            target.begin()?;
        }
        let mut steps = Vec::new();
        for target in &mut self.0 {
            let more = target.conversation().patient_answer(STEP)?.more;
            let figure = |key: &str| more[key].as_f64().with_context(|| key.to_owned());
            let seconds = |key| Ok::<_, anyhow::Error>(figure(key)? / 1e9);
            let (cpu, took) = (seconds("cpu_ns")?, seconds("took_ns")?);
            steps.push(Step { cpu, took, faults: figure("faults")? });
        }
        Ok(steps)
    }

    /// Waits until a daemon knows all of them.
    ///
    /// # Errors
    /// When it never does.
    pub fn are_known(&self, daemon: &Daemon) -> Result<()> {
        self.0.iter().try_for_each(|target| daemon.process(target.pid).map(drop))
    }

    /// Their pids.
    pub fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().map(|target| target.pid)
    }
}

impl Measured {
    /// Adds a pair of steps.
    pub fn add(&mut self, untraced: &[Step], traced: &[Step]) {
        self.fault_rates.extend(untraced.iter().map(|step| step.faults / step.cpu));
        for (pairs, of) in [
            (&mut self.cpu, (|step| step.cpu) as fn(&Step) -> f64),
            (&mut self.took, |step| step.took),
        ] {
            pairs.untraced.extend(untraced.iter().map(of));
            pairs.traced.extend(traced.iter().map(of));
        }
    }
}
