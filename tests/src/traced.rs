//! One program, traced through one step: the shape of most tests.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::attach::{Finished, Tracer};
use crate::interpreters::Interpreter;
use crate::memory::{self, Resident};
use crate::recorder::Recorder;
use crate::report::{Process, Report};
use crate::stacks::{self, Grown};
use crate::target::Target;
use crate::truth::Truth;

/// What the program, the kernel and memtrace say of one step. The program still runs.
#[derive(Debug)]
pub struct Traced {
    /// The program.
    pub target: Target,
    /// What it says.
    pub truth: Truth,
    /// What the kernel says of it and of its living descendants, all parked, before tracing ended.
    pub kernel: BTreeMap<u32, Resident>,
    /// What memtrace says.
    pub report: Report,
    /// How memtrace ended.
    pub finished: Finished,
}

impl Traced {
    /// The program's own part of the report.
    ///
    /// # Errors
    /// When it has none.
    pub fn process(&self) -> Result<&Process> {
        self.report.process(self.target.pid)
    }
}

/// The memory of a parked process and of its living descendants.
///
/// # Errors
/// When one of them doesn't hold still.
pub fn family(pid: u32) -> Result<BTreeMap<u32, Resident>> {
    let mut pids = memory::descendants(pid)?;
    pids.insert(pid);
    // Twice: what one of them does while another settles would go unseen.
    for pid in &pids {
        memory::settled(*pid)?;
    }
    pids.into_iter().map(|pid| Ok((pid, memory::settled(pid)?))).collect()
}

/// Starts a program, attaches, lets it do its step, and ends tracing while it is parked.
///
/// # Errors
/// When any of that fails.
pub fn trace(
    python: &Interpreter,
    program: &str,
    arguments: &[&str],
    options: &[&str],
) -> Result<Traced> {
    let target = Target::start(python, program, arguments)?;
    trace_target(target, options).with_context(|| format!("{program} {}", arguments.join(" ")))
}

/// [`trace`] of a program that has been started.
///
/// # Errors
/// When any of it fails.
pub fn trace_target(mut target: Target, options: &[&str]) -> Result<Traced> {
    target.settled()?;
    let tracer = Tracer::attach(&[target.pid], options)?;
    let truth = target.go()?;
    let kernel = family(target.pid)?;
    let finished = tracer.stop()?;
    let report = finished.report()?;
    Ok(Traced { target, truth, kernel, report, finished })
}

/// What the program, the kernel and a recording say of one step. The program still runs.
#[derive(Debug)]
pub struct Recorded {
    /// The program.
    pub target: Target,
    /// What it says.
    pub truth: Truth,
    /// What the kernel says of it, parked, before recording ended.
    pub kernel: Resident,
    /// What the recording says.
    pub report: Report,
    /// By whole stacks of lines.
    pub grown: Vec<Grown>,
}

impl Recorded {
    /// The program's own part of the report.
    ///
    /// # Errors
    /// When it has none.
    pub fn process(&self) -> Result<&Process> {
        self.report.process(self.target.pid)
    }
}

/// As [`trace_target`], into a recording, which more than one report can be made of.
///
/// # Errors
/// When any of it fails.
pub fn record_target(mut target: Target, options: &[&str]) -> Result<Recorded> {
    target.settled()?;
    let recorder = Recorder::of(&[target.pid], options)?;
    let truth = target.go()?;
    let kernel = target.settled()?;
    let recording = recorder.stop()?;
    let (report, grown) = (recording.report(&["--strict"])?, stacks::grown(&recording)?);
    Ok(Recorded { target, truth, kernel, report, grown })
}
