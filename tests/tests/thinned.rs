//! Stack walks within a budget: every byte is in the report whether its stack was walked or not, and
//! estimates of lines are right as far as they promise. What a budget saves is the bench's business.

use harness::interpreters::newest;
use harness::target::Target;
use harness::traced::{self, Traced};
use harness::{Result, check, ensure};

/// So little that all but one stack in 64 are left out once a storm has used it up.
const TINY: &[&str] = &["--max-overhead", "0.1%"];
const NOT_WALKED: &str = "stack not walked, to keep to the budget";
/// Changes that a walked one stands for, at most.
const MOST: f64 = 64.0;
const PAGE: f64 = 4096.0;

fn trace(scenario: &str, options: &[&str]) -> Result<Traced> {
    traced::trace(&newest()?, "thinned.py", &[scenario, "--no-thp"], options)
}

#[test]
#[allow(clippy::cast_precision_loss, reason = "bytes of a few hundred MiB")]
fn lines_have_what_was_walked_and_estimates_that_hold_the_truth() -> Result<()> {
    let traced = trace("lines", TINY)?;
    check::law(&traced.report)?;
    check::agrees_with_kernel(&traced.report, traced.target.pid, traced.target.settled()?)?;
    let process = traced.process()?;
    let row = process.unattributed_net(NOT_WALKED);
    let (mut whole, mut told) = (0, row);
    for mark in &traced.truth.marks {
        let truth = traced.truth.resident[&mark.name];
        let of_mark =
            |line: &&harness::report::Line| (line.line, &line.file) == (mark.line, &mark.file);
        let lines: Vec<_> = process.lines.iter().filter(of_mark).collect();
        ensure!(lines.len() == 1, "{}: {lines:?}\n{}", mark.name, process.top());
        let line = lines[0];
        whole += truth;
        told += line.self_net_bytes;
        ensure!(line.self_net_bytes < truth / 4, "{} was walked: {line:?}", mark.name);
        let estimated = line.estimated_bytes.unwrap_or_default();
        let [low, high] = line.estimated_interval.unwrap_or_default();
        // Six standard deviations of the number of pages that are walked.
        let deviation = (truth as f64 / PAGE * (MOST - 1.0)).sqrt() * PAGE;
        let off = (estimated - truth) as f64;
        ensure!(off.abs() < 6.0 * deviation, "{}: {estimated} of {truth}: {line:?}", mark.name);
        // The interval is two of them on either side.
        let (low, high) = (estimated - 3 * (estimated - low), estimated + 3 * (high - estimated));
        ensure!(low <= truth && truth <= high, "{}: {truth} in {line:?}", mark.name);
        ensure!((high - low) as f64 > 6.0 * deviation, "{}: too narrow: {line:?}", mark.name);
    }
    ensure!((told - whole).abs() < check::BESIDE, "{told} told of {whole}\n{}", process.top());
    let thinned = process.thinned.as_ref();
    ensure!(thinned.is_some_and(|it| it.not_walked_bytes == row), "{thinned:?}, {row} in the row");
    Ok(())
}

#[test]
fn the_law_holds_for_threads_a_child_and_all_kinds_of_memory() -> Result<()> {
    let traced = trace("many_ways", TINY)?;
    check::law(&traced.report)?;
    for (pid, kernel) in &traced.kernel {
        check::agrees_with_kernel(&traced.report, *pid, *kernel)?;
    }
    ensure!(traced.report.processes.len() == 2, "{} processes", traced.report.processes.len());
    for process in &traced.report.processes {
        let walks = process.thinned.as_ref().map_or(0, |thinned| thinned.events_not_walked);
        ensure!(walks > 1000, "process {}: {walks} not walked", process.pid);
    }
    Ok(())
}

#[test]
fn a_wide_budget_leaves_no_walk_out() -> Result<()> {
    let traced = trace("lines", &["--max-overhead", "1000%"])?;
    check::law(&traced.report)?;
    let process = traced.process()?;
    check::resident_by_line(process, &traced.truth)?;
    ensure!(process.thinned.is_none(), "{:?}", process.thinned);
    ensure!(process.lines.iter().all(|line| line.estimated_bytes.is_none()), "estimates");
    Ok(())
}

#[test]
fn short_growth_is_walked_whole_within_two_percent() -> Result<()> {
    let target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    let traced = traced::trace_target(target, &["--max-overhead", "2%"])?;
    check::resident_by_line(traced.process()?, &traced.truth)?;
    ensure!(traced.process()?.thinned.is_none(), "{:?}", traced.process()?.thinned);
    check::law(&traced.report)
}
