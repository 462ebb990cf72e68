//! Looking changes nothing: no byte of a parked target's writable memory, no mapping, no counter,
//! nothing in its status, during and after tracing.

use harness::attach::Tracer;
use harness::interpreters::{Interpreter, for_each};
use harness::snapshot::Snapshot;
use harness::target::Target;
use harness::{Result, ensure};

fn nothing_changes(python: &Interpreter, options: &[&str]) -> Result<()> {
    let mut target = Target::start(python, "memory.py", &["mixes_all"])?;
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
    for_each(|python| nothing_changes(python, &[]))
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
