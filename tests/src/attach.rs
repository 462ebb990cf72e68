//! memtrace while it traces: `attach` and `run`, stopped the ways users stop them.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::conversation::{Conversation, Lines};
use crate::memtrace::{self, Build};
use crate::report::Report;
use crate::{resources, wait};

/// A memtrace that traces. Dropping it kills it.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    stderr: Lines,
    folder: tempfile::TempDir,
    /// From its start until it said that all targets are attached.
    pub attached_after: Duration,
}

/// What it left when it ended.
#[derive(Debug)]
pub struct Finished {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// Standard error.
    pub stderr: String,
    /// The report's text, where it wrote one.
    pub text: Option<String>,
    /// From the signal (or the wait's beginning) to its end.
    pub ended_after: Duration,
}

impl Finished {
    /// The report, from a run that ended well.
    ///
    /// # Errors
    /// When it did not, or wrote none.
    pub fn report(&self) -> Result<Report> {
        ensure!(self.status.code() == Some(0), "memtrace: {}\n{}", self.status, self.stderr);
        self.report_whatever_the_code()
    }

    /// The report, from a run whose exit code is the command's.
    ///
    /// # Errors
    /// When there is none.
    pub fn report_whatever_the_code(&self) -> Result<Report> {
        let text = self.text.as_ref().with_context(|| format!("no report; {}", self.stderr))?;
        serde_json::from_str(text).with_context(|| format!("the report: {text}"))
    }
}

fn spawned(
    mut command: Command,
    folder: tempfile::TempDir,
) -> Result<(Tracer, Option<Conversation>)> {
    command.stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("start {command:?}"))?;
    let stderr = child.stderr.take().context("memtrace's standard error")?;
    let streams = child.stdin.take().zip(child.stdout.take());
    let conversation = streams.map(|(input, output)| Conversation::new(input, output));
    let stderr = Lines::new("memtrace", stderr);
    Ok((Tracer { child, stderr, folder, attached_after: Duration::ZERO }, conversation))
}

impl Tracer {
    /// Attaches and waits until memtrace says that every target is attached.
    ///
    /// # Errors
    /// When it ends before that.
    pub fn attach(pids: &[u32], options: &[&str]) -> Result<Self> {
        Self::attach_with(Build::Dev, pids, options)
    }

    /// [`Tracer::attach`] with a chosen build.
    ///
    /// # Errors
    /// When it ends before it has attached.
    pub fn attach_with(build: Build, pids: &[u32], options: &[&str]) -> Result<Self> {
        resources::root()?;
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(memtrace::binary(build)?);
        command.arg("attach").args(pids.iter().map(ToString::to_string)).args(options);
        command.args(["--format", "json", "-o"]).arg(folder.path().join("report.json"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let started = Instant::now();
        let (mut tracer, _) = spawned(command, folder)?;
        tracer.until_attached(pids.iter().copied())?;
        tracer.attached_after = started.elapsed();
        Ok(tracer)
    }

    /// Waits until memtrace has said of all these that they are attached to.
    ///
    /// # Errors
    /// When it ends before that.
    pub fn until_attached(&mut self, pids: impl IntoIterator<Item = u32>) -> Result<()> {
        let mut waiting: Vec<String> = pids.into_iter().map(|pid| format!("to {pid} ")).collect();
        while !waiting.is_empty() {
            let Some(line) = self.stderr.take_line()? else {
                let status = self.child.wait()?;
                bail!("memtrace ended ({status}) before it attached: {}", self.stderr.seen());
            };
            if line.starts_with("memtrace: attached ") {
                waiting.retain(|pid| !line.contains(pid.as_str()));
            }
        }
        Ok(())
    }

    /// Starts `memtrace run` with piped standard streams; `prepare` sets folder and environment.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn run(
        options: &[&str],
        command_line: &[&str],
        prepare: impl FnOnce(&mut Command) -> Result<()>,
    ) -> Result<(Self, Conversation)> {
        resources::root()?;
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(memtrace::binary(Build::Dev)?);
        command.arg("run").args(options).args(["--format", "json", "-o"]);
        command.arg(folder.path().join("report.json")).arg("--").args(command_line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        prepare(&mut command)?;
        let (tracer, conversation) = spawned(command, folder)?;
        Ok((tracer, conversation.context("memtrace's standard streams")?))
    }

    /// memtrace's own pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where the report goes.
    #[must_use]
    pub fn report_path(&self) -> PathBuf {
        self.folder.path().join("report.json")
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

    /// Ctrl-C, then the report.
    ///
    /// # Errors
    /// When it doesn't end.
    pub fn stop(self) -> Result<Finished> {
        self.signal(libc::SIGINT)?;
        self.wait()
    }

    /// `kill -9`
    ///
    /// # Errors
    /// When it doesn't end.
    pub fn kill(self) -> Result<Finished> {
        self.signal(libc::SIGKILL)?;
        let finished = self.wait()?;
        ensure!(finished.status.signal() == Some(libc::SIGKILL), "{finished:?}");
        Ok(finished)
    }

    /// Waits for its own end (`--duration`, or the end of what it ran).
    ///
    /// # Errors
    /// When it doesn't come.
    pub fn wait(mut self) -> Result<Finished> {
        let from = Instant::now();
        let child = &mut self.child;
        let status = wait::until("memtrace to end", || Ok(child.try_wait()?))
            .with_context(|| self.stderr.seen().to_owned())?;
        let ended_after = from.elapsed();
        let stderr = self.stderr.rest()?;
        ensure!(!stderr.contains("panicked at"), "memtrace panicked: {stderr}");
        let text = read_if_there(&self.report_path())?;
        Ok(Finished { status, stderr, text, ended_after })
    }
}

fn read_if_there(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Errors mean that it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
