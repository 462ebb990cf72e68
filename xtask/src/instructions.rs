//! `cargo xtask instructions`: how many instructions user space takes for each record, step by step, and
//! whether that grew.
//!
//! valgrind's callgrind counts them, which depends on neither the clock nor on what else the machine does. The
//! bars are the counts of the last `--write`, in `memtrace-userspace/benches/hot_paths.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::{self, root};

/// Debian's package of valgrind.
pub(crate) const PACKAGE: &str = "valgrind";

const BENCH: &str = "hot_paths";
const BARS: &str = "memtrace-userspace/benches/hot_paths.json";
/// More than so many hundredths above the bar fail.
const LEEWAY_PERCENT: u64 = 5;
/// The functions of the benchmark that are counted, by the step that they do.
const STEPS: [&str; 5] = ["decode", "ledger", "entries", "history", "profile"];

/// What was typed.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Make what is counted now the new bars
    #[arg(long)]
    write: bool,
}

impl Options {
    /// Compare only.
    pub(crate) const CHECK: Self = Self { write: false };
}

/// Instructions by step.
type Counts = BTreeMap<String, u64>;

/// The chore.
pub(crate) fn run(options: &Options) -> Result<()> {
    let program = build()?;
    let mut counts = Counts::new();
    for step in STEPS {
        counts.insert(step.to_owned(), count(&program, step)?);
    }
    let file = root().join(BARS);
    if options.write {
        let text = serde_json::to_string_pretty(&counts).context("counts as JSON")?;
        fs::write(&file, text + "\n").with_context(|| BARS)?;
    }
    let bars = fs::read_to_string(&file).with_context(|| BARS)?;
    let bars: Counts = serde_json::from_str(&bars).with_context(|| BARS)?;
    judge(&counts, &bars)
}

/// Prints each step's count beside its bar, and fails when one is above it by too much.
fn judge(counts: &Counts, bars: &Counts) -> Result<()> {
    let mut above = Vec::new();
    println!("{:8} {:>12} {:>12}", "step", "instructions", "bar");
    for (step, count) in counts {
        let bar = *bars.get(step).with_context(|| format!("{BARS} has no {step}"))?;
        println!("{step:8} {count:>12} {bar:>12} {:>+7.2} %", (ratio(*count, bar) - 1.0) * 100.0);
        if count * 100 > bar * (100 + LEEWAY_PERCENT) {
            above.push(step.as_str());
        }
    }
    if above.is_empty() {
        return Ok(());
    }
    bail!(
        "more than {LEEWAY_PERCENT} % above the bar: {}; if that is what it takes, `cargo xtask \
         instructions --write` and say why in the commit",
        above.join(", ")
    )
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn ratio(count: u64, bar: u64) -> f64 {
    count as f64 / bar as f64
}

/// Builds the benchmark and finds it.
fn build() -> Result<PathBuf> {
    let mut command = process::cargo();
    command.args(["bench", "--no-run", "--locked", "--quiet", "--profile", "counted"]).args([
        "-p",
        "memtrace",
        "--bench",
        BENCH,
        "--message-format",
        "json",
    ]);
    println!("$ {}", process::shown(&command));
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| process::not_started(&command))?;
    if !output.status.success() {
        bail!("the benchmark can't be built ({})", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut made = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == BENCH;
        is_it.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
    });
    made.next_back().with_context(|| format!("cargo built no {BENCH}"))
}

/// Instructions within a step's function, and in what it calls.
fn count(program: &Path, step: &str) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg(format!("--toggle-collect=*::hot_{step}"))
        .arg(program);
    let output = command.output().with_context(|| process::not_started(&command))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("`{}` failed ({}):\n{said}", process::shown(&command), output.status);
    }
    let collected = collected(&said).with_context(|| format!("valgrind said no count:\n{said}"))?;
    if collected == 0 {
        bail!("nothing was counted for {step}: is its function still called hot_{step}?");
    }
    Ok(collected)
}

/// The number in callgrind's line `==PID== Collected : NUMBER`.
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, u64)]) -> Counts {
        counts.iter().map(|(step, count)| ((*step).to_owned(), *count)).collect()
    }

    #[test]
    fn five_hundredths_more_pass_and_six_do_not() {
        let bars = counts(&[("decode", 1000), ("ledger", 2000)]);
        assert!(judge(&counts(&[("decode", 1050), ("ledger", 10)]), &bars).is_ok());
        let error = judge(&counts(&[("decode", 1060), ("ledger", 2000)]), &bars).unwrap_err();
        assert!(error.to_string().contains("bar: decode;"), "{error}");
        assert!(judge(&counts(&[("more", 1)]), &bars).is_err());
    }

    #[test]
    fn the_count_is_found_in_what_callgrind_says() {
        let said = "==7== Events    : Ir\n==7== Collected : 1234\n==7== \n";
        assert_eq!(collected(said), Some(1234));
        assert_eq!(collected("==7== nothing\n"), None);
    }
}
