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
use harness::{Context, Result, bail, ensure};

/// Figures of the line of `allocating.py` that has this text.
fn line(process: &Process, text: &str) -> Result<Blocks> {
    let file = program("allocating.py");
    let source = fs::read_to_string(&file)?;
    let at = source.lines().position(|line| line.contains(text)).context("no such line")?;
    let file = file.to_str().context("a readable path")?;
    Ok(process.blocks(file, u32::try_from(at)? + 1))
}

/// Windows with which there is an interval: the first one stands for itself, two must differ, and one is
/// to spare.
const ENOUGH: u64 = 4;

/// A trace with that many windows, and its rounds. How many there are in one is up to what windows cost:
/// on a busy machine pauses are longer, and a trace has few. Then there may be no interval, which is so said
/// (`null`), and more rounds tell.
fn traced(kind: &str, rounds: u64) -> Result<(Process, u64)> {
    for rounds in [rounds, 3 * rounds, 9 * rounds] {
        let process = traced_once(kind, rounds)?;
        let allocator = process.allocator()?;
        if allocator.windows >= ENOUGH {
            ensure!(allocator.blocks.allocations_interval.is_some(), "no interval: {allocator:?}");
            return Ok((process, rounds));
        }
        eprintln!("{rounds} rounds had {} windows; more rounds", allocator.windows);
    }
    bail!("there are never {ENOUGH} windows")
}

fn traced_once(kind: &str, rounds: u64) -> Result<Process> {
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
    let (process, rounds) = traced("json", 25_000)?;
    let allocator = process.allocator()?;
    ensure!(!allocator.exact && !allocator.measured_by.is_empty(), "{allocator:?}");
    ensure!(allocator.measured_by.iter().all(|part| !part.function.is_empty() && part.time_ns > 0));
    near(line(&process, "bytes(1000 + i)")?, 40 * rounds, 1.5)
}

/// Windows cover less work of a phase in which they cost more: it must not count less for that.
#[test]
fn phases_that_cost_differently_count_by_what_they_did() -> Result<()> {
    let (process, rounds) = traced("phases", 2_000_000)?;
    let (often, seldom) = (line(&process, "# often")?, line(&process, "# seldom")?);
    // There are some twenty windows, of which half are in either phase.
    near(often, 60 * rounds / 2, 4.0)?;
    near(seldom, 8 * rounds / 2, 4.0)
}
