//! One run of a program under a tool: started, waited for, looked at from outside, its answer read.
//!
//! Tool and program run at the highest niceness, so that other work of the machine does not decide who is
//! fast. Not at a real-time priority: Austin then takes the program for something that isn't Python.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::{Lines, Place, Start, Tool};
use crate::memory;

/// A tool that takes longer for a run of about a second is stopped.
pub const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(5);
/// What the harness itself puts into a run's folder.
const OWN_FILES: [&str; 4] = ["result.json", "stdout.txt", "stderr.txt", "said.txt"];

/// What the program says of itself.
#[derive(Debug, Clone, Deserialize)]
pub struct Truth {
    /// Its own.
    pub pid: u32,
    /// How long the case took.
    pub loop_ns: u64,
    /// By how much RSS rose over the case (`smaps_rollup`).
    pub grown: i64,
    /// Its peak so far (`VmHWM`).
    pub peak: i64,
    /// Its lines.
    pub marks: Vec<Mark>,
}

/// What one line did, by construction.
#[derive(Debug, Clone, Deserialize)]
pub struct Mark {
    /// Its name.
    pub name: String,
    /// Its number.
    pub line: u32,
    /// Bytes that it asked for and still has at the end.
    pub asked: i64,
    /// Bytes that it made resident and that still are at the end.
    pub resident: i64,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The program's words.
    pub truth: Truth,
    /// From the tool's start to its answer.
    pub seconds: f64,
    /// Peak of the tool's own process, where it has one.
    pub tool_peak: Option<i64>,
    /// Bytes in files that the tool left.
    pub written: u64,
    /// Its answer.
    pub lines: Lines,
}

/// Runs the program under the tool.
///
/// # Errors
/// When either fails or takes longer than [`PATIENCE`].
pub fn once(tool: &Tool, place: &Place) -> Result<Run> {
    let result = place.folder.join("result.json");
    let mut peaks = Vec::new();
    let started = match tool.start {
        Start::Launch(command) => {
            let started = Instant::now();
            let child = spawn(&command(place), &place.folder, "stderr.txt")?;
            let pid = child.id();
            peaks.push((pid, wait(child, &place.folder, "stderr.txt")?));
            started
        }
        Start::Attach(command, word) => attached(place, command, word, &mut peaks)?,
    };
    for words in (tool.then)(place) {
        let child = spawn(&words, &place.folder, "stderr.txt")?;
        peaks.push((child.id(), wait(child, &place.folder, "stderr.txt")?));
    }
    let lines = (tool.answer)(place)?;
    let seconds = started.elapsed().as_secs_f64();
    let text = fs::read_to_string(result).context("the program gave no result")?;
    let truth: Truth = serde_json::from_str(&text)?;
    let others = peaks.into_iter().filter(|(pid, _)| *pid != truth.pid).map(|(_, peak)| peak);
    Ok(Run { tool_peak: others.max(), truth, seconds, written: written(&place.folder)?, lines })
}

/// Starts the program, attaches the tool, lets the program go, ends the tool, ends the program.
fn attached(
    place: &Place,
    command: fn(&Place, u32) -> Vec<String>,
    word: &str,
    peaks: &mut Vec<(u32, i64)>,
) -> Result<Instant> {
    let mut words = place.launch(&[&place.tool("python")]);
    words.push("wait".to_owned());
    let mut program = spawn(&words, &place.folder, "said.txt")?;
    let outcome = (|| {
        until_said(&mut program, &place.folder.join("stdout.txt"), "ready")?;
        let started = Instant::now();
        let mut tool = spawn_to(&command(place, program.id()), &place.folder, "tool.txt")?;
        until_said(&mut tool, &place.folder.join("tool.txt"), word)
            .inspect_err(|_| end(&mut tool))?;
        let mut input = program.stdin.take().context("standard input")?;
        input.write_all(b"\n")?;
        until_said(&mut program, &place.folder.join("stdout.txt"), "done")
            .inspect_err(|_| end(&mut tool))?;
        let pid = tool.id();
        // SAFETY: kill has no memory effects; the child is not reaped, so the pid is its own.
        unsafe { libc::kill(i32::try_from(pid)?, libc::SIGINT) };
        peaks.push((pid, wait(tool, &place.folder, "tool.txt")?));
        fs::remove_file(place.folder.join("tool.txt"))?;
        input.write_all(b"\n")?;
        Ok(started)
    })();
    if outcome.is_err() {
        end(&mut program);
        return outcome;
    }
    wait(program, &place.folder, "said.txt")?;
    outcome
}

