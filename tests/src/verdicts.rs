//! What a benchmark says of its bars: as lines, as JSON, as an exit code.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

/// One bar.
#[derive(Debug)]
pub struct Verdict {
    /// What was measured.
    pub name: String,
    /// Whether the bar was met.
    pub passed: bool,
    /// The figures, for people.
    pub line: String,
    /// The figures.
    pub json: Value,
}

/// All bars of a run.
#[derive(Debug, Default)]
pub struct Verdicts(Vec<Verdict>);

impl Verdicts {
    /// Prints one and keeps it.
    pub fn tell(&mut self, verdict: Verdict) {
        let word = if verdict.passed { "passed" } else { "FAILED" };
        println!("{word}  {:<28} {}", verdict.name, verdict.line);
        self.0.push(verdict);
    }

    /// Writes them all beside what `run` says of the run, under `bars`. Failure only when that is to be
    /// enforced and a bar was missed.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, output: &Path, mut run: Value, enforce: bool) -> Result<ExitCode> {
        let figure =
            |one: &Verdict| json!({"name": one.name, "passed": one.passed, "figures": one.json});
        run["bars"] = self.0.iter().map(figure).collect();
        std::fs::write(output, serde_json::to_string_pretty(&run)?)?;
        println!("figures in {}", output.display());
        let failed = enforce && self.0.iter().any(|verdict| !verdict.passed);
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
