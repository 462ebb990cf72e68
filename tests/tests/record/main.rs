//! Record once, report often: targets of stated truth, recorded live, and every command that reads
//! a recording.

mod arms;
mod diff;
mod ends;
mod forms;
mod oom;
mod parts;
mod refused;

use std::path::Path;

use harness::interpreters::{for_each, newest};
use harness::recorder::{Recorder, Recording};
use harness::report::Process;
use harness::target::{Target, program};
use harness::truth::{Mark, Truth};
use harness::{Context, Result, check, ensure, memory, traced, wait};

const MIB: i64 = 1 << 20;
/// What `resident.py keeps` grows at each step.
const STEP: i64 = 16 * MIB;

/// A program that grew by [`STEP`] twice, some windows apart.
struct TwoSteps {
    recording: Recording,
    pid: u32,
    mark: Mark,
    /// A time between the two, as an option is typed.
    between: String,
    /// RSS between and after them, by the page tables.
    rss: [i64; 2],
}

impl TwoSteps {
    fn record() -> Result<Self> {
        let mut target = Target::start(&newest()?, "resident.py", &["keeps"])?;
        let pid = target.pid;
        let recorder = Recorder::of(&[pid], &["--window", "100ms"])?;
        let mut rss = [0; 2];
        let mut mark = None;
        for rss in &mut rss {
            mark = Some(target.go()?.mark("keeps")?.clone());
            *rss = target.settled()?.rss;
            let length =
                || -> Result<u64> { Ok(std::fs::metadata(&recorder.recording().file)?.len()) };
            // Three windows further: what has happened is in one that has closed.
            for _ in 0..3 {
                let before = length()?;
                wait::until("a window to close", || Ok((length()? > before).then_some(())))?;
            }
        }
        let recording = recorder.stop()?;
        let mark = mark.context("a mark")?;
        let report = recording.report(&[])?;
        let between = steps(report.process(pid)?)?;
        Ok(Self { recording, pid, mark, between, rss })
    }
}

/// A time between the first two steps of more than half of [`STEP`] in the course of RSS.
fn steps(process: &Process) -> Result<String> {
    let course = process.more.get("timeline").and_then(|it| it.as_array()).context("a course")?;
    let point =
        |point: &serde_json::Value| Some((point["at_ns"].as_u64()?, point["rss_bytes"].as_i64()?));
    let points: Vec<(u64, i64)> = course.iter().filter_map(point).collect();
    let mut rss = process.rss_before_bytes;
    let mut steps = Vec::new();
    for (at, now) in points {
        if now - rss > STEP / 2 {
            steps.push(at);
        }
        rss = now;
    }
    ensure!(steps.len() == 2, "steps at {steps:?} of {course:?}");
    Ok(format!("{}ns", steps[0].midpoint(steps[1])))
}

#[test]
fn a_recording_says_what_the_program_and_the_kernel_say() -> Result<()> {
    for_each(|python| {
        let mut target = Target::start(python, "resident.py", &["frees_on_another_line"])?;
        target.settled()?;
        let recorder = Recorder::of(&[target.pid], &[])?;
        let truth = target.go()?;
        let kernel = traced::family(target.pid)?;
        let report = recorder.stop()?.report(&["--strict"])?;
        check::law(&report)?;
        check::agrees_with_kernel(&report, target.pid, kernel[&target.pid])?;
        check::resident_by_line(report.process(target.pid)?, &truth)
    })
}

#[test]
fn a_command_is_recorded_from_its_first_instruction_and_its_exit_code_passed_on() -> Result<()> {
    let python = newest()?.path;
    let file = program("grows.py");
    let (recording, output) = Recording::of_command(&[], &[python.as_path(), &file])?;
    output.expect_code(0)?;
    let done = output.stdout.strip_prefix("done ").context("what the command says")?;
    let truth: Truth = serde_json::from_str(done)?;
    let mark = truth.mark("script")?;
    let report = recording.report(&["--strict"])?;
    check::law(&report)?;
    let grown: i64 =
        report.processes.iter().map(|life| life.figures(&mark.file, mark.line).grown).sum();
    ensure!((grown - mark.grown()?).abs() <= mark.grown()? / 100, "grown {grown}");

    for (command, code) in [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)]
    {
        let words = [python.as_path(), Path::new("-c"), Path::new(command)];
        let (recording, output) = Recording::of_command(&[], &words)?;
        output.expect_code(code)?;
        check::law(&recording.report(&["--strict"])?)?;
    }
    Ok(())
}

#[test]
fn source_comes_from_the_recording_when_the_file_is_gone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for name in ["resident.py", "protocol.py"] {
        std::fs::copy(program(name), folder.path().join(name))?;
    }
    let mut command = std::process::Command::new(newest()?.path);
    command.arg(folder.path().join("resident.py")).arg("keeps");
    harness::target::prepare(&mut command)?;
    let mut target = Target::start_command(command)?;
    let recorder = Recorder::of(&[target.pid], &[])?;
    target.go()?;
    let recording = recorder.stop()?;
    target.exit()?;
    folder.close()?;
    let line = "kept = bytearray(SIZE)  # mark: keeps";
    let table = recording.text(&[])?;
    let row = table.lines().find(|row| row.ends_with(line)).with_context(|| table.clone())?;
    ensure!(row.contains("16.0") && row.contains("MiB"), "{row}");
    let page = recording.text(&["--format", "html"])?;
    ensure!(page.contains(line), "the page has no source");
    Ok(())
}

#[test]
fn what_a_target_starts_is_recorded_with_it() -> Result<()> {
    let mut target = Target::start(&newest()?, "processes.py", &["child_grows_and_stays"])?;
    let recorder = Recorder::of(&[target.pid], &["--window", "100ms"])?;
    let truth = target.go()?;
    let children = memory::descendants(target.pid)?;
    let report = recorder.stop()?.report(&["--strict"])?;
    check::law(&report)?;
    ensure!(!truth.children.is_empty(), "it started none");
    for child in &truth.children {
        ensure!(children.contains(child), "{child} is gone");
        report.process(*child)?;
    }
    Ok(())
}
