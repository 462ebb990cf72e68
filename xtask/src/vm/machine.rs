//! One boot of one kernel in QEMU, and what came out of it.
//!
//! Software emulation only: where KVM can't be used, it is often there all the same and hangs. Both
//! CPUs share one thread of QEMU: with a thread each, a CPU may go on executing an instruction that
//! another has replaced, which kills the guest as tracepoints are switched on and off ("Oops: int3", seen
//! with QEMU 7.2). The machine has two serial lines: the first is the kernel's console, kept in a file; the second
//! carries what `guest` says, a JSON object a line.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::architecture::Architecture;
use super::kernels::Kernel;
use super::paces::{self, Attached, Pace};
use super::suites::Suite;
use crate::process;

/// A run that takes longer hangs: aarch64's take four minutes, and many more beside other work.
const LONGEST: Duration = Duration::from_secs(2400);
/// MiB. With 2,048 a kernel that has the tests' files in memory, too, may take pages back that a test counts on.
const MEMORY: &str = "4096";

/// Fails when there is no QEMU.
pub(super) fn require(architecture: Architecture) -> Result<()> {
    let (qemu, packages) = (architecture.qemu(), architecture.packages());
    if process::find_program(qemu).is_none() {
        bail!("`{qemu}` is not on PATH: apt-get install --no-install-recommends {packages}");
    }
    Ok(())
}

/// What `guest` says.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    /// `uname -r`.
    Release(String),
    /// `uname -v`: `#1 SMP Debian 5.10.223-1 (2024-08-10)`.
    Version(String),
    /// A test's name, whether it passed, and at which try.
    Test { name: String, passed: bool, tries: u32 },
    /// What doctor does not call ok.
    Limit(String),
    /// How fast it is.
    Pace(Pace),
    /// How long it takes with all probes, where memtrace traces.
    Attached(Attached),
    /// A line of a failed test.
    Line(String),
    /// It has come to its end, and whether well.
    End(bool),
}

/// What one kernel did.
pub(super) struct Outcome {
    suite: &'static Suite,
    /// Only tests whose names have this in them were to run.
    only: String,
    /// What it is called here.
    pub(super) name: &'static str,
    pub(super) release: String,
    /// The version of the distribution's package, which tells more than the release.
    pub(super) package: String,
    /// Whether it passed, by `binary::test`.
    pub(super) tests: BTreeMap<String, bool>,
    /// Those that passed, but not at the first try.
    pub(super) flaky: Vec<String>,
    /// What doctor does not call ok.
    pub(super) limits: Vec<String>,
    pace: Option<Pace>,
    attached: Option<Attached>,
    /// What was said of those that failed.
    lines: Vec<String>,
    ended: bool,
    console: PathBuf,
    took: Duration,
}

impl Outcome {
    /// Every test ran and passed, and the machine came to its end.
    pub(super) fn is_complete(&self) -> bool {
        let wanted = |test: &String| test.contains(&self.only);
        let mut tests = self.suite.tests().filter(wanted);
        self.ended && tests.all(|test| self.tests.get(&test) == Some(&true))
    }

    /// Whether this test was to run.
    pub(super) fn has(&self, test: &str) -> bool {
        self.suite.tests().any(|one| one == test)
    }

    /// How long it takes with all probes, in a sentence.
    pub(super) fn took(&self, here: Option<Pace>) -> Option<String> {
        Some(paces::sentence(here?, self.pace?, self.attached?))
    }

    pub(super) fn print(&self) {
        let passed = self.tests.values().filter(|passed| **passed).count();
        println!(
            "vm: Linux {} ({}): {passed} of {} tests passed, {:.1} s",
            self.release,
            self.name,
            self.tests.len(),
            self.took.as_secs_f64()
        );
        for (name, passed) in &self.tests {
            let outcome = match passed {
                true if self.flaky.contains(name) => "FLAKY ",
                true => "ok    ",
                false => "FAILED",
            };
            println!("vm:   {outcome} {name}");
        }
        if !self.ended || !self.flaky.is_empty() || self.tests.values().any(|passed| !passed) {
            for line in &self.lines {
                println!("vm:   | {line}");
            }
        }
        if !self.ended {
            println!("vm:   it did not come to its end; its console: {}", self.console.display());
        }
    }
}

