//! What memtrace costs, measured against the bars of its promise: traced and untraced runs of one
//! process alternate, so that a ratio compares like with like.
//!
//! Bars are printed as passed or failed; only `--enforce` turns a failure into exit code 1. Needs
//! root, a release build of memtrace (made here unless `MEMTRACE_BIN` names one) and a quiet machine.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use clap::Parser;
use harness::attach::Tracer;
use harness::interpreters::{self, Interpreter};
use harness::measure::{Pairs, median, quantile};
use harness::memtrace::{self, Build};
use harness::target::Target;
use harness::verdicts::{Verdict, Verdicts};
use harness::{Context, Result, bail, check, memory, resources};
use serde_json::{Value, json};

/// Runs of one case: what it may cost.
struct Case {
    /// As bench.py names it.
    name: &'static str,
    /// What it is, for the reader.
    what: &'static str,
    /// How many times as long it may run when traced.
    bar: f64,
    /// Pairs of runs, and seconds of each.
    pairs: usize,
    seconds: f64,
}

#[rustfmt::skip]
const CASES: [Case; 5] = [
    Case { name: "calls", what: "Python calls", bar: 1.01, pairs: 11, seconds: 1.5 },
    Case { name: "churn", what: "small objects that die", bar: 1.01, pairs: 11, seconds: 1.5 },
    Case { name: "keep", what: "300 MB/s of kept objects", bar: 1.07, pairs: 9, seconds: 1.2 },
    Case { name: "private", what: "map, touch, unmap: private", bar: 1.5, pairs: 9, seconds: 1.0 },
    Case { name: "shared", what: "map, touch, unmap: shared", bar: 1.25, pairs: 9, seconds: 1.0 },
];

/// Seconds that a fault of a process that nobody traces may cost more while another one is traced.
const BYSTANDER_BAR: f64 = 0.2e-6;
const ATTACH_BAR: f64 = 0.3;
const DETACH_BAR: f64 = 0.3;
const MEMORY_BAR: f64 = 40.0 * 1_048_576.0;
const FAULTS: u64 = 10_000_000;
/// What counts as 300 MB/s: more would make the case harder than promised, less easier.
const RATE: RangeInclusive<f64> = 275.0..=325.0;

/// Measures what memtrace costs.
#[derive(Parser)]
struct Arguments {
    /// Fewer and shorter runs, a fifth of the faults: under a minute and a half
    #[arg(long)]
    quick: bool,
    /// Exit with 1 when a bar is missed
    #[arg(long)]
    enforce: bool,
    /// The interpreter [default: the newest supported one of this machine]
    #[arg(long)]
    python: Option<PathBuf>,
    /// Only these cases (calls, churn, keep, private, shared, bystander, memory)
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the figures go as JSON [default: bench.json in the build folder]
    #[arg(long, short)]
    output: Option<PathBuf>,
}

/// Figures that every traced run gives, whatever the case.
#[derive(Default)]
struct Ends {
    attach: Vec<f64>,
    detach: Vec<f64>,
}

#[allow(clippy::cast_precision_loss, reason = "nanoseconds of a few seconds")]
fn loop_seconds(target: &mut Target) -> Result<(f64, Value)> {
    let truth = target.go()?;
    let nanoseconds = truth.more["loop_ns"].as_i64().context("loop_ns")?;
    Ok((nanoseconds as f64 / 1e9, Value::Object(truth.more)))
}

/// Millions of bytes a second that the loop made resident.
#[allow(clippy::cast_precision_loss, reason = "bytes of a few hundred MiB, for a table")]
fn megabytes_per_second(seconds: f64, truth: &Value) -> f64 {
    truth["grown_bytes"].as_i64().unwrap_or_default() as f64 / 1e6 / seconds
}

/// Starts a case and warms it up. The case with a rate is started again until it has that rate:
/// on a busy machine it can be wrong about how fast it is.
fn start(case: &Case, seconds: f64, python: &Interpreter) -> Result<Target> {
    for _ in 0..5 {
        let options = [case.name, &seconds.to_string()];
        let mut target = Target::start(python, "bench.py", &options)?;
        loop_seconds(&mut target)?;
        let (seconds, truth) = loop_seconds(&mut target)?;
        let rate = megabytes_per_second(seconds, &truth);
        if case.name != "keep" || RATE.contains(&rate) {
            return Ok(target);
        }
        eprintln!("{}: {rate:.0} MB/s where 300 are wanted; once more", case.name);
    }
    bail!("the machine is too busy: no rate within {RATE:?} MB/s in 5 starts");
}

