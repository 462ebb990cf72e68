//! `--on-oom`: a recording of a process that was killed, and none of one that was not.

use harness::interpreters::newest;
use harness::recorder::Recorder;
use harness::target::Target;
use harness::{Result, check, ensure};

use crate::STEP;

#[test]
fn a_killed_process_leaves_a_recording_of_the_lines_that_held_memory() -> Result<()> {
    let mut target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    let pid = target.pid;
    let recorder = Recorder::of(&[pid], &["--on-oom", "--window", "100ms"])?;
    let mark = target.go()?.mark("keeps")?.clone();
    let rss = target.settled()?.rss;
    // SIGKILL, to its whole group.
    drop(target);
    let recorded = recorder.wait()?;
    ensure!(recorded.status.code() == Some(0), "{recorded:?}");
    ensure!(recorded.recording.file.exists(), "no recording: {}", recorded.stderr);
    let report = recorded.recording.report(&["--strict"])?;
    check::law(&report)?;
    let process = report.process(pid)?;
    let held = process.figures(&mark.file, mark.line).resident;
    ensure!((held - STEP).abs() <= STEP / 50, "it held {held} when it was killed");
    ensure!(process.rss_peak_bytes >= rss, "the peak is {}", process.rss_peak_bytes);
    Ok(())
}

#[test]
fn a_process_that_ends_by_itself_leaves_nothing() -> Result<()> {
    let mut target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    let recorder = Recorder::of(&[target.pid], &["--on-oom"])?;
    target.go()?;
    ensure!(target.exit()?.success(), "the target failed");
    let recorded = recorder.wait()?;
    ensure!(recorded.status.code() == Some(0), "{recorded:?}");
    ensure!(recorded.stderr.contains("no process was killed"), "{}", recorded.stderr);
    ensure!(!recorded.recording.file.exists(), "an empty recording is left");
    Ok(())
}

#[test]
fn ctrl_c_leaves_nothing_and_the_process_alone() -> Result<()> {
    let mut target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    let recorder = Recorder::of(&[target.pid], &["--on-oom"])?;
    target.go()?;
    let recording = recorder.stop()?;
    ensure!(!recording.file.exists(), "a recording though nothing was killed");
    ensure!(target.exit()?.success(), "the target failed");
    Ok(())
}
