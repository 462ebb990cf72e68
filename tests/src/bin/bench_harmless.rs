//! A million requests to a small HTTP service while memtrace attaches to it and lets go of it a
//! hundred times: every one must be answered, and answered rightly. Prints how long they took, with
//! and without. Needs root.

use std::process::ExitCode;

use clap::Parser;
use harness::interpreters;
use harness::memtrace::Build;
use harness::service::{Served, Service};
use harness::{Result, ensure, resources};

/// Serves a million requests under a hundred traces.
#[derive(Parser)]
struct Arguments {
    /// Requests
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// Times to attach and to detach
    #[arg(long, default_value_t = 100)]
    traces: u32,
    /// Connections at once
    #[arg(long, default_value_t = 8)]
    connections: u64,
    /// Requests before that, without any trace, to compare with
    #[arg(long, default_value_t = 100_000)]
    untraced: u64,
}

#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
fn told(what: &str, served: Served) {
    let Served { requests, traces, took, slowest } = served;
    let rate = requests as f64 / took.as_secs_f64();
    println!(
        "{what}: {requests} requests, all answered rightly, {traces} traces, {took:.1?} \
         ({rate:.0} a second), the slowest {slowest:.1?}"
    );
}

fn run() -> Result<()> {
    let arguments = Arguments::parse();
    resources::root()?;
    let python = interpreters::newest()?;
    println!("{python}");
    let service = Service::start(&python)?;
    let Arguments { requests, traces, connections, untraced } = arguments;
    let before = service.under_load(untraced, connections, 0, Build::Release)?;
    told("untraced", before);
    let traced = service.under_load(requests, connections, traces, Build::Release)?;
    told("traced", traced);
    ensure!(traced.traces >= traces && traced.requests >= requests, "{traced:?}");
    let answered = service.end()?;
    ensure!(answered == before.requests + traced.requests, "the service counted {answered}");
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_harmless: {error:#}");
            ExitCode::FAILURE
        }
    }
}
