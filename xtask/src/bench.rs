//! `cargo xtask bench`: what tracing costs, as the program `bench` of the crate `tests` measures it;
//! with `--recording`, how large recordings get, as `bench_recording` does; with `--probe`, what the
//! kernel side itself takes for an event, as `bench_probe` does; with `--explain`, how long a look takes;
//! with `--lines`, what counting lines costs beside memory_profiler; with `--peers`, what other memory
//! profilers do on the same programs; with `--budget`, what a budget for stack walks saves; with
//! `--daemon`, what the daemon carries: idle and busy processes, a storm, and many short ones; with
//! `--harmless`, whether a service answers a million requests while it is traced a hundred times.
//!
//! It builds and starts that program and does not measure anything itself.

use anyhow::{Result, bail};

use crate::{peers, process};

/// What was typed.
#[derive(Default, clap::Args)]
pub(crate) struct Options {
    /// Measure recordings: their size, the recorder's memory, the time of a report
    #[arg(long)]
    recording: bool,
    /// Measure the kernel programs' own time, by depth of the stack and by version
    #[arg(long, conflicts_with = "recording")]
    probe: bool,
    /// Measure one look by `memtrace explain`
    #[arg(long, conflicts_with_all = ["recording", "probe"])]
    explain: bool,
    /// Measure `memtrace run --count-lines` against memory_profiler
    #[arg(long, conflicts_with_all = ["recording", "probe", "explain"])]
    lines: bool,
    /// Run other memory profilers on the same programs, and write docs/benchmarks.md
    #[arg(long, conflicts_with_all = ["recording", "probe", "explain", "lines"])]
    peers: bool,
    /// Measure what a budget for stack walks saves, and what programs that allocate lose within it
    #[arg(long, conflicts_with_all = ["recording", "probe", "explain", "lines", "peers"])]
    budget: bool,
    /// Measure what the daemon carries
    #[arg(long, conflicts_with_all = ["recording", "probe", "explain", "lines", "peers", "budget"])]
    daemon: bool,
    /// Ask a service for a million answers while it is traced a hundred times
    #[arg(long, conflicts_with_all = ["recording", "probe", "explain", "lines", "peers", "budget", "daemon"])]
    harmless: bool,
    /// Passed on to the benchmark
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Options {
    /// As `--harmless`: the one that doesn't depend on the machine's mood, and so is part of CI's longer mode.
    pub(crate) fn harmless() -> Self {
        Self { harmless: true, ..Self::default() }
    }
}

/// The chore.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !process::is_root() {
        bail!("the benchmark traces processes, so it needs root: run it again with sudo");
    }
    process::run(process::cargo().args(["build", "--quiet", "--release", "-p", "memtrace"]))?;
    let bench = match options {
        Options { recording: true, .. } => "bench_recording",
        Options { probe: true, .. } => "bench_probe",
        Options { explain: true, .. } => "bench_explain",
        Options { lines: true, .. } => "bench_lines",
        Options { peers: true, .. } => "bench_peers",
        Options { budget: true, .. } => "bench_budget",
        Options { daemon: true, .. } => "bench_daemon",
        Options { harmless: true, .. } => "bench_harmless",
        _ => "bench",
    };
    let mut own = Vec::new();
    if options.peers {
        own = vec!["--tools".into(), peers::installed()?.into_os_string()];
    }
    process::run(
        process::cargo()
            .args(["run", "--quiet", "--release", "-p", "tests", "--bin", bench, "--"])
            .args(own)
            .args(&options.arguments),
    )
}
