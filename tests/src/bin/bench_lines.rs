//! What `run --count-lines` costs, against memory_profiler on the same script: its promise is a tenth.
//!
//! Untraced runs, traced ones, counted ones and memory_profiler's take turns; each figure is a median.
//! Only `--enforce` turns a miss into exit code 1. Needs root, memory_profiler (`cargo xtask setup`) and
//! a release build of memtrace (made here unless `MEMTRACE_BIN` names one).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use clap::Parser;
use harness::measure::median;
use harness::memtrace::{self, Build};
use harness::target::program;
use harness::{Result, ensure, profiler, resources};

/// Times that memory_profiler must take longer.
const BAR: f64 = 10.0;

/// Measures what counting lines costs.
#[derive(Parser)]
struct Arguments {
    /// Rounds of the script's loops
    #[arg(long, default_value = "50000")]
    rounds: String,
    /// Runs of each kind
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Exit with 1 when the bar is missed
    #[arg(long)]
    enforce: bool,
}

/// Seconds by function of the script, and `whole` for the whole run.
fn run(command: &mut Command) -> Result<BTreeMap<String, f64>> {
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    let whole = started.elapsed().as_secs_f64();
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
    let mut took = BTreeMap::from([("whole run".to_owned(), whole)]);
    for line in stderr.lines().filter_map(|line| line.strip_prefix("took ")) {
        if let Some((name, seconds)) = line.split_once(' ') {
            took.insert(name.to_owned(), seconds.parse()?);
        }
    }
    Ok(took)
}

fn traced(memtrace: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(memtrace);
    command.arg("run").args(options).args(["--output", "/dev/null", "--"]);
    command
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    resources::root()?;
    let memtrace = memtrace::binary(Build::Release)?;
    let (python, script) = (profiler::interpreter()?, program("profiled.py"));
    let rounds = arguments.rounds.as_str();
    let mut seconds: BTreeMap<(String, &str), Vec<f64>> = BTreeMap::new();
    for _ in 0..arguments.runs {
        let kinds = [
            ("untraced", Command::new(&python)),
            ("traced", traced(&memtrace, &[])),
            ("counted", traced(&memtrace, &["--count-lines"])),
        ];
        for (kind, mut command) in kinds {
            if kind != "untraced" {
                command.arg(&python);
            }
            for (name, took) in run(command.arg(&script).arg(rounds))? {
                seconds.entry((name, kind)).or_default().push(took);
            }
        }
        for (name, took) in run(&mut profiler::command(&script, &[rounds])?)? {
            seconds.entry((name, "memory_profiler")).or_default().push(took);
        }
    }
    let mut met = true;
    for name in ["numbers", "keeps", "parses", "whole run"] {
        let of = |kind| seconds.get(&(name.to_owned(), kind)).map_or(0.0, |all| median(all));
        let (counted, profiled) = (of("counted"), of("memory_profiler"));
        let times = profiled / counted;
        let verdict = if times >= BAR { "passed" } else { "FAILED" };
        println!(
            "{name:<9} untraced {:.4} s, traced {:.4} s, counted {counted:.4} s, memory_profiler \
             {profiled:.4} s: {times:.1} times as long, {verdict}",
            of("untraced"),
            of("traced")
        );
        met &= times >= BAR;
    }
    Ok(if met || !arguments.enforce { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
