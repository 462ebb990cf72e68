//! memory_profiler itself, as `cargo xtask setup` installs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::resources::{self, succeed};

/// The interpreter that it is installed for.
///
/// # Errors
/// When it isn't.
pub fn interpreter() -> Result<PathBuf> {
    let link = folder().join("interpreter");
    std::fs::canonicalize(&link).context("memory_profiler is missing: run `cargo xtask setup`")
}

fn folder() -> PathBuf {
    resources::target_folder().join("memtrace-tests/mprof")
}

/// A command that runs a script under it.
///
/// # Errors
/// When it is not installed.
pub fn command(script: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(interpreter()?);
    command.env("PYTHONPATH", folder()).args(["-m", "memory_profiler"]).arg(script).args(arguments);
    Ok(command)
}

/// Occurrences by line that it prints for a script.
///
/// # Errors
/// When it fails, or prints none.
pub fn occurrences(script: &Path, arguments: &[&str]) -> Result<Vec<(u32, u64)>> {
    let text = succeed(&mut command(script, arguments)?)?;
    // Line, 1.0 MiB, 0.0 MiB, occurrences, text.
    let row = |line: &str| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let [number, _, "MiB", _, "MiB", count, ..] = cells[..] else { return None };
        Some((number.parse().ok()?, count.parse().ok()?))
    };
    let rows: Vec<_> = text.lines().filter_map(row).collect();
    ensure!(!rows.is_empty(), "no table in {text}");
    Ok(rows)
}