/// None of them outlives the benchmark.
fn priority(words: &[String], folder: &Path) -> Command {
    let mut command = Command::new("nice");
    command
        .args(["-n", "-20", "setpriv", "--pdeathsig", "KILL"])
        .args(words)
        .current_dir(folder)
        .env("TMPDIR", folder);
    command.env_remove("RUST_LOG").env("NO_COLOR", "1").stdin(Stdio::piped()).process_group(0);
    command
}

/// Standard output into `stdout.txt`, standard error into another file.
fn spawn(words: &[String], folder: &Path, errors: &str) -> Result<Child> {
    let mut command = priority(words, folder);
    command.stdout(File::create(folder.join("stdout.txt"))?);
    command.stderr(File::create(folder.join(errors))?);
    command.spawn().with_context(|| format!("cannot start {words:?}"))
}

/// Both into one file.
fn spawn_to(words: &[String], folder: &Path, file: &str) -> Result<Child> {
    let file = File::create(folder.join(file))?;
    let mut command = priority(words, folder);
    command.stdout(file.try_clone()?).stderr(file);
    command.spawn().with_context(|| format!("cannot start {words:?}"))
}

fn end(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        // SAFETY: kill has no memory effects; the group is the child's own, made when it was started.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
    let _ended = child.wait();
}

fn until_said(child: &mut Child, file: &Path, word: &str) -> Result<()> {
    let started = Instant::now();
    loop {
        let said = fs::read_to_string(file).unwrap_or_default();
        if said.contains(word) {
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            bail!("{}", complaint(&said).unwrap_or_else(|| format!("ended with {status}")));
        }
        ensure!(started.elapsed() < PATIENCE, "stopped after {} s", PATIENCE.as_secs());
        thread::sleep(PAUSE);
    }
}

/// Waits for a success; gives the highest memory seen on the way.
fn wait(mut child: Child, folder: &Path, errors: &str) -> Result<i64> {
    let (started, mut peak) = (Instant::now(), 0);
    loop {
        peak = memory::peak(child.id()).unwrap_or_default().max(peak);
        if let Some(status) = child.try_wait()? {
            let said = fs::read_to_string(folder.join(errors)).unwrap_or_default();
            if !status.success() {
                bail!("{}", complaint(&said).unwrap_or_else(|| format!("ended with {status}")));
            }
            return Ok(peak);
        }
        if started.elapsed() > PATIENCE {
            end(&mut child);
            bail!("stopped after {} s", PATIENCE.as_secs());
        }
        thread::sleep(PAUSE);
    }
}

/// What of a tool's messages says most: the first that names a missing thing, else the last.
fn complaint(said: &str) -> Option<String> {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let missing = lines.clone().find(|line| line.contains("No such file"));
    missing.or_else(|| lines.next_back()).map(str::to_owned)
}

fn written(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sum += written(&entry.path())?;
        } else if !OWN_FILES.iter().any(|own| entry.file_name() == *own) {
            sum += entry.metadata()?.len();
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_thing_is_the_complaint_not_the_last_line() {
        let said =
            "chdir(/lib/modules/x/build): No such file or directory\nTraceback:\n  Exception\n";
        let told = complaint(said).unwrap();
        assert_eq!(told, "chdir(/lib/modules/x/build): No such file or directory");
        assert_eq!(complaint("one\ntwo\n\n").unwrap(), "two");
        assert_eq!(complaint(" \n"), None);
    }
}
