//! Losses are told: with a ring buffer made tiny the law still holds, with the lost bytes in their
//! row.

use harness::interpreters::for_each;
use harness::{Result, check, ensure, traced};

#[test]
fn law_holds_when_records_are_lost_and_the_lost_bytes_have_their_row() -> Result<()> {
    for_each(|python| {
        // What isn't lost by four threads at once on the first go would be a larger ring.
        let options = ["--ring-bytes", "4096"];
        let traced = traced::trace(python, "threads.py", &["many_at_once"], &options)?;
        check::law(&traced.report)?;
        let kernel = traced.kernel[&traced.target.pid];
        check::agrees_with_kernel(&traced.report, traced.target.pid, kernel)?;
        let process = traced.process()?;
        ensure!(process.lost_events > 0, "nothing was lost\n{}", process.top());
        let row = process.unattributed_net("lost");
        ensure!(row == process.lost_bytes, "row {row}, lost_bytes {}", process.lost_bytes);
        ensure!(row > 0, "lost row is {row}\n{}", process.top());
        Ok(())
    })
}

#[test]
fn nothing_is_lost_with_the_ordinary_ring() -> Result<()> {
    for_each(|python| {
        let traced = traced::trace(python, "threads.py", &["many_at_once"], &[])?;
        let process = traced.process()?;
        let lost = process.unattributed_net("lost");
        ensure!(process.lost_events == 0 && lost == 0, "lost {}, {lost}", process.lost_events);
        let rows = process.unattributed.iter();
        ensure!(rows.clone().all(|row| !row.reason.contains("ring buffer")), "{}", process.top());
        Ok(())
    })
}
