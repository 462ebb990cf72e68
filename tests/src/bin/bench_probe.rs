//! What the kernel side itself takes for an event: the time of its programs as the kernel counts it,
//! by depth of Python's stack and by version of CPython.
//!
//! An event is a page fault and the change of a counter that follows, so the two programs' means are
//! added. The kernel's own reading of the clock is in each. Needs root and bpftool.

use std::process::ExitCode;

use clap::Parser;
use harness::attach::Tracer;
use harness::bpf::{Counting, run_time};
use harness::interpreters::{self, Interpreter};
use harness::measure::median;
use harness::memtrace::Build;
use harness::target::Target;
use harness::{Context, Result, check, resources};
use serde_json::json;

/// Depths of the stack.
const DEPTHS: [u32; 4] = [1, 10, 30, 100];

/// Nanoseconds that an event may take, and each frame of its stack.
const EVENT_BAR: f64 = 600.0;
const FRAME_BAR: f64 = 70.0;

/// Measures what the kernel side takes for an event.
#[derive(Parser)]
struct Arguments {
    /// Runs of each depth and version
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Seconds of each run
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Exit with 1 when a bar is missed
    #[arg(long)]
    enforce: bool,
}

/// Frames of the stack, and nanoseconds of the fault's program and the counter's.
fn measure(python: &Interpreter, depth: u32, arguments: &Arguments) -> Result<(f64, f64, f64)> {
    let options = [depth.to_string(), arguments.seconds.to_string()];
    let mut target = Target::start(python, "probe.py", &[&options[0], &options[1]])?;
    let tracer = Tracer::attach_with(Build::Release, &[target.pid], &[])?;
    let frames = target.go()?.more["frames"].as_f64().context("frames")?;
    let (mut faults, mut changes) = (Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        let of = |tracepoint| run_time(tracer.pid(), tracepoint);
        let before = (of("page_fault_user")?, of("rss_stat")?);
        target.go()?;
        faults.push(of("page_fault_user")?.mean_since(&before.0));
        changes.push(of("rss_stat")?.mean_since(&before.1));
    }
    check::law(&tracer.stop()?.report()?)?;
    Ok((frames, median(&faults), median(&changes)))
}

fn run() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    resources::root()?;
    let _counting = Counting::begin()?;
    let (mut rows, mut failed) = (Vec::new(), false);
    println!("nanoseconds an event  (bar {EVENT_BAR:.0} + {FRAME_BAR:.0} a frame)");
    println!("        frames  fault  counter    sum    bar  CPython");
    for python in interpreters::supported()? {
        for depth in DEPTHS {
            let (frames, fault, change) = measure(&python, depth, &arguments)?;
            let (sum, bar) = (fault + change, EVENT_BAR + FRAME_BAR * frames);
            let passed = sum <= bar;
            failed |= !passed;
            let word = if passed { "passed" } else { "FAILED" };
            let version = python.version_text();
            println!(
                "{word} {frames:>7} {fault:>6.0} {change:>8.0} {sum:>6.0} {bar:>6.0}  {version}"
            );
            rows.push(json!({"python": python.to_string(), "frames": frames, "fault_ns": fault,
                "counter_ns": change, "bar_ns": bar, "passed": passed}));
        }
    }
    let output = resources::target_folder().join("bench_probe.json");
    std::fs::write(&output, serde_json::to_string_pretty(&rows)?)?;
    println!("figures in {}", output.display());
    Ok(if failed && arguments.enforce { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("bench_probe: {error:#}");
        ExitCode::FAILURE
    })
}
