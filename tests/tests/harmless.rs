//! Looking changes nothing: no byte of a parked target's writable memory, no mapping, no counter,
//! nothing in its status, no register, during and after tracing; and whoever it serves is served.

use harness::attach::Tracer;
use harness::interpreters::{Interpreter, for_each, newest};
use harness::memtrace::Build;
use harness::service::Service;
use harness::snapshot::Snapshot;
use harness::target::Target;
use harness::{Result, ensure};

fn nothing_changes(
    python: &Interpreter,
    program: &str,
    scenario: &str,
    options: &[&str],
) -> Result<()> {
    let mut target = Target::start(python, program, &[scenario])?;
    target.go()?;
    let before = Snapshot::take(target.pid)?;
    ensure!(before.page_count() > 100, "{} pages are no comparison", before.page_count());
    let tracer = Tracer::attach(&[target.pid], options)?;
    let during = Snapshot::take(target.pid)?;
    let report = tracer.stop()?.report()?;
    let after = Snapshot::take(target.pid)?;
    during.expect_same(&before, "during tracing")?;
    after.expect_same(&before, "after tracing")?;
    let process = report.process(target.pid)?;
    let (first, last) = (process.rss_before_bytes, process.rss_after_bytes);
    ensure!(first == last, "a parked target went from {first} to {last}\n{}", process.top());
    Ok(())
}

#[test]
fn a_parked_target_is_the_same_during_and_after_tracing() -> Result<()> {
    for_each(|python| nothing_changes(python, "memory.py", "mixes_all", &[]))
}

/// Threads that wait in different ways: each one's registers, as far as the kernel shows them, too.
#[test]
fn parked_threads_are_the_same_during_and_after_tracing() -> Result<()> {
    for_each(|python| nothing_changes(python, "threads.py", "one_after_another", &[]))
}

#[test]
fn requests_are_answered_while_tracing_begins_and_ends() -> Result<()> {
    let service = Service::start(&newest()?)?;
    let served = service.under_load(20_000, 4, 5, Build::Dev)?;
    ensure!(served.traces >= 5 && served.requests >= 20_000, "{served:?}");
    let answered = service.end()?;
    ensure!(answered == served.requests, "{served:?}, but the service counted {answered}");
    Ok(())
}

#[test]
fn the_snapshot_sees_a_change() -> Result<()> {
    for_each(|python| {
        let mut target = Target::start(python, "resident.py", &["keeps"])?;
        let before = Snapshot::take(target.pid)?;
        target.go()?;
        let after = Snapshot::take(target.pid)?;
        ensure!(after.expect_same(&before, "after a step").is_err(), "it would see nothing");
        Ok(())
    })
}