fn measure(case: &Case, quick: bool, python: &Interpreter, ends: &mut Ends) -> Result<Verdict> {
    let (pairs, seconds) = if quick { (5, case.seconds / 3.0) } else { (case.pairs, case.seconds) };
    let mut target = start(case, seconds, python)?;
    let mut measured = Pairs::default();
    let (mut events, mut lost, mut rate) = (0, 0, 0.0);
    for number in 0..pairs {
        // Traced first in every other pair: who comes second has no advantage.
        for traced in [number % 2 == 0, number % 2 == 1] {
            if !traced {
                let (seconds, truth) = loop_seconds(&mut target)?;
                measured.untraced.push(seconds);
                rate = megabytes_per_second(seconds, &truth);
                continue;
            }
            let tracer = Tracer::attach_with(Build::Release, &[target.pid], &[])?;
            ends.attach.push(tracer.attached_after.as_secs_f64());
            measured.traced.push(loop_seconds(&mut target)?.0);
            let finished = tracer.stop()?;
            ends.detach.push(finished.ended_after.as_secs_f64());
            let report = finished.report()?;
            check::law(&report)?;
            let process = report.process(target.pid)?;
            events += process.events;
            lost += process.lost_events;
        }
    }
    let (ratio, (low, high)) = (measured.ratio(), measured.spread());
    let each = events / pairs as u64;
    let passed = ratio <= case.bar && lost == 0;
    let mut line = format!(
        "{ratio:.3} (bar {:.2}; middle half {low:.3} to {high:.3}); {:.3} s untraced; \
         {each} events a run, {lost} lost",
        case.bar,
        median(&measured.untraced)
    );
    if case.name == "keep" {
        line += &format!("; {rate:.0} MB/s");
    }
    let json = json!({"ratio": ratio, "bar": case.bar, "spread": [low, high], "events": each,
        "lost_events": lost, "untraced_s": measured.untraced, "traced_s": measured.traced});
    Ok(Verdict { name: case.what.to_owned(), passed, line, json })
}

/// memtrace's own peak while a target makes that many faults, seen until memtrace is gone. What
/// loading needed before (the kernel's BTF, mostly) is told beside it.
#[allow(clippy::cast_precision_loss, reason = "bytes of a few MiB")]
fn measure_memory(quick: bool, python: &Interpreter) -> Result<Verdict> {
    let faults = if quick { FAULTS / 5 } else { FAULTS };
    let options = ["private", "1", &faults.to_string()];
    let mut target = Target::start(python, "bench.py", &options)?;
    let tracer = Tracer::attach_with(Build::Release, &[target.pid], &[])?;
    let (pid, highest) = (tracer.pid(), Arc::new(AtomicI64::new(0)));
    let loading = memory::peak(pid)? as f64;
    // 5: the high-water mark begins anew (Documentation/filesystems/proc.rst).
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
    let seen = Arc::clone(&highest);
    let watcher = thread::spawn(move || {
        while let Ok(peak) = memory::peak(pid) {
            seen.fetch_max(peak, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(2));
        }
    });
    target.conversation().say("go")?;
    let made = target.conversation().patient_answer(Duration::from_secs(300))?;
    let report = tracer.stop()?.report()?;
    watcher.join().ok().context("the watcher of memtrace's memory panicked")?;
    check::law(&report)?;
    let process = report.process(target.pid)?;
    let (events, lost) = (process.events, process.lost_events);
    let peak = highest.load(Ordering::Relaxed) as f64;
    let made = made.more["faults"].as_u64().context("faults")?;
    let passed = peak > 0.0 && peak < MEMORY_BAR && lost == 0 && events >= made;
    let line = format!(
        "{:.1} MiB (bar {:.0}) while {made} faults were made; {events} events, {lost} lost; \
         {:.1} MiB while loading",
        peak / 1_048_576.0,
        MEMORY_BAR / 1_048_576.0,
        loading / 1_048_576.0
    );
    let json = json!({"peak_bytes": peak, "loading_peak_bytes": loading, "bar": MEMORY_BAR, "faults": made, "events": events,
        "lost_events": lost});
    Ok(Verdict { name: "memtrace's own peak memory".to_owned(), passed, line, json })
}

