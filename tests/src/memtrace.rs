//! The `memtrace` binary, and one run of it to its end.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::conversation::Lines;
use crate::resources::{self, succeed};
use crate::wait;

/// Which build of memtrace to make when `MEMTRACE_BIN` names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// For tests.
    Dev,
    /// For measurements.
    Release,
}

/// The binary: `MEMTRACE_BIN`, or the workspace's, built now.
///
/// # Errors
/// When it can't be built.
pub fn binary(build: Build) -> Result<PathBuf> {
    static DEV: OnceLock<PathBuf> = OnceLock::new();
    static RELEASE: OnceLock<PathBuf> = OnceLock::new();
    let (cell, folder) = match build {
        Build::Dev => (&DEV, "debug"),
        Build::Release => (&RELEASE, "release"),
    };
    if let Some(found) = cell.get() {
        return Ok(found.clone());
    }
    let path = match std::env::var_os("MEMTRACE_BIN") {
        Some(named) => std::path::absolute(Path::new(&named))?,
        None => {
            let mut cargo = resources::cargo();
            cargo.args(["build", "--quiet", "-p", "memtrace"]);
            if build == Build::Release {
                cargo.arg("--release");
            }
            succeed(&mut cargo)?;
            resources::target_folder().join(folder).join("memtrace")
        }
    };
    ensure!(path.is_file(), "no memtrace at {}", path.display());
    Ok(cell.get_or_init(|| path).clone())
}

/// A command line of memtrace, in its tests' build, with nothing of the caller's settings.
///
/// # Errors
/// When there is no binary.
pub fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Command> {
    let mut command = Command::new(binary(Build::Dev)?);
    command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1");
    Ok(command)
}

/// What a finished run left.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl Output {
    /// Its exit code is `code`, and it did not panic.
    ///
    /// # Errors
    /// When it is another.
    pub fn expect_code(&self, code: i32) -> Result<&Self> {
        self.no_panic()?;
        ensure!(self.status.code() == Some(code), "{} where {code} was due: {self:?}", self.status);
        Ok(self)
    }

    /// Standard error has all these words, whatever their case.
    ///
    /// # Errors
    /// When one is missing.
    pub fn expect_words(&self, words: &[&str]) -> Result<&Self> {
        let said = self.stderr.to_lowercase();
        for word in words {
            ensure!(said.contains(&word.to_lowercase()), "nothing about {word:?} in {said:?}");
        }
        Ok(self)
    }

    /// It ended by itself and in words.
    ///
    /// # Errors
    /// When it panicked.
    pub fn no_panic(&self) -> Result<&Self> {
        let said = &self.stderr;
        ensure!(!said.contains("panicked at") && !said.contains("RUST_BACKTRACE"), "{self:?}");
        Ok(self)
    }
}

/// Runs a command to its end; more than [`wait::PATIENCE`] is an error, and ends it.
///
/// # Errors
/// When it can't be started or doesn't end.
pub fn finish(command: &mut Command) -> Result<Output> {
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {command:?}"))?;
    let stdout = child.stdout.take().map(|pipe| Lines::new("standard output", pipe));
    let stderr = child.stderr.take().map(|pipe| Lines::new("standard error", pipe));
    let status = match wait::until("memtrace to end", || Ok(child.try_wait()?)) {
        Ok(status) => status,
        Err(error) => {
            child.kill()?;
            child.wait()?;
            return Err(error.context(format!("{command:?}")));
        }
    };
    let took = started.elapsed();
    let text = |lines: Option<Lines>| lines.map(|mut lines| lines.rest()).transpose();
    let (stdout, stderr) = (text(stdout)?.unwrap_or_default(), text(stderr)?.unwrap_or_default());
    Ok(Output { status, stdout, stderr, took })
}
