//! What `memtrace daemon` carries and what that costs, against the bars of its promise (issue 4).
//!
//! Bars are printed as passed or failed; only `--enforce` turns a failure into exit code 1. Needs
//! root, a release build of memtrace (made here unless `MEMTRACE_BIN` names one) and a quiet machine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use harness::daemon::{self, Daemon};
use harness::interpreters::{self, Interpreter};
use harness::load::short::Programs;
use harness::memtrace::{self, Build};
use harness::verdicts::{Verdict, Verdicts};
use harness::{Context, Result, check, resources};
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
    /// Only these cases (short)
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Processes at a time, of those that are short
    #[arg(long, default_value_t = 4)]
    at_once: usize,
    /// Where the figures go as JSON [default: bench_daemon.json in the build folder]
    #[arg(long, short)]
    output: Option<PathBuf>,
}

/// Programs that start, allocate and end.
const SHORT: usize = 2000;
/// How much of their growth has to be named by file and line.
const SHORT_BAR: f64 = 0.999;

fn short(arguments: &Arguments, pythons: &[Interpreter]) -> Result<Verdict> {
    let tag = daemon::tag();
    let programs = Programs::new(&tag)?;
    // As it is by default, but for what else runs on this machine, and with room for the windows of all.
    let config = format!(
        "[[include]]\ncommand = \"*{tag}*\"\n[http]\nlisten = \"127.0.0.1:0\"\n[limits]\nmemory = \"256MiB\"\n"
    );
    let daemon = Daemon::start_with(Build::Release, &config)?;
    let count = if arguments.quick { SHORT / 10 } else { SHORT };
    let ran = programs.run(pythons, count, arguments.at_once)?;
    let own = daemon.overview()?["own"].clone();
    let report = programs.report(&daemon, &pythons[0])?;
    check::law(&report)?;
    let lost: u64 = report.processes.iter().map(|process| process.lost_events).sum();
    let named = programs.named(&report)?;
    let share = named.share(&ran);
    daemon.stop()?;
    let line = format!(
        "{:.3} % (bar {:.1}) of {count} processes' growth; {} of them known, {} short of all; \
         {} bytes on another's line; {:.0} a second; {lost} events lost",
        share * 100.0,
        SHORT_BAR * 100.0,
        named.processes,
        named.short_of_all,
        named.on_others,
        count as f64 / ran.took.as_secs_f64(),
    );
    let json = json!({"share": share, "bar": SHORT_BAR, "processes": count, "known": named.processes,
        "short_of_all": named.short_of_all, "on_others_bytes": named.on_others,
        "took_s": ran.took.as_secs_f64(), "lost_events": lost, "own": own});
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
    let cases: [(&str, Case); 1] = [("short", short)];
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
