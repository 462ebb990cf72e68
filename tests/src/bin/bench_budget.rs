//! What a budget for stack walks saves a program that keeps 300 MB/s of small objects: untraced, traced
//! with every stack walked, and traced within the budget, in turn. The first seconds of a trace spend what
//! was saved (`docs/decisions/0020`), so they are told apart from the rest. Then what programs that
//! allocate all the time lose within the budget, by pairs of an untraced and a traced run.
//!
//! Needs root, a release build of memtrace (or `MEMTRACE_BIN`) and a quiet machine.

use std::process::ExitCode;

use clap::Parser;
use harness::allocating::{self, KINDS};
use harness::attach::Tracer;
use harness::interpreters::{self, Interpreter};
use harness::measure::{Pairs, median};
use harness::memtrace::Build;
use harness::target::Target;
use harness::{Context, Result, bail, check, resources};

/// Measures what a budget saves.
#[derive(Parser)]
struct Arguments {
    /// The budget
    #[arg(long, default_value = "2%")]
    budget: String,
    /// Rounds of all three
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Loops of the program, 1.2 s each, in which a trace spends what was saved
    #[arg(long, default_value_t = 12)]
    first: usize,
    /// Loops that are measured after them
    #[arg(long, default_value_t = 8)]
    loops: usize,
    /// Pairs of runs of each program that allocates
    #[arg(long, default_value_t = 7)]
    pairs: usize,
    /// Only these (keep, json, re, dataclasses, pandas, web, phases)
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

impl Arguments {
    fn wants(&self, kind: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|one| one == kind)
    }
}

/// CPU seconds of a run of a program that allocates.
const RUN: f64 = 2.0;

/// CPU seconds of a loop, and the bytes that it grew a second.
#[allow(clippy::cast_precision_loss, reason = "nanoseconds and bytes of some seconds")]
fn run_loop(target: &mut Target) -> Result<(f64, f64)> {
    let truth = target.go()?;
    let seconds = truth.more["cpu_ns"].as_f64().context("cpu_ns")? / 1e9;
    Ok((seconds, truth.more["grown_bytes"].as_f64().unwrap_or_default() / seconds))
}

fn loops(target: &mut Target, count: usize) -> Result<Vec<f64>> {
    (0..count).map(|_| Ok(run_loop(target)?.0)).collect()
}

/// What a program that allocates all the time loses within the budget.
fn allocates(python: &Interpreter, kind: &str, arguments: &Arguments) -> Result<()> {
    let mut trial = allocating::start(python, kind, 200.0)?;
    trial.go()?;
    // Rounds of `phases` come in eights.
    let rounds = 8.0 * (25.0 * RUN / allocating::cpu(&trial.go()?)?).ceil();
    drop(trial);
    let mut target = allocating::start(python, kind, rounds)?;
    target.go()?;
    let (mut pairs, mut events, mut not_walked) = (Pairs::default(), 0.0, 0.0);
    for _ in 0..arguments.pairs {
        let before = allocating::cpu(&target.go()?)?;
        let options = ["--max-overhead", &arguments.budget];
        let tracer = Tracer::attach_with(Build::Release, &[target.pid], &options)?;
        let traced = allocating::cpu(&target.go()?)?;
        let report = tracer.stop()?.report()?;
        check::law(&report)?;
        let process = report.process(target.pid)?;
        events += process.events as f64 / traced;
        not_walked += process.thinned.as_ref().map_or(0.0, |it| it.events_not_walked as f64);
        let after = allocating::cpu(&target.go()?)?;
        pairs.untraced.push(f64::midpoint(before, after));
        pairs.traced.push(traced);
    }
    let (low, high) = pairs.spread();
    println!(
        "{kind}: {:.3} times its untraced time (middle half {low:.3} to {high:.3} of {} pairs), {:.0} events a \
         second, {not_walked:.0} not walked",
        pairs.ratio(),
        arguments.pairs,
        events / arguments.pairs as f64,
    );
    Ok(())
}

fn run() -> Result<()> {
    let arguments = Arguments::parse();
    resources::root()?;
    let python = interpreters::newest()?;
    if arguments.wants("keep") {
        keeps(&python, &arguments)?;
    }
    KINDS
        .iter()
        .filter(|kind| arguments.wants(kind))
        .try_for_each(|kind| allocates(&python, kind, &arguments))
}

/// What every walk costs a program that keeps small objects, and what the budget saves.
fn keeps(python: &Interpreter, arguments: &Arguments) -> Result<()> {
    let mut started = None;
    for _ in 0..5 {
        let mut target = Target::start(python, "bench.py", &["keep", "1.2"])?;
        run_loop(&mut target)?;
        let rate = run_loop(&mut target)?.1 / 1e6;
        if (250.0..350.0).contains(&rate) {
            println!("{python}: {rate:.0} MB/s of small objects that are kept");
            started = Some(target);
            break;
        }
        eprintln!("{rate:.0} MB/s where 300 are wanted; once more");
    }
    let Some(mut target) = started else { bail!("the machine is too busy") };
    let kinds: [(&str, Vec<&str>); 2] = [
        ("every stack walked", vec![]),
        ("within the budget", vec!["--max-overhead", &arguments.budget]),
    ];
    let mut ratios: [(Vec<f64>, Vec<f64>); 2] = Default::default();
    for round in 1..=arguments.rounds {
        for ((name, options), (early, late)) in kinds.iter().zip(&mut ratios) {
            let before = loops(&mut target, arguments.loops)?;
            let tracer = Tracer::attach_with(Build::Release, &[target.pid], options)?;
            let first = loops(&mut target, arguments.first)?;
            let then = loops(&mut target, arguments.loops)?;
            let report = tracer.stop()?.report()?;
            check::law(&report)?;
            let process = report.process(target.pid)?;
            let after = loops(&mut target, arguments.loops)?;
            let untraced = f64::midpoint(median(&before), median(&after));
            early.push(median(&first) / untraced);
            late.push(median(&then) / untraced);
            let skipped = process.thinned.as_ref().map_or(0, |it| it.events_not_walked);
            println!(
                "round {round}, {name}: first {:.3}, then {:.3}; {skipped} of {} events not walked",
                early[early.len() - 1],
                late[late.len() - 1],
                process.events
            );
        }
    }
    for ((name, _), (early, late)) in kinds.iter().zip(&ratios) {
        let (first, then) = (median(early), median(late));
        println!("{name}: {first:.3} times its untraced time at first, {then:.3} then");
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_budget: {error:#}");
            ExitCode::FAILURE
        }
    }
}
