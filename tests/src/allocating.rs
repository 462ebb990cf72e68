//! Programs that allocate all the time (`programs/allocating.py`), for benches of what memtrace costs them.

use crate::interpreters::Interpreter;
use crate::target::{self, Target};
use crate::truth::Truth;
use crate::{Context, Result, resources};

/// What they do.
pub const KINDS: [&str; 6] = ["json", "re", "dataclasses", "pandas", "web", "phases"];

/// One that does so many rounds at each `go`, with pandas where it needs that.
///
/// # Errors
/// When it can't be started.
pub fn start(python: &Interpreter, kind: &str, rounds: f64) -> Result<Target> {
    let mut command = target::command(python, "allocating.py", &[kind, &format!("{rounds}")])?;
    if kind == "pandas" {
        command.env("PYTHONPATH", resources::pandas(python)?);
    }
    Target::start_command(command)
}

/// CPU seconds of its rounds.
///
/// # Errors
/// When it does not say.
pub fn cpu(truth: &Truth) -> Result<f64> {
    truth.more.get("cpu_seconds").and_then(serde_json::Value::as_f64).context("cpu_seconds")
}
