//! `cargo xtask test`: everything that CI runs, in one order, each step timed.
//!
//! fmt → clippy → tidy → eBPF object → supply chain → tests → instructions; with `--long` then other kernels →
//! a million requests → fuzzers → reproducible build, which take an hour and more. The first step that
//! fails ends it. Tests that trace need root: without root this fails and says so, it does not skip them.

use std::io::{BufRead, BufReader, IsTerminal};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::process::{self, root};
use crate::setup::{self, Purpose};
use crate::toolchain::{self, TARGET};
use crate::{bench, deny, ebpf, fuzz, instructions, reproduce, sbom, tidy, vm};

/// Left out by `--quick`: the integration tests of the crate `tests`, which trace live processes.
const WITHOUT_ROOT: &str = "not (package(tests) and kind(test))";

/// What was typed.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leave out the tests that need root
    #[arg(long)]
    quick: bool,
    /// Also what takes an hour and more: other kernels, a million requests, fuzzers, the
    /// release build twice
    #[arg(long, conflicts_with = "quick")]
    long: bool,
}

/// The chore.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.quick && !process::is_root() {
        bail!(
            "the tests load eBPF programs, so they need root: run `sudo -E env \"PATH=$PATH\" cargo \
             xtask test`, or `cargo xtask test --quick` for those that don't"
        );
    }
    let start = Instant::now();
    let purpose = if options.long { Purpose::Long } else { Purpose::Tests };
    step("setup", || setup::run(&setup::Options::install(purpose)))?;
    step("fmt", fmt)?;
    step("clippy", clippy)?;
    step("tidy", tidy::run)?;
    step("eBPF object", || ebpf::run(&ebpf::Options::CHECK))?;
    if !options.quick {
        step("supply chain", || deny::run(&deny::Options::default()))?;
    }
    let mut totals = Totals::default();
    step("tests", || {
        totals = nextest(options.quick)?;
        Ok(())
    })?;
    if !options.quick {
        step("instructions", || instructions::run(&instructions::Options::CHECK))?;
    }
    if options.long {
        step("bills of materials", || sbom::run(&sbom::Options::default()))?;
        step("kernels", || vm::run(&vm::Options::default()))?;
        step("a million requests", || bench::run(&bench::Options::harmless()))?;
        step("fuzzers", || fuzz::run(&fuzz::Options::default()))?;
        step("reproducible build", || reproduce::run(&reproduce::Options::default()))?;
    }
    let left_out = if options.quick { ", without those that need root" } else { "" };
    println!("test: all steps passed in {:.1} s{left_out}", start.elapsed().as_secs_f64());
    println!("{} passed, {} failed, {} skipped", totals.passed, totals.failed, totals.skipped);
    Ok(())
}

/// Runs a step and says how long it took.
fn step(name: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("── {name}");
    let start = Instant::now();
    run().with_context(|| format!("step `{name}`"))?;
    println!("── {name}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn fmt() -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--", "--check"]))?;
    if has_ebpf() {
        let manifest = "memtrace-ebpf/Cargo.toml";
        process::run(process::cargo().args(["fmt", "--manifest-path", manifest, "--", "--check"]))?;
    }
    Ok(())
}

fn clippy() -> Result<()> {
    let deny = ["--", "-D", "warnings"];
    process::run(
        process::cargo()
            .args(["clippy", "--quiet", "--workspace", "--all-targets", "--locked"])
            .args(deny),
    )?;
    if !has_ebpf() {
        return Ok(());
    }
    let driver = "/usr/bin/cargo-clippy";
    match toolchain::find() {
        Ok(tools) if Path::new(driver).is_file() => {
            // Debian's own, by its path: cargo would look for it in rustup's folder first.
            let mut command = ebpf::command(driver, &root(), &tools);
            command
                .env("CARGO", &tools.cargo)
                .args(["clippy", "--quiet", "--release", "--locked", "--target", TARGET])
                .args(deny);
            process::run(&mut command)
        }
        Ok(_) => {
            println!("clippy: kernel side NOT checked, {driver} (rust-web-clippy) is missing");
            Ok(())
        }
        Err(missing) => {
            println!("clippy: kernel side NOT checked, missing {}", missing.join(", "));
            Ok(())
        }
    }
}

/// Whether the kernel side is in this tree.
fn has_ebpf() -> bool {
    root().join("memtrace-ebpf/Cargo.toml").is_file()
}

/// What nextest counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Runs the tests, shows what nextest prints as it comes, and reads its totals.
fn nextest(quick: bool) -> Result<Totals> {
    let mut command = process::cargo();
    let color = if std::io::stderr().is_terminal() { "always" } else { "never" };
    command
        .args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast", "--color", color])
        .args(["--no-tests", "fail"]);
    if quick {
        command.args(["-E", WITHOUT_ROOT]);
    }
    println!("$ {}", process::shown(&command));
    let mut child =
        command.stderr(Stdio::piped()).spawn().with_context(|| process::not_started(&command))?;
    let mut totals = None;
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            eprintln!("{line}");
            totals = parse_summary(&line).or(totals);
        }
    }
    let status = child.wait().context("waiting for nextest")?;
    if !status.success() {
        bail!("tests failed ({status})");
    }
    match totals {
        Some(totals) if totals.passed > 0 => Ok(totals),
        _ => bail!("no test was run"),
    }
}

/// The totals in `Summary [   0.1s] 5 tests run: 4 passed (1 slow), 1 failed, 2 skipped`.
fn parse_summary(line: &str) -> Option<Totals> {
    let line = without_colors(line);
    let (_, counts) = line.trim_start().strip_prefix("Summary ")?.split_once(" run: ")?;
    let count = |word: &str| {
        counts
            .split(", ")
            .filter_map(|part| part.split_once(' '))
            .find(|(_, what)| what.split(' ').next() == Some(word))
            .and_then(|(number, _)| number.parse().ok())
            .unwrap_or(0)
    };
    Some(Totals { passed: count("passed"), failed: count("failed"), skipped: count("skipped") })
}

/// A line without a terminal's colour sequences.
fn without_colors(line: &str) -> String {
    let mut parts = line.split('\x1b');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_gives_its_totals() {
        let totals = |passed, failed, skipped| Some(Totals { passed, failed, skipped });
        for (line, expected) in [
            ("     Summary [   0.008s] 12 tests run: 12 passed, 0 skipped", totals(12, 0, 0)),
            (
                "Summary [ 1.0s] 5 tests run: 4 passed (1 slow), 1 failed, 2 skipped",
                totals(4, 1, 2),
            ),
            (
                "\x1b[32;1m     Summary\x1b[0m [   0.1s] \x1b[1m1\x1b[0m test run: \
                 \x1b[1m1\x1b[0m \x1b[32;1mpassed\x1b[0m, \x1b[1m3\x1b[0m skipped",
                totals(1, 0, 3),
            ),
            ("        PASS [   0.008s] xtask tests::summary", None),
        ] {
            assert_eq!(parse_summary(line), expected, "{line}");
        }
    }
}
