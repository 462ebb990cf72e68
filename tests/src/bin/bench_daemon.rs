//! What `memtrace daemon` carries and what that costs, against the bars of its promise (issue 4).
//!
//! Bars are printed as passed or failed; only `--enforce` turns a failure into exit code 1. Needs
//! root, a release build of memtrace (made here unless `MEMTRACE_BIN` names one) and a quiet machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use harness::daemon::{self, Daemon};
use harness::interpreters::{self, Interpreter};
use harness::load::busy::{self, Busy, Measured};
use harness::load::idle::Idle;
use harness::load::short::Programs;
use harness::load::storm::Storm;
use harness::measure::{Pairs, median};
use harness::memtrace::{self, Build};
use harness::verdicts::{Verdict, Verdicts};
use harness::{Context, Result, check, memory, resources};
use serde_json::json;

/// Measures what the daemon carries.
#[derive(Parser)]
struct Arguments {
    /// A tenth of everything
    #[arg(long)]
    quick: bool,
    /// Exit with 1 when a bar is missed
    #[arg(long)]
    enforce: bool,
    /// Only these interpreters, by path or version [default: all that are supported, in turn]
    #[arg(long, value_delimiter = ',')]
    python: Vec<String>,
    /// Only these cases (idle, busy, storm, short)
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Processes at a time, of those that are short
    #[arg(long, default_value_t = 4)]
    at_once: usize,
    /// Where the figures go as JSON [default: bench_daemon.json in the build folder]
    #[arg(long, short)]
    output: Option<PathBuf>,
}

/// Processes that do nothing.
const IDLE: usize = 200;
/// For how long they do nothing.
const REST: Duration = Duration::from_secs(30);
/// Of one core, while they do nothing.
const IDLE_BAR: f64 = 0.02;
/// What the daemon may have in memory.
const MEMORY_BAR: i64 = 150 << 20;
/// Processes that work, and those in a storm.
const BUSY: usize = 20;
/// Times that they do their work untraced and traced.
const PAIRS: usize = 15;
/// Of a process's own untraced time.
const BUSY_BAR: f64 = 1.02;
/// Times that a storm rises.
const STORMS: usize = 3;

/// Programs that start, allocate and end.
const SHORT: usize = 2000;
/// How much of their growth has to be named by file and line.
const SHORT_BAR: f64 = 0.999;

/// As it is by default, but for what else runs on this machine.
fn config(tag: &str) -> String {
    format!("[[include]]\ncommand = \"*{tag}*\"\n[http]\nlisten = \"127.0.0.1:0\"\n")
}

/// A tenth, when it is to be quick.
fn part(arguments: &Arguments, whole: usize) -> usize {
    if arguments.quick { whole / 10 } else { whole }
}

