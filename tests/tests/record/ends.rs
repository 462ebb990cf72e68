//! Recordings that end before their time: on a full disk, and cut off.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use ::memtrace::history::Entry;
use ::memtrace::recording::{Reader, Stop};
use harness::disk::SmallDisk;
use harness::interpreters::newest;
use harness::memtrace::{self, Build, finish};
use harness::recorder::Recorder;
use harness::report::Report;
use harness::target::Target;
use harness::{Context, Result, bpf, check, ensure, wait};

use crate::{STEP, TwoSteps};

/// How many windows there are, and why reading ended.
fn read(file: &Path) -> Result<(usize, Stop)> {
    let mut reader = Reader::open(BufReader::new(File::open(file)?))?;
    let windows = reader.by_ref().filter(|entry| matches!(entry, Entry::Window(_))).count();
    Ok((windows, reader.into_stop().context("an end")?))
}

/// The reports of a recording that is not whole: as far as it goes, with a warning; none if strict.
fn reported(file: &Path, why: &str) -> Result<Report> {
    let run = |options: &[&str]| {
        let mut command = memtrace::command(["report", "--format", "json"])?;
        finish(command.args(options).arg(file))
    };
    let output = run(&[])?;
    output.expect_code(0)?.expect_words(&["memtrace: warning:", "a.memtrace", why])?;
    let report: Report = serde_json::from_str(&output.stdout)?;
    check::law(&report)?;
    let strict = run(&["--strict"])?;
    strict.expect_code(1)?.expect_words(&["a.memtrace", why])?;
    ensure!(strict.stdout.is_empty(), "strict, and still: {:?}", strict.stdout);
    Ok(report)
}

#[test]
fn a_full_disk_ends_the_recording_well_formed_and_not_the_target() -> Result<()> {
    let disk = SmallDisk::with_free(8 << 10)?;
    let mut target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    let window = ["--window", "100ms"];
    let file = disk.path().join("a.memtrace");
    let recorder = Recorder::into_file(Build::Dev, &[target.pid], &window, Some(&file))?;
    let held = bpf::held_by(recorder.pid())?;
    held.is_tracing()?;
    let mark = target.go()?.mark("keeps")?.clone();
    let recorded = recorder.wait()?;
    ensure!(recorded.status.code() == Some(1), "{recorded:?}");
    let (windows, stop) = read(&file)?;
    ensure!(windows > 3, "only {windows} windows");
    let bytes = fs::metadata(&file)?.len();
    for words in [
        "a.memtrace",
        "No space left on device",
        &format!("{windows} windows ({bytes} bytes) are saved"),
    ] {
        ensure!(recorded.stderr.contains(words), "nothing about {words:?}: {}", recorded.stderr);
    }
    ensure!(
        matches!(&stop, Stop::Abandoned { why } if why.contains("No space left")),
        "it ends with {stop}"
    );
    let report = reported(&file, "No space left on device")?;
    let grown = report.process(target.pid)?.figures(&mark.file, mark.line).grown;
    ensure!((grown - STEP).abs() <= STEP / 50, "grown {grown}");
    held.is_gone()?;
    target.go().context("the target works on")?;
    ensure!(target.exit()?.success(), "the target failed");
    Ok(())
}

#[test]
fn a_full_disk_does_not_disturb_a_command_that_is_recorded() -> Result<()> {
    // Importing brings more names than there is room for.
    let disk = SmallDisk::with_free(4 << 10)?;
    let work = "import json, http.client, argparse, time; time.sleep(1); print('did it'); exit(5)";
    let mut command = memtrace::command(["record", "--window", "100ms", "-o"])?;
    command.arg(disk.path().join("a.memtrace")).arg("--").arg(newest()?.path).args(["-c", work]);
    let output = finish(&mut command)?;
    output.expect_code(1)?.expect_words(&["a.memtrace", "No space left", "saved"])?;
    ensure!(output.stdout == "did it\n", "the command was disturbed: {output:?}");
    let (_, stop) = read(&disk.path().join("a.memtrace"))?;
    ensure!(matches!(stop, Stop::Abandoned { .. }), "it ends with {stop}");
    Ok(())
}

#[test]
fn a_disk_without_any_room_is_told_before_a_command_is_started() -> Result<()> {
    let disk = SmallDisk::with_free(0)?;
    let mut command = memtrace::command(["record", "-o"])?;
    command.arg(disk.path().join("a.memtrace")).args(["--", "echo", "it ran"]);
    let output = finish(&mut command)?;
    output.expect_code(1)?.expect_words(&["a.memtrace", "No space left"])?;
    ensure!(output.stdout.is_empty(), "it ran: {output:?}");
    ensure!(!disk.path().join("a.memtrace").exists(), "an empty recording is left");
    Ok(())
}

#[test]
fn a_recording_cut_off_anywhere_is_reported_up_to_there() -> Result<()> {
    let steps = TwoSteps::record()?;
    let whole = fs::read(&steps.recording.file)?;
    let report = steps.recording.report(&["--strict"])?;
    let all = report.process(steps.pid)?.events;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.memtrace");
    let mut events = Vec::new();
    // The first frame has all names, and so most of the bytes.
    for missing in [150, 100, 50] {
        fs::write(&file, &whole[..whole.len() - missing])?;
        events.push(reported(&file, "byte ")?.process(steps.pid)?.events);
    }
    ensure!(events.is_sorted() && events[2] <= all, "{events:?} of {all}");
    // One byte short: everything but the end mark is there.
    fs::write(&file, &whole[..whole.len() - 1])?;
    let report = reported(&file, "cut off in the middle of a frame")?;
    ensure!(report.process(steps.pid)?.events == all);
    // A flipped bit: up to there.
    let mut flipped = whole.clone();
    let at = flipped.len() - 100;
    flipped[at] ^= 4;
    fs::write(&file, &flipped)?;
    reported(&file, "byte ")?;
    for command in ["plot", "diff"] {
        let mut memtrace = memtrace::command([command])?;
        memtrace.arg(&file);
        if command == "diff" {
            memtrace.arg(&steps.recording.file);
        }
        finish(&mut memtrace)?.expect_code(0)?.expect_words(&["memtrace: warning:", "byte "])?;
    }
    let mut strict = memtrace::command(["diff", "--strict"])?;
    let output = finish(strict.arg(&file).arg(&steps.recording.file))?;
    output.expect_code(1)?.expect_words(&["a.memtrace", "byte "]).map(drop)
}

#[test]
fn a_recording_that_goes_on_can_be_reported() -> Result<()> {
    let mut target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    let recorder = Recorder::of(&[target.pid], &["--window", "100ms"])?;
    let mark = target.go()?.mark("keeps")?.clone();
    let file = recorder.recording().file.clone();
    let seen = || -> Result<bool> {
        let report = recorder.recording().report(&[])?;
        Ok(report.process(target.pid).is_ok_and(|it| it.figures(&mark.file, mark.line).grown > 0))
    };
    wait::until("the step to be in the recording", || Ok(seen()?.then_some(())))?;
    reported(&file, "byte ")?;
    recorder.stop()?.report(&["--strict"]).map(drop)
}
