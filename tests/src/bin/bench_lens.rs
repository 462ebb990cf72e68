//! The bench of the allocator lens's budget: what it costs programs that allocate all the time, and how
//! well its estimates are those of exact mode. CPU time is compared, so that other work on the machine
//! matters less.
//!
//!     bench_lens [RUNS] [SECONDS]

use std::collections::BTreeMap;

use harness::attach::Tracer;
use harness::interpreters::newest;
use harness::measure::median;
use harness::memtrace::Build;
use harness::report::{Blocks, Process};
use harness::target::Target;
use harness::truth::Truth;
use harness::{Context, Result};

const KINDS: [&str; 4] = ["json", "re", "dataclasses", "web"];
/// Exact mode does one in so many of the rounds.
const PARTS: f64 = 10.0;
/// Lines whose figures are compared.
const TOP: usize = 10;

fn cpu(truth: &Truth) -> Result<f64> {
    truth.more.get("cpu_seconds").and_then(serde_json::Value::as_f64).context("cpu_seconds")
}

/// Lines by what they allocated, the most first.
fn lines(process: &Process) -> Vec<((String, u32), Blocks)> {
    let mut lines: Vec<_> = process
        .lines
        .iter()
        .map(|line| ((line.file.clone(), line.line), line.blocks))
        .filter(|(_, blocks)| blocks.allocations > 0)
        .collect();
    lines.sort_by_key(|(_, blocks)| -blocks.allocated_bytes);
    lines
}

fn traced(target: &mut Target, options: &[&str]) -> Result<(f64, Process)> {
    let tracer = Tracer::attach_with(Build::Release, &[target.pid], options)?;
    let truth = target.go()?;
    let report = tracer.stop()?.report()?;
    Ok((cpu(&truth)?, report.process(target.pid)?.clone()))
}

fn main() -> Result<()> {
    let number = |at: usize| std::env::args().nth(at).and_then(|text| text.parse::<f64>().ok());
    let (runs, seconds) = (number(1).unwrap_or(5.0) as usize, number(2).unwrap_or(8.0));
    let python = newest()?;
    println!("{python}, {runs} runs each of about {seconds} s of CPU time, budget 5 %");
    for kind in KINDS {
        // How many rounds that is.
        let mut trial = Target::start(&python, "allocating.py", &[kind, "200"])?;
        trial.go()?;
        let part = (200.0 * seconds / cpu(&trial.go()?)? / PARTS).ceil();
        drop(trial);
        // Rounds are all the same: a part of them shows what each allocates.
        let mut target = Target::start(&python, "allocating.py", &[kind, &format!("{part}")])?;
        let plain_part = cpu(&target.go()?)?;
        let (exact_cpu, exact) = traced(&mut target, &["--lens", "allocator", "--exact"])?;
        let mut exact = lines(&exact);
        for (_, blocks) in &mut exact {
            blocks.allocations *= PARTS as u64;
        }
        let rounds = format!("{}", part * PARTS);
        let mut target = Target::start(&python, "allocating.py", &[kind, &rounds])?;
        let truth: BTreeMap<_, _> = exact.iter().cloned().collect();
        let (mut slowdowns, mut inside, mut compared, mut same_top) = (Vec::new(), 0, 0, 0);
        let mut errors = Vec::new();
        for _ in 0..runs {
            let before = cpu(&target.go()?)?;
            let (cpu_traced, found) = traced(&mut target, &["--lens", "allocator"])?;
            let after = cpu(&target.go()?)?;
            let plain = f64::midpoint(before, after);
            slowdowns.push(100.0 * (cpu_traced / plain - 1.0));
            let found = lines(&found);
            let names = |lines: &[((String, u32), Blocks)]| {
                let mut names: Vec<_> =
                    lines.iter().take(5).map(|(line, _)| line.clone()).collect();
                names.sort();
                names
            };
            same_top += usize::from(names(&found) == names(&exact));
            let estimates: BTreeMap<_, _> = found.into_iter().collect();
            for (line, truth) in exact.iter().take(TOP).map(|(line, _)| (line, truth[line])) {
                let estimate = estimates.get(line).copied().unwrap_or_default();
                let exact = estimate.allocations == truth.allocations;
                let within = estimate
                    .allocations_interval
                    .is_some_and(|[low, high]| (low..=high).contains(&truth.allocations));
                compared += 1;
                inside += usize::from(exact || within);
                errors.push(100.0 * (estimate.allocations as f64 / truth.allocations as f64 - 1.0));
            }
        }
        let within = slowdowns.iter().filter(|slowdown| **slowdown <= 5.0).count();
        let listed: Vec<String> = slowdowns.iter().map(|one| format!("{one:.1}")).collect();
        println!(
            "{kind}: exact {:.2} times; slower by {} % ({within} of {runs} within 5 %); in the interval \
             {inside} of {compared}; top five the same {same_top} of {runs}; median error {:+.1} %",
            exact_cpu / plain_part,
            listed.join(" "),
            median(&errors)
        );
    }
    Ok(())
}
