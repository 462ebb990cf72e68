//! Nothing is left behind: after its end, Ctrl-C or `kill -9` of memtrace no BPF program, map, link
//! or uprobe remains, and the target goes on working.

use std::os::unix::process::ExitStatusExt;

use harness::attach::{Finished, Tracer};
use harness::interpreters::{Interpreter, for_each, newest};
use harness::target::Target;
use harness::{Context, Result, bpf, check, ensure, traced, wait};

/// Traces one step, ends tracing by `end`, and looks at what is left and whether the target lives.
fn nothing_is_left(
    python: &Interpreter,
    options: &[&str],
    end: impl FnOnce(Tracer) -> Result<Finished>,
) -> Result<Finished> {
    let mut target = Target::start(python, "resident.py", &["keeps"])?;
    target.settled()?;
    let tracer = Tracer::attach(&[target.pid], options)?;
    let held = bpf::held_by(tracer.pid())?;
    held.is_tracing()?;
    target.go()?;
    let finished = end(tracer)?;
    held.is_gone()?;
    let before = target.settled()?.rss;
    let truth = target.go().context("the target works after tracing")?;
    let grown = target.settled()?.rss - before;
    let stated = truth.mark("keeps")?.grown()?;
    ensure!((grown - stated).abs() < 1 << 20, "the target grew by {grown}, not {stated}");
    let status = target.exit()?;
    ensure!(status.success(), "the target ended with {status}");
    Ok(finished)
}

#[test]
fn nothing_is_left_after_ctrl_c() -> Result<()> {
    for_each(|python| nothing_is_left(python, &[], Tracer::stop)?.report().map(drop))
}

#[test]
fn nothing_is_left_after_the_duration() -> Result<()> {
    let finished = nothing_is_left(&newest()?, &["--duration", "2s"], Tracer::wait)?;
    let traced = finished.report()?.duration_ns;
    ensure!(traced >= 2_000_000_000, "traced for {traced} ns, not 2 s");
    Ok(())
}

#[test]
fn nothing_is_left_after_kill_9() -> Result<()> {
    for_each(|python| nothing_is_left(python, &[], Tracer::kill).map(drop))
}

#[test]
fn nothing_is_left_after_sigterm() -> Result<()> {
    nothing_is_left(&newest()?, &[], |tracer| {
        tracer.signal(libc::SIGTERM)?;
        tracer.wait()
    })?;
    Ok(())
}

#[test]
fn nothing_is_left_with_frame_evaluation_probes() -> Result<()> {
    let options = ["--bind", "frame-eval"];
    for_each(|python| nothing_is_left(python, &options, Tracer::kill).map(drop))
}

#[test]
fn tracing_ends_by_itself_when_the_target_ends() -> Result<()> {
    for_each(|python| {
        let mut target = Target::start(python, "resident.py", &["keeps"])?;
        let pid = target.pid;
        let tracer = Tracer::attach(&[pid], &[])?;
        let held = bpf::held_by(tracer.pid())?;
        let truth = target.go()?;
        target.exit()?;
        let report = tracer.wait()?.report()?;
        held.is_gone()?;
        check::law(&report)?;
        let mark = truth.mark("keeps")?;
        let grown = report.process(pid)?.figures(&mark.file, mark.line).grown;
        ensure!((grown - mark.grown()?).abs() <= mark.grown()? / 100, "grown {grown}");
        Ok(())
    })
}

#[test]
fn a_killed_target_is_reported() -> Result<()> {
    let mut target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    let pid = target.pid;
    let tracer = Tracer::attach(&[pid], &[])?;
    let truth = target.go()?;
    drop(target);
    let report = tracer.wait()?.report()?;
    let mark = truth.mark("keeps")?;
    let grown = report.process(pid)?.figures(&mark.file, mark.line).grown;
    ensure!(grown >= mark.grown()? * 99 / 100, "grown {grown}");
    check::law(&report)
}

#[test]
fn a_second_ctrl_c_ends_memtrace() -> Result<()> {
    let target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    let tracer = Tracer::attach(&[target.pid], &[])?;
    let held = bpf::held_by(tracer.pid())?;
    tracer.signal(libc::SIGINT)?;
    // It may be gone before the second one; either way it must end, and leave nothing.
    let _ = tracer.signal(libc::SIGINT);
    let finished = tracer.wait()?;
    let ended = finished.status.code() == Some(0)
        || finished.status.code() == Some(130)
        || finished.status.signal() == Some(libc::SIGINT);
    ensure!(ended, "{finished:?}");
    held.is_gone()
}

#[test]
fn two_memtraces_can_trace_one_target() -> Result<()> {
    let target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    let other = Tracer::attach(&[target.pid], &[])?;
    let traced = traced::trace_target(target, &[])?;
    check::resident_by_line(traced.process()?, &traced.truth)?;
    let report = other.stop()?.report()?;
    check::resident_by_line(report.process(traced.target.pid)?, &traced.truth)?;
    ensure!(harness::memory::alive(traced.target.pid), "the target died");
    wait::until("the target to hold still", || Ok(traced.target.settled().ok())).map(drop)
}
