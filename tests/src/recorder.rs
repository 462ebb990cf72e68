//! `memtrace record` while it runs, and the recording that it leaves, asked by the commands that
//! read it.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::conversation::Lines;
use crate::memtrace::{self, Build, Output, finish};
use crate::report::Report;
use crate::{resources, wait};

/// A memtrace that records. Dropping it kills it.
#[derive(Debug)]
pub struct Recorder {
    child: Child,
    stderr: Lines,
    recording: Recording,
}

/// A recording. The file goes with it, unless it was to be elsewhere.
#[derive(Debug)]
pub struct Recording {
    /// Where it is.
    pub file: PathBuf,
    _folder: tempfile::TempDir,
}

/// How a recorder ended.
#[derive(Debug)]
pub struct Recorded {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// Standard error.
    pub stderr: String,
    /// What it left.
    pub recording: Recording,
}

impl Recorder {
    /// Records processes and waits until memtrace says that it does.
    ///
    /// # Errors
    /// When it ends before that.
    pub fn of(pids: &[u32], options: &[&str]) -> Result<Self> {
        Self::into_file(Build::Dev, pids, options, None)
    }

    /// [`Recorder::of`] with a chosen build, into a file of a chosen place.
    ///
    /// # Errors
    /// When it ends before it records.
    pub fn into_file(
        build: Build,
        pids: &[u32],
        options: &[&str],
        file: Option<&Path>,
    ) -> Result<Self> {
        let mut recorder = Self::begin(build, pids, options, file)?;
        for pid in pids {
            recorder.says(&format!("recording {pid} "))?;
        }
        Ok(recorder)
    }

    /// Starts one, and waits for nothing.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn begin(
        build: Build,
        pids: &[u32],
        options: &[&str],
        file: Option<&Path>,
    ) -> Result<Self> {
        resources::root()?;
        let folder = tempfile::tempdir()?;
        let file = file.map_or_else(|| folder.path().join("a.memtrace"), Path::to_owned);
        let mut command = Command::new(memtrace::binary(build)?);
        command.env_remove("RUST_LOG").env("NO_COLOR", "1");
        command.arg("record").args(pids.iter().map(ToString::to_string)).args(options);
        command.arg("-o").arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let stderr = Lines::new("memtrace", child.stderr.take().context("standard error")?);
        Ok(Self { child, stderr, recording: Recording { file, _folder: folder } })
    }

    /// Waits for a line of standard error with these words.
    ///
    /// # Errors
    /// When it ends before it says so.
    pub fn says(&mut self, words: &str) -> Result<()> {
        while let Some(line) = self.stderr.take_line()? {
            if line.contains(words) {
                return Ok(());
            }
        }
        let status = self.child.wait()?;
        bail!("memtrace ended ({status}) before it said {words:?}: {}", self.stderr.seen())
    }

    /// memtrace's own pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The recording under way.
    #[must_use]
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: i32) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        // SAFETY: kill has no memory effects; the child is not reaped, so the pid is its own.
        let answer = unsafe { libc::kill(pid, signal) };
        ensure!(answer == 0, "signal {signal}: {}", std::io::Error::last_os_error());
        Ok(())
    }

    /// Ctrl-C, then the recording, which must be whole.
    ///
    /// # Errors
    /// When it doesn't end, or not well.
    pub fn stop(self) -> Result<Recording> {
        self.signal(libc::SIGINT)?;
        let recorded = self.wait()?;
        ensure!(recorded.status.code() == Some(0), "{recorded:?}");
        Ok(recorded.recording)
    }

    /// `kill -9`
    ///
    /// # Errors
    /// When it doesn't end.
    pub fn kill(self) -> Result<Recording> {
        self.signal(libc::SIGKILL)?;
        let recorded = self.wait()?;
        ensure!(recorded.status.signal() == Some(libc::SIGKILL), "{recorded:?}");
        Ok(recorded.recording)
    }

    /// Waits for its own end.
    ///
    /// # Errors
    /// When it doesn't come.
    pub fn wait(mut self) -> Result<Recorded> {
        let child = &mut self.child;
        let status = wait::until("memtrace to end", || Ok(child.try_wait()?))?;
        let stderr = self.stderr.rest()?;
        ensure!(!stderr.contains("panicked at"), "memtrace panicked: {stderr}");
        let elsewhere = Recording { file: PathBuf::new(), _folder: tempfile::tempdir()? };
        let recording = std::mem::replace(&mut self.recording, elsewhere);
        Ok(Recorded { status, stderr, recording })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Errors mean that it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Recording {
    /// Records a command to its end.
    ///
    /// # Errors
    /// When that can't be done.
    pub fn of_command<A: AsRef<OsStr>>(
        options: &[&str],
        command_line: &[A],
    ) -> Result<(Self, Output)> {
        resources::root()?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("a.memtrace");
        let mut command = memtrace::command(["record", "-o"])?;
        command.arg(&file).args(options).arg("--").args(command_line);
        crate::target::prepare(&mut command)?;
        let output = finish(&mut command)?;
        Ok((Self { file, _folder: folder }, output))
    }

    /// One run of a command that reads it: `memtrace COMMAND FILE OPTION…`.
    ///
    /// # Errors
    /// When it doesn't end, or panics.
    pub fn read(&self, command: &str, options: &[&str]) -> Result<Output> {
        let mut memtrace = memtrace::command([command])?;
        let output = finish(memtrace.arg(&self.file).args(options))?;
        output.no_panic()?;
        Ok(output)
    }

    /// What `memtrace report` prints with these options.
    ///
    /// # Errors
    /// When it ends with anything but 0.
    pub fn text(&self, options: &[&str]) -> Result<String> {
        let output = self.read("report", options)?;
        output.expect_code(0).with_context(|| format!("{options:?}"))?;
        Ok(output.stdout)
    }

    /// The JSON report.
    ///
    /// # Errors
    /// When there is none.
    pub fn report(&self, options: &[&str]) -> Result<Report> {
        let text = self.text(&[&["--format", "json"], options].concat())?;
        serde_json::from_str(&text).with_context(|| format!("the report: {text}"))
    }
}