/// A machine that doesn't outlive us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Boots a kernel and runs a suite of tests on it, those whose names have `only` in them.
pub(super) fn boot(
    kernel: &Kernel,
    suite: &'static Suite,
    only: &str,
    initramfs: &Path,
    verbose: bool,
) -> Result<Outcome> {
    let architecture = kernel.architecture;
    let console = super::folder().join(format!("console-{}-{}", architecture.name(), kernel.name));
    let mut command = Command::new(architecture.qemu());
    command.args(architecture.machine()).args(["-smp", "2", "-m", MEMORY]);
    command.args(["-nodefaults", "-display", "none", "-no-reboot"]);
    command.arg("-serial").arg(format!("file:{}", console.display()));
    command.args(architecture.voice());
    command.arg("-kernel").arg(&kernel.file).arg("-initrd").arg(initramfs);
    let (line, voice) = architecture.lines();
    // What follows `--` is for /init.
    let words = format!("console={line} panic=-1 quiet -- {} {voice} {only}", suite.name);
    command.args(["-append", &words]).stdin(Stdio::null()).stdout(Stdio::piped());
    println!("$ {}", process::shown(&command));
    let start = Instant::now();
    let mut machine =
        command.spawn().map(Running).with_context(|| process::not_started(&command))?;
    let output = machine.0.stdout.take().context("QEMU's output")?;
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if send.send(String::from_utf8_lossy(&line).trim().to_owned()).is_err() {
                break;
            }
        }
    });
    let mut outcome = Outcome {
        suite,
        only: only.to_owned(),
        name: kernel.name,
        release: kernel.release.clone(),
        package: String::new(),
        tests: BTreeMap::new(),
        flaky: Vec::new(),
        limits: Vec::new(),
        pace: None,
        attached: None,
        lines: Vec::new(),
        ended: false,
        console,
        took: Duration::ZERO,
    };
    loop {
        let left = LONGEST.saturating_sub(start.elapsed());
        match lines.recv_timeout(left) {
            Ok(line) => {
                if verbose {
                    println!("vm: {:.1} s: {line}", start.elapsed().as_secs_f64());
                }
                outcome.hear(&line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                outcome.lines.push(format!("ended after {LONGEST:?}"));
                break;
            }
        }
    }
    outcome.took = start.elapsed();
    if !outcome.ended {
        let text = fs::read(&outcome.console).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let last: Vec<_> = text.lines().rev().take(20).map(|it| it.trim().to_owned()).collect();
        outcome.lines.extend(last.into_iter().rev());
    }
    Ok(outcome)
}

impl Outcome {
    /// Takes in one line of `guest`'s; anything else is kept as a line.
    fn hear(&mut self, line: &str) {
        match serde_json::from_str(line) {
            Ok(Said::Release(release)) => self.release = release,
            Ok(Said::Version(version)) => self.package = package_in(&version).to_owned(),
            Ok(Said::Test { name, passed, tries }) => {
                if passed && tries > 1 {
                    self.flaky.push(name.clone());
                }
                self.tests.insert(name, passed);
            }
            Ok(Said::Limit(limit)) => self.limits.push(limit),
            Ok(Said::Pace(pace)) => self.pace = Some(pace),
            Ok(Said::Attached(attached)) => self.attached = Some(attached),
            Ok(Said::Line(line)) => self.lines.push(line),
            Ok(Said::End(well)) => self.ended = well,
            Err(_) if line.is_empty() => {}
            Err(_) => self.lines.push(line.to_owned()),
        }
    }
}

/// The package's version in what `uname -v` says: Debian's whole, of Ubuntu's what the release doesn't tell.
fn package_in(version: &str) -> &str {
    let mut words = version.split_whitespace();
    match words.clone().next() {
        Some(first) if first.ends_with("-Ubuntu") => first.trim_start_matches('#'),
        _ => words.find(|word| *word == "Debian").and_then(|_| words.next()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::package_in;

    #[test]
    fn the_version_names_the_package() {
        assert_eq!(package_in("#1 SMP Debian 5.10.223-1 (2024-08-10)"), "5.10.223-1");
        assert_eq!(package_in("#39~22.04.1-Ubuntu SMP Thu Nov 16"), "39~22.04.1-Ubuntu");
        assert_eq!(package_in("#1 SMP"), "");
    }
}
