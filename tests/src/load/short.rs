//! Programs that start, allocate at a known line and end, as many at a time as the machine can start.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::daemon::Daemon;
use crate::interpreters::Interpreter;
use crate::report::Report;
use crate::target::Target;

/// What each of them allocates.
pub const BYTES: i64 = 20 << 20;

/// A line that lies beyond a page more than it asked for.
const BESIDE: i64 = 64 << 10;

/// Programs that differ in their file and in the line that allocates, so that nothing of one can pass for
/// another's.
#[derive(Debug)]
pub struct Programs {
    folder: tempfile::TempDir,
    tag: String,
}

/// How many different ones there are.
const KINDS: usize = 7;

/// How it went, as the processes themselves know it.
#[derive(Debug, Clone, Copy)]
pub struct Ran {
    /// Processes.
    pub processes: usize,
    /// From the first start to the last end.
    pub took: Duration,
}

/// What a report says of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Named {
    /// Processes in the report.
    pub processes: usize,
    /// Their bytes on the line that allocated them.
    pub on_the_line: i64,
    /// Bytes on lines of another program's file.
    pub on_others: i64,
    /// Processes of whose growth the line has less than all.
    pub short_of_all: usize,
}

impl Programs {
    /// Writes them; they are called with `tag`.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn new(tag: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let programs = Self { folder, tag: tag.to_owned() };
        for kind in 0..KINDS {
            let text = format!("{}kept = bytearray({BYTES})\n", "# nothing\n".repeat(kind));
            fs::write(programs.file(kind), text)?;
        }
        Ok(programs)
    }

    fn file(&self, kind: usize) -> PathBuf {
        self.folder.path().join(format!("short_{kind}.py"))
    }

    /// Runs `count` of them, `at_once` at a time.
    ///
    /// # Errors
    /// When one fails.
    pub fn run(&self, pythons: &[Interpreter], count: usize, at_once: usize) -> Result<Ran> {
        let (next, begun) = (AtomicUsize::new(0), Instant::now());
        let one = |number: usize| -> Result<()> {
            let python = &pythons[number % pythons.len()];
            let mut command = Command::new(&python.path);
            command.arg(self.file(number % KINDS)).arg(&self.tag).stdin(Stdio::null());
            let status = command.status()?;
            ensure!(status.success(), "{command:?}: {status}");
            Ok(())
        };
        let worker = || -> Result<()> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                one(number)?;
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().try_for_each(|it| it.join().ok().context("a worker panicked")?)
        })?;
        Ok(Ran { processes: count, took: begun.elapsed() })
    }

    /// The report of a daemon, once it has booked all that ran. It may be behind by what its ring buffer
    /// holds, and the ring buffer keeps order: when a program is known that began after them, so are they.
    ///
    /// # Errors
    /// When that never is, or there is no answer.
    pub fn report(&self, daemon: &Daemon, python: &Interpreter) -> Result<Report> {
        let last = Target::start(python, "resident.py", &["keeps", &self.tag])?;
        daemon.process(last.pid)?;
        daemon.next_window()?;
        daemon.report("")
    }

    /// What of their growth a report names.
    ///
    /// # Errors
    /// When a process of the report has no file.
    pub fn named(&self, report: &Report) -> Result<Named> {
        let mut named = Named::default();
        for process in report.processes.iter().filter(|it| it.command.contains(&self.tag)) {
            let file = process.command.get(1).context("the program's file")?;
            let kind = (0..KINDS).find(|kind| self.file(*kind).as_os_str() == file.as_str());
            // What was started otherwise is not counted.
            let Some(line) = kind.map(|kind| kind as u32 + 1) else { continue };
            let grown = process.figures(file, line).grown;
            named.processes += 1;
            named.on_the_line += grown.min(BYTES);
            named.short_of_all += usize::from(!(BYTES..BYTES + BESIDE).contains(&grown));
            let folder = self.folder.path().to_string_lossy();
            let others = process.lines.iter().filter(|it| it.file.starts_with(&*folder));
            let others = others.filter(|it| it.file != *file);
            named.on_others += others.map(|it| it.self_grown_bytes).sum::<i64>();
        }
        Ok(named)
    }
}

impl Named {
    /// How much of what all of them allocated is named by file and line.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a share, for people")]
    pub fn share(&self, ran: &Ran) -> f64 {
        self.on_the_line as f64 / (ran.processes as i64 * BYTES) as f64
    }
}