#[allow(clippy::cast_precision_loss, reason = "some megabytes")]
fn mib(bytes: i64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn idle(arguments: &Arguments, pythons: &[Interpreter]) -> Result<Verdict> {
    let (tag, count) = (daemon::tag(), part(arguments, IDLE));
    let idle = Idle::start(pythons, &tag, count)?;
    let daemon = Daemon::start_with(Build::Release, &config(&tag))?;
    let rest = if arguments.quick { REST / 10 } else { REST };
    let took = idle.watched(&daemon, rest)?;
    daemon.stop()?;
    let line = format!(
        "{:.2} % of a core (bar {:.0}) and {:.0} MiB of RSS, {:.0} at most (bar {:.0}), for {count} idle \
         processes over {} s",
        took.cores * 100.0,
        IDLE_BAR * 100.0,
        mib(took.rss),
        mib(took.peak),
        mib(MEMORY_BAR),
        rest.as_secs(),
    );
    let json = json!({"cores": took.cores, "cores_bar": IDLE_BAR, "rss_bytes": took.rss,
        "peak_bytes": took.peak, "memory_bar_bytes": MEMORY_BAR, "processes": count,
        "seconds": rest.as_secs_f64()});
    let passed = took.cores <= IDLE_BAR && took.peak <= MEMORY_BAR;
    Ok(Verdict { name: "idle processes".to_owned(), passed, line, json })
}

fn busy(arguments: &Arguments, pythons: &[Interpreter]) -> Result<Verdict> {
    let (tag, count) = (daemon::tag(), part(arguments, BUSY));
    let mut busy = Busy::start(pythons, &tag, count, busy::ROUNDS)?;
    let mut measured = Measured::default();
    let (mut lost, mut skipped, mut events, mut probe_ns) = (0, 0, 0, 0.0);
    for pair in 0..PAIRS {
        let before = if pair % 2 == 0 { Some(busy.step()?) } else { None };
        let daemon = Daemon::start_with(Build::Release, &config(&tag))?;
        busy.are_known(&daemon)?;
        let traced = busy.step()?;
        daemon.next_window()?;
        let report = daemon.report("")?;
        check::law(&report)?;
        for pid in busy.pids() {
            let process = report.process(pid)?;
            lost += process.lost_events;
            events += process.events;
            probe_ns += process.more["overhead"]["probe_ns"].as_f64().context("probe_ns")?;
            skipped += process.thinned.as_ref().map_or(0, |it| it.events_not_walked);
        }
        daemon.stop()?;
        // In every other pair the untraced step is the second.
        let untraced = before.map_or_else(|| busy.step(), Ok)?;
        measured.add(&untraced, &traced);
    }
    let ratio = |pairs: &Pairs| {
        let (low, high) = pairs.spread();
        format!("{:.4} ({low:.4} to {high:.4})", pairs.ratio())
    };
    let (cpu, took) = (&measured.cpu, &measured.took);
    let probe_part = probe_ns / 1e9 / cpu.traced.iter().sum::<f64>();
    let line = format!(
        "{} times the untraced CPU time (bar {BUSY_BAR}; the middle half), {} on the clock; {count} processes, \
         {PAIRS} pairs of {:.1} s each, {:.0} page faults a second; {events} events, {skipped} not walked, \
         {lost} lost; {:.2} % by the probes' own clock",
        ratio(cpu),
        ratio(took),
        median(&cpu.untraced),
        median(&measured.fault_rates),
        probe_part * 100.0,
    );
    let json = json!({"cpu_ratio": cpu.ratio(), "cpu_spread": cpu.spread(), "bar": BUSY_BAR,
        "clock_ratio": took.ratio(), "clock_spread": took.spread(), "processes": count,
        "cpu_ratios": cpu.ratios(), "clock_ratios": took.ratios(), "events": events,
        "events_not_walked": skipped, "lost_events": lost, "probe_part": probe_part});
    let passed = cpu.ratio() <= BUSY_BAR;
    Ok(Verdict { name: "busy processes".to_owned(), passed, line, json })
}

fn storm(arguments: &Arguments, pythons: &[Interpreter]) -> Result<Verdict> {
    let (tag, count) = (daemon::tag(), part(arguments, BUSY));
    let mut storm = Storm::gathering(pythons, &tag, count)?;
    let daemon = Daemon::start_with(Build::Release, &config(&tag))?;
    let left = storm.rage(&daemon, STORMS)?;
    daemon.next_window()?;
    let report = daemon.report("")?;
    // It fails where the law does: that is no bar to be missed.
    let told = left.holds(&report)?;
    let peak = memory::peak(daemon.pid())?;
    daemon.stop()?;
    let line = format!(
        "the law holds for {count} processes; {:.0} MiB of RSS at most (bar {:.0}), a report included; {} events, \
         {} lost; {:.0} MiB on the marked line and as much again and more for a moment",
        mib(peak),
        mib(MEMORY_BAR),
        told.events,
        told.lost,
        mib(left.grown),
    );
    let json = json!({"peak_bytes": peak, "memory_bar_bytes": MEMORY_BAR, "processes": count,
        "events": told.events, "lost_events": told.lost, "grown_bytes": left.grown});
    Ok(Verdict { name: "storm".to_owned(), passed: peak <= MEMORY_BAR, line, json })
}

fn short(arguments: &Arguments, pythons: &[Interpreter]) -> Result<Verdict> {
    let tag = daemon::tag();
    let programs = Programs::new(&tag)?;
    // With room for the windows of all.
    let config = format!("{}[limits]\nmemory = \"256MiB\"\n", config(&tag));
    let daemon = Daemon::start_with(Build::Release, &config)?;
    let count = part(arguments, SHORT);
    let ran = programs.run(pythons, count, arguments.at_once)?;
    let own = daemon.overview()?["own"].clone();
    let report = programs.report(&daemon, &pythons[0])?;
    check::law(&report)?;
    let lost: u64 = report.processes.iter().map(|process| process.lost_events).sum();
    let named = programs.named(&report)?;
    let share = named.share(&ran);
    let (after, peak) = (memory::resident(daemon.pid())?.rss, memory::peak(daemon.pid())?);
    daemon.stop()?;
    let line = format!(
        "{:.3} % (bar {:.1}) of {count} processes' growth; {} of them known, {} short of all; \
         {} bytes on another's line; {:.0} a second; {lost} events lost; {:.0} MiB of RSS before \
         a report of all, {:.0} after, {:.0} at most",
        share * 100.0,
        SHORT_BAR * 100.0,
        named.processes,
        named.short_of_all,
        named.on_others,
        count as f64 / ran.took.as_secs_f64(),
        mib(own["rss_bytes"].as_i64().unwrap_or_default()),
        mib(after),
        mib(peak),
    );
    let json = json!({"share": share, "bar": SHORT_BAR, "processes": count, "known": named.processes,
        "short_of_all": named.short_of_all, "on_others_bytes": named.on_others,
        "took_s": ran.took.as_secs_f64(), "lost_events": lost, "own": own,
        "rss_after_bytes": after, "peak_bytes": peak});
    let passed = share >= SHORT_BAR && named.on_others == 0;
    Ok(Verdict { name: "short-lived processes named".to_owned(), passed, line, json })
}

fn run() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    resources::root()?;
    let mut pythons = interpreters::supported()?;
    pythons.retain(|python| !python.is_launched());
    if !arguments.python.is_empty() {
        let named = |python: &Interpreter| {
            let path = python.path.to_string_lossy();
            arguments.python.iter().any(|it| path == it.as_str() || python.version_text() == *it)
        };
        pythons.retain(named);
    }
    pythons.first().context("no such interpreter")?;
    println!("memtrace {}", memtrace::binary(Build::Release)?.display());
    let wanted =
        |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|it| it == name);
    type Case = fn(&Arguments, &[Interpreter]) -> Result<Verdict>;
    let cases: [(&str, Case); 4] =
        [("idle", idle), ("busy", busy), ("storm", storm), ("short", short)];
    let mut verdicts = Verdicts::default();
    for (name, case) in cases.into_iter().filter(|(name, _)| wanted(name)) {
        verdicts.tell(case(&arguments, &pythons).context(name)?);
    }
    let output = arguments.output.unwrap_or(resources::target_folder().join("bench_daemon.json"));
    verdicts.write(&output, json!({"quick": arguments.quick}), arguments.enforce)
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("bench_daemon: {error:#}");
        ExitCode::FAILURE
    })
}
