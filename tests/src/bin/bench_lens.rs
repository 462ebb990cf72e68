//! The bench of the allocator lens's budget: what it costs programs that allocate all the time, and how
//! well its estimates are those of exact mode. CPU time is compared, so that other work on the machine
//! matters less.
//!
//!     bench_lens [RUNS] [SECONDS] [KIND...]

use std::cmp::Reverse;
use std::collections::BTreeMap;

use harness::Result;
use harness::allocating::{KINDS, cpu, start};
use harness::attach::Tracer;
use harness::interpreters::newest;
use harness::measure::median;
use harness::memtrace::Build;
use harness::report::{Blocks, Process};
use harness::target::Target;

/// Exact mode does one in so many of the rounds.
const PARTS: f64 = 10.0;
/// Lines whose figures are compared.
const TOP: usize = 10;

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
    let asked: Vec<String> = std::env::args().skip(3).collect();
    let (mut all_within, mut all_runs, mut all_inside, mut all_compared) = (0, 0, 0, 0);
    for kind in
        KINDS.into_iter().filter(|kind| asked.is_empty() || asked.iter().any(|one| one == kind))
    {
        // How many rounds that is.
        let mut trial = start(&python, kind, 200.0)?;
        trial.go()?;
        // Those of `phases` come in eights.
        let part = 8.0 * (25.0 * seconds / cpu(&trial.go()?)? / PARTS).ceil();
        drop(trial);
        // Rounds are all the same: a part of them shows what each allocates.
        let mut target = start(&python, kind, part)?;
        let plain_part = cpu(&target.go()?)?;
        let (exact_cpu, exact) = traced(&mut target, &["--lens", "allocator", "--exact"])?;
        let mut exact = lines(&exact);
        // Not what is done once to tell of all rounds.
        exact.retain(|(_, blocks)| blocks.allocations as f64 > part / 10.0);
        for (_, blocks) in &mut exact {
            blocks.allocations *= PARTS as u64;
        }
        let mut target = start(&python, kind, part * PARTS)?;
        let truth: BTreeMap<_, _> = exact.iter().cloned().collect();
        let (mut slowdowns, mut inside, mut compared, mut same_top) = (Vec::new(), 0, 0, 0);
        let (mut errors, mut widths) = (Vec::new(), Vec::new());
        let mut by = BTreeMap::new();
        for _ in 0..runs {
            let before = cpu(&target.go()?)?;
            let (cpu_traced, found) = traced(&mut target, &["--lens", "allocator"])?;
            let after = cpu(&target.go()?)?;
            let plain = f64::midpoint(before, after);
            slowdowns.push(100.0 * (cpu_traced / plain - 1.0));
            if let Ok(allocator) = found.allocator() {
                for part in &allocator.measured_by {
                    *by.entry(part.function.clone()).or_insert(0u64) += part.time_ns;
                }
            }
            let found = lines(&found);
            let names = |lines: &[((String, u32), Blocks)]| {
                let mut names: Vec<_> =
                    lines.iter().take(exact.len().min(5)).map(|(line, _)| line.clone()).collect();
                names.sort();
                names
            };
            same_top += usize::from(names(&found) == names(&exact));
            let mut these = Vec::new();
            let estimates: BTreeMap<_, _> = found.into_iter().collect();
            for (line, truth) in exact.iter().take(TOP).map(|(line, _)| (line, truth[line])) {
                let estimate = estimates.get(line).copied().unwrap_or_default();
                let exact = estimate.allocations == truth.allocations;
                let within = estimate
                    .allocations_interval
                    .is_some_and(|[low, high]| (low..=high).contains(&truth.allocations));
                compared += 1;
                inside += usize::from(exact || within);
                if let Some([low, high]) = estimate.allocations_interval {
                    let middle = estimate.allocations.max(1) as f64;
                    widths.push(50.0 * (high - low) as f64 / middle);
                }
                these.push(100.0 * (estimate.allocations as f64 / truth.allocations as f64 - 1.0));
            }
            let listed: Vec<String> = these.iter().map(|error| format!("{error:+.1}")).collect();
            eprintln!("{kind}: a run with errors of {} %", listed.join(" "));
            errors.extend(these);
        }
        let within = slowdowns.iter().filter(|slowdown| **slowdown <= 5.0).count();
        let listed: Vec<String> = slowdowns.iter().map(|one| format!("{one:.1}")).collect();
        (all_within, all_runs) = (all_within + within, all_runs + runs);
        (all_inside, all_compared) = (all_inside + inside, all_compared + compared);
        let mut by: Vec<_> = by.into_iter().collect();
        by.sort_by_key(|(_, time)| Reverse(*time));
        let by: Vec<String> = by
            .iter()
            .take(3)
            .map(|(name, time)| format!("{name} {:.1} s", *time as f64 / 1e9))
            .collect();
        let mut sorted = errors.clone();
        sorted.sort_by(f64::total_cmp);
        println!(
            "{kind}: exact {:.2} times; slower by {} % ({within} of {runs} within 5 %); in the interval \
             {inside} of {compared}; top five the same {same_top} of {runs}; errors {:+.1} to {:+.1} %, \
             median {:+.1} %; intervals of ±{:.1} % (median); by {}",
            exact_cpu / plain_part,
            listed.join(" "),
            sorted.first().unwrap_or(&0.0),
            sorted.last().unwrap_or(&0.0),
            median(&errors),
            median(&widths),
            by.join(", "),
        );
    }
    println!(
        "all: {all_within} of {all_runs} runs within 5 %; {all_inside} of {all_compared} in the interval"
    );
    Ok(())
}
