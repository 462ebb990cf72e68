//! What a budget for stack walks saves a program that keeps 300 MB/s of small objects: untraced, traced
//! with every stack walked, and traced within the budget, in turn. The first seconds of a trace spend what
//! was saved (`docs/decisions/0018`), so they are told apart from the rest.
//!
//! Needs root, a release build of memtrace (or `MEMTRACE_BIN`) and a quiet machine.

use std::process::ExitCode;

use clap::Parser;
use harness::attach::Tracer;
use harness::interpreters;
use harness::measure::median;
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
}

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

fn run() -> Result<()> {
    let arguments = Arguments::parse();
    resources::root()?;
    let python = interpreters::newest()?;
    let mut started = None;
    for _ in 0..5 {
        let mut target = Target::start(&python, "bench.py", &["keep", "1.2"])?;
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
