//! `memtrace explain --freeze` lets go in every case: when it ends, when it is told to, when it is
//! killed; and what somebody else has stopped stays stopped.

use std::process::{Child, Stdio};
use std::time::Duration;

use harness::explained::{self, Explained, near};
use harness::interpreters::newest;
use harness::process::Process;
use harness::target::Target;
use harness::{Context, Result, ensure, memory, memtrace, wait};

/// A target with so much memory that looking at it takes a while, parked.
fn large() -> Result<Target> {
    let mut target = Target::start(&newest()?, "explained.py", &["freed"])?;
    target.go()?;
    Ok(target)
}

fn tracer(pid: u32) -> Result<u32> {
    memory::status_field(pid, "TracerPid")?.parse().context("TracerPid")
}

/// The letter of the state of every thread.
fn states(pid: u32) -> Result<String> {
    let mut states = String::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        let rest = stat.rsplit_once(')').context("stat")?.1;
        states.push_str(rest.split_whitespace().next().context("state")?);
    }
    Ok(states)
}

/// Starts memtrace and sends it a signal while it holds the target; gives up after some tries, as
/// it may be too quick.
fn interrupted_by(target: &Target, signal: libc::c_int) -> Result<()> {
    for _ in 0..50 {
        let pid = target.pid.to_string();
        let mut command = memtrace::command(["explain", &pid, "--freeze", "--format", "json"])?;
        let mut memtrace: Child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let held = wait::until("memtrace to hold the process, or to end", || {
            if tracer(target.pid)? == memtrace.id() {
                return Ok(Some(true));
            }
            Ok(memtrace.try_wait()?.map(|_| false))
        })?;
        if held {
            // SAFETY: kill has no memory effects here; the child has not been waited for.
            unsafe { libc::kill(i32::try_from(memtrace.id())?, signal) };
        }
        let status = memtrace.wait()?;
        if held && !status.success() {
            return Ok(());
        }
    }
    harness::bail!("memtrace was never caught while it held the process")
}

fn runs_on(target: &mut Target) -> Result<()> {
    wait::until("the process to be let go", || Ok((tracer(target.pid)? == 0).then_some(())))?;
    wait::until("the process to sleep again", || Ok((states(target.pid)? == "S").then_some(())))?;
    // It does its next step, which it could not do when it were stopped.
    target.go().map(drop)
}

#[test]
fn a_held_process_runs_on_when_memtrace_is_killed_or_told_to_end() -> Result<()> {
    for signal in [libc::SIGKILL, libc::SIGINT, libc::SIGTERM] {
        let mut target = large()?;
        interrupted_by(&target, signal)?;
        runs_on(&mut target)?;
    }
    Ok(())
}

#[test]
fn a_held_process_runs_on_when_the_result_can_not_be_written() -> Result<()> {
    let mut target = large()?;
    let output = explained::run(target.pid, &["--freeze", "--output", "/dev/full"])?;
    output.expect_code(1)?.expect_words(&["/dev/full"])?;
    runs_on(&mut target)
}

#[test]
fn a_process_that_somebody_has_stopped_stays_stopped() -> Result<()> {
    let mut target = large()?;
    let kill = |signal| {
        // SAFETY: kill has no memory effects here; the target is a child that is not reaped.
        unsafe { libc::kill(target.pid.cast_signed(), signal) };
    };
    kill(libc::SIGSTOP);
    wait::until("the process to stop", || Ok((states(target.pid)? == "T").then_some(())))?;
    let held = Explained::of(target.pid, &["--freeze"])?;
    ensure!(held.number(&["frozen_ns"])? > 0, "it was not held");
    for _ in 0..10 {
        ensure!(states(target.pid)? == "T", "it is {} now", states(target.pid)?);
        std::thread::sleep(Duration::from_millis(10));
    }
    let free = Explained::of(target.pid, &[])?;
    near("RSS", free.number(&["rss_bytes"])?, held.number(&["rss_bytes"])?, 0)?;
    kill(libc::SIGCONT);
    runs_on(&mut target)
}

#[test]
fn a_process_that_waits_in_a_system_call_goes_on_waiting() -> Result<()> {
    let python = newest()?;
    let code = "import time, sys; time.sleep(1000); sys.exit(7)";
    let process = Process::start(std::process::Command::new(&python.path).args(["-c", code]))?;
    let pid: u32 = process.pid().parse()?;
    for _ in 0..5 {
        Explained::of(pid, &["--freeze"])?;
    }
    ensure!(memory::alive(pid), "sleep came to an end");
    ensure!(tracer(pid)? == 0, "it is still held");
    Ok(())
}

#[test]
fn a_process_under_a_debugger_is_not_held_and_the_debugger_is_named() -> Result<()> {
    let target = large()?;
    // SAFETY: attaching reads and writes no memory; undone below, or by the end of this process.
    let attached =
        unsafe { libc::ptrace(libc::PTRACE_SEIZE, target.pid.cast_signed(), 0_usize, 0_usize) };
    ensure!(attached == 0, "{}", std::io::Error::last_os_error());
    let output = explained::run(target.pid, &["--freeze"])?;
    // SAFETY: gettid has no preconditions. The tracer is a thread, here the test's.
    let own = unsafe { libc::gettid() }.to_string();
    output.expect_code(1)?.expect_words(&["ptrace", &own, "--freeze"])?;
    Explained::of(target.pid, &[]).map(drop)
}