/// What a process that is not traced pays for each page fault while memtrace traces another one.
#[allow(clippy::cast_precision_loss, reason = "nanoseconds of a second, thousands of faults")]
fn measure_bystander(quick: bool, python: &Interpreter) -> Result<Verdict> {
    let (pairs, seconds) = if quick { (5, 0.3) } else { (15, 0.6) };
    let mut bystander = Target::start(python, "bench.py", &["private", &seconds.to_string()])?;
    let traced = Target::start(python, "bench.py", &["calls", "0.1"])?;
    loop_seconds(&mut bystander)?;
    let mut costs = Vec::new();
    for number in 0..pairs {
        let (mut with, mut without, mut faults) = (0.0, 0.0, 0.0);
        for beside in [number % 2 == 0, number % 2 == 1] {
            if !beside {
                without = loop_seconds(&mut bystander)?.0;
                continue;
            }
            let tracer = Tracer::attach_with(Build::Release, &[traced.pid], &[])?;
            let (seconds, truth) = loop_seconds(&mut bystander)?;
            (with, faults) = (seconds, truth["faults"].as_f64().context("faults")?);
            check::law(&tracer.stop()?.report()?)?;
        }
        costs.push((with - without) / faults);
    }
    let (middle, low, high) = (median(&costs), quantile(&costs, 0.25), quantile(&costs, 0.75));
    let line = format!(
        "{:.3} us a fault (bar {:.1}; middle half {:.3} to {:.3})",
        middle * 1e6,
        BYSTANDER_BAR * 1e6,
        low * 1e6,
        high * 1e6
    );
    let json = json!({"cost_s": middle, "bar": BYSTANDER_BAR, "spread": [low, high]});
    let name = "a process not traced".to_owned();
    Ok(Verdict { name, passed: middle <= BYSTANDER_BAR, line, json })
}

fn time_bar(name: &str, seconds: &[f64], bar: f64) -> Verdict {
    let (middle, worst) = (median(seconds), seconds.iter().copied().fold(0.0, f64::max));
    let line =
        format!("{:.0} ms, at worst {:.0} (bar {:.0})", middle * 1e3, worst * 1e3, bar * 1e3);
    let json = json!({"median_s": middle, "worst_s": worst, "bar": bar, "all_s": seconds});
    Verdict { name: name.to_owned(), passed: middle <= bar, line, json }
}

fn interpreter(arguments: &Arguments) -> Result<Interpreter> {
    let Some(path) = &arguments.python else { return interpreters::newest() };
    let path = std::fs::canonicalize(path)?;
    let found = interpreters::supported()?.into_iter().find(|one| one.path == path);
    found.with_context(|| format!("{} is not a supported interpreter found here", path.display()))
}

fn run() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    resources::root()?;
    let wanted =
        |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|one| one == name);
    let python = interpreter(&arguments)?;
    println!("memtrace {}", memtrace::binary(Build::Release)?.display());
    println!("with     {python}");
    let mut verdicts = Verdicts::default();
    let mut ends = Ends::default();
    for case in CASES.iter().filter(|case| wanted(case.name)) {
        let verdict = measure(case, arguments.quick, &python, &mut ends).context(case.name)?;
        verdicts.tell(verdict);
    }
    if !ends.attach.is_empty() {
        verdicts.tell(time_bar("start to attached", &ends.attach, ATTACH_BAR));
        verdicts.tell(time_bar("Ctrl-C to the end", &ends.detach, DETACH_BAR));
    }
    if wanted("bystander") {
        verdicts.tell(measure_bystander(arguments.quick, &python).context("bystander")?);
    }
    if wanted("memory") {
        verdicts.tell(measure_memory(arguments.quick, &python).context("memory")?);
    }
    let output = arguments.output.unwrap_or(resources::target_folder().join("bench.json"));
    let run = json!({"python": python.to_string(), "quick": arguments.quick});
    verdicts.write(&output, run, arguments.enforce)
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("bench: {error:#}");
        ExitCode::FAILURE
    })
}
