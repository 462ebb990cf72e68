//! `--start-at-rss` and `--start-at-growth`: nothing is attached before the condition holds.

use harness::bpf::{self, Loads};
use harness::interpreters::newest;
use harness::memory::status_field;
use harness::memtrace::Build;
use harness::recorder::Recorder;
use harness::target::Target;
use harness::{Result, check, ensure, wait};

use crate::{MIB, STEP};

/// A recorder that waits: it lives, and has nothing in the kernel.
fn waiting(pid: u32, options: &[&str]) -> Result<Recorder> {
    let recorder = Recorder::begin(Build::Dev, &[pid], options, None)?;
    let file = recorder.recording().file.clone();
    wait::until("memtrace to have its file", || Ok(file.exists().then_some(())))?;
    // It sleeps between two looks at the process. Meanwhile it never has anything.
    let sleeps =
        || -> Result<u64> { Ok(status_field(recorder.pid(), "voluntary_ctxt_switches")?.parse()?) };
    let before = sleeps()?;
    wait::until("memtrace to look ten times", || {
        bpf::held_by(recorder.pid())?.is_nothing()?;
        Ok((sleeps()? >= before + 10).then_some(()))
    })?;
    Ok(recorder)
}

/// Lets the condition come true by a step; the next step is what is recorded.
fn armed_by_a_step(condition: &[&str], said: &str, mut target: Target) -> Result<()> {
    let pid = target.pid;
    let mut recorder = waiting(pid, condition)?;
    let unarmed = Loads::now()?;
    target.go()?;
    let before = target.settled()?.rss;
    recorder.says(said)?;
    recorder.says(&format!("recording {pid} "))?;
    let held = bpf::held_by(recorder.pid())?;
    held.is_tracing()?;
    held.is_younger_than(&unarmed)?;
    let truth = target.go()?;
    let report = recorder.stop()?.report(&["--strict"])?;
    check::law(&report)?;
    let process = report.process(pid)?;
    ensure!(process.rss_before_bytes == before, "before: {}", process.rss_before_bytes);
    let mark = truth.mark("keeps")?;
    let grown = process.figures(&mark.file, mark.line).grown;
    ensure!((grown - STEP).abs() <= STEP / 50, "grown {grown}");
    Ok(())
}

fn target() -> Result<(Target, i64)> {
    let target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    let rss = target.settled()?.rss;
    Ok((target, rss))
}

#[test]
fn recording_starts_at_an_rss_and_nothing_is_attached_before() -> Result<()> {
    let (target, rss) = target()?;
    let bound = (rss + 8 * MIB).to_string();
    let said = format!("process {} has an RSS of ", target.pid);
    armed_by_a_step(&["--start-at-rss", &bound], &said, target)
}

#[test]
fn recording_starts_at_a_growth_and_nothing_is_attached_before() -> Result<()> {
    // 16 MiB in the ten seconds that growth is judged over.
    let (target, _) = target()?;
    let said = format!("process {} has grown by ", target.pid);
    armed_by_a_step(&["--start-at-growth", "1MiB/s"], &said, target)
}

#[test]
fn a_condition_that_holds_already_starts_at_once() -> Result<()> {
    let (target, _) = target()?;
    let recorder = Recorder::of(&[target.pid], &["--start-at-rss", "1MiB"])?;
    bpf::held_by(recorder.pid())?.is_tracing()?;
    recorder.stop()?.report(&["--strict"]).map(drop)
}

#[test]
fn ctrl_c_before_the_condition_holds_leaves_nothing() -> Result<()> {
    let (target, _) = target()?;
    let recorder = waiting(target.pid, &["--start-at-rss", "1TiB"])?;
    recorder.signal(libc::SIGINT)?;
    let recorded = recorder.wait()?;
    ensure!(recorded.status.code() == Some(0), "{recorded:?}");
    ensure!(recorded.stderr.contains("nothing is recorded"), "{}", recorded.stderr);
    ensure!(!recorded.recording.file.exists(), "an empty recording is left");
    ensure!(target.exit()?.success(), "the target failed");
    Ok(())
}

#[test]
fn a_target_that_ends_before_the_condition_holds_is_exit_code_3() -> Result<()> {
    let (target, _) = target()?;
    let pid = target.pid.to_string();
    let recorder = waiting(target.pid, &["--start-at-rss", "1TiB"])?;
    target.exit()?;
    let recorded = recorder.wait()?;
    ensure!(recorded.status.code() == Some(3), "{recorded:?}");
    ensure!(recorded.stderr.contains(&pid), "{}", recorded.stderr);
    ensure!(!recorded.recording.file.exists(), "an empty recording is left");
    Ok(())
}
