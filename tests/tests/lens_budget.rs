//! The allocator lens under a budget: what it says of programs that allocate so often that they are only
//! looked at now and then is near what they did, and says how it was measured.
//!
//! Estimates differ from run to run by chance: the bounds here are several times what is usual
//! (`bench_lens` has that), so that only one that is wrong by its nature fails.

use std::fs;

use harness::attach::Tracer;
use harness::interpreters::newest;
use harness::report::{Blocks, Process};
use harness::target::{Target, program};
use harness::{Context, Result, ensure};

/// Figures of the line of `allocating.py` that has this text.
fn line(process: &Process, text: &str) -> Result<Blocks> {
    let file = program("allocating.py");
    let source = fs::read_to_string(&file)?;
    let at = source.lines().position(|line| line.contains(text)).context("no such line")?;
    let file = file.to_str().context("a readable path")?;
    Ok(process.blocks(file, u32::try_from(at)? + 1))
}

fn traced(kind: &str, rounds: u64) -> Result<Process> {
    let mut target = Target::start(&newest()?, "allocating.py", &[kind, &rounds.to_string()])?;
    let tracer = Tracer::attach(&[target.pid], &["--lens", "allocator"])?;
    target.go()?;
    let report = tracer.stop()?.report()?;
    Ok(report.process(target.pid)?.clone())
}

fn near(blocks: Blocks, truth: u64, factor: f64) -> Result<()> {
    let ratio = blocks.allocations as f64 / truth as f64;
    ensure!((1.0 / factor..factor).contains(&ratio), "{blocks:?}, in truth {truth}");
    let [low, high] = blocks.allocations_interval.context("an interval")?;
    ensure!(low <= blocks.allocations && blocks.allocations <= high, "{blocks:?}");
    Ok(())
}

#[test]
fn an_estimate_is_near_the_truth_and_says_by_which_function_it_was_measured() -> Result<()> {
    let rounds = 25_000;
    let process = traced("json", rounds)?;
    let allocator = process.allocator()?;
    ensure!(!allocator.exact && !allocator.measured_by.is_empty(), "{allocator:?}");
    ensure!(allocator.measured_by.iter().all(|part| !part.function.is_empty() && part.time_ns > 0));
    near(line(&process, "bytes(1000 + i)")?, 40 * rounds, 1.5)
}

/// Windows cover less work of a phase in which they cost more: it must not count less for that.
#[test]
fn phases_that_cost_differently_count_by_what_they_did() -> Result<()> {
    let rounds = 2_000_000;
    let process = traced("phases", rounds)?;
    let (often, seldom) = (line(&process, "# often")?, line(&process, "# seldom")?);
    // There are some twenty windows, of which half are in either phase.
    near(often, 60 * rounds / 2, 4.0)?;
    near(seldom, 8 * rounds / 2, 4.0)
}
