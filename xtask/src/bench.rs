//! `cargo xtask bench`: what tracing costs, as the program `bench` of the crate `tests` measures it;
//! with `--recording`, how large recordings get, as `bench_recording` does.
//!
//! It builds and starts that program and does not measure anything itself.

use anyhow::{Result, bail};

use crate::process;

/// What was typed.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Measure recordings: their size, the recorder's memory, the time of a report
    #[arg(long)]
    recording: bool,
    /// Passed on to the benchmark
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// The chore.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !process::is_root() {
        bail!("the benchmark traces processes, so it needs root: run it again with sudo");
    }
    process::run(process::cargo().args(["build", "--quiet", "--release", "-p", "memtrace"]))?;
    let bench = if options.recording { "bench_recording" } else { "bench" };
    process::run(
        process::cargo()
            .args(["run", "--quiet", "--release", "-p", "tests", "--bin", bench, "--"])
            .args(&options.arguments),
    )
}
