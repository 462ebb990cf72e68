//! `memtrace diff`, of two times of one recording and of two recordings.

use harness::interpreters::newest;
use harness::memtrace::{self, finish};
use harness::recorder::{Recorder, Recording};
use harness::target::{Target, program};
use harness::{Context, Result, ensure};
use serde_json::Value;

use crate::{STEP, TwoSteps};

/// Up to between the two steps, and all of it.
fn twice(steps: &TwoSteps) -> [&str; 4] {
    ["--to", &steps.between, "--to", "1h"]
}

fn line<'a>(diff: &'a Value, steps: &TwoSteps) -> Result<&'a Value> {
    let of = |line: &&Value| line["file"] == *steps.mark.file && line["line"] == steps.mark.line;
    let lines = diff["lines"].as_array().context("lines")?;
    lines.iter().find(of).with_context(|| format!("no such line in {diff}"))
}

#[test]
fn two_times_of_one_recording_differ_by_the_step_between_them() -> Result<()> {
    let steps = TwoSteps::record()?;
    let options = ["--from", "0s", "--from", "0s", "--format", "json"];
    let output = steps.recording.read("diff", &[&options[..], &twice(&steps)].concat())?;
    output.expect_code(0)?;
    ensure!(output.stderr.is_empty(), "{:?}", output.stderr);
    let diff: Value = serde_json::from_str(&output.stdout)?;
    ensure!(diff["same_programs"] == true, "{diff}");
    for (side, rss) in [("before", steps.rss[0]), ("after", steps.rss[1])] {
        let side = &diff[side];
        ensure!(side["rss_after_bytes"] == rss, "{side}, not {rss}");
        let terms = ["rss_before_bytes", "attributed_bytes", "unattributed_bytes"];
        let sum: i64 = terms.iter().filter_map(|term| side[*term].as_i64()).sum();
        ensure!(sum == rss, "{side}");
    }
    ensure!(diff["change_rss_bytes"] == steps.rss[1] - steps.rss[0], "{diff}");
    let line = line(&diff, &steps)?;
    let change = line["change_resident_bytes"].as_i64().context("a change")?;
    ensure!((change - STEP).abs() <= STEP / 50, "{line}");
    ensure!(diff["lines"][0] == *line, "it is not the first: {diff}");
    ensure!(line["presence"] == "both", "{line}");
    Ok(())
}

#[test]
fn growth_above_the_bound_is_exit_code_4_with_the_line_named() -> Result<()> {
    let steps = TwoSteps::record()?;
    let times = twice(&steps);
    let diff = |bound: &str| {
        steps.recording.read("diff", &[&times[..], &["--fail-above", bound]].concat())
    };
    let grew = diff("10MiB")?;
    grew.expect_code(4)?.expect_words(&["resident.py", &format!(":{}", steps.mark.line)])?;
    ensure!(grew.stdout.contains("resident.py"), "the table goes with it: {:?}", grew.stdout);
    let well = diff("40MiB")?;
    well.expect_code(0)?;
    ensure!(well.stderr.is_empty(), "{:?}", well.stderr);
    let quiet = &[&times[..], &["--fail-above", "10MiB", "--quiet"]].concat();
    ensure!(steps.recording.read("diff", quiet)?.expect_code(4)?.stderr.is_empty());
    // The other way round it shrank.
    let back = ["--to", "1h", "--to", &steps.between, "--fail-above", "0B"];
    steps.recording.read("diff", &back)?.expect_code(0).map(drop)
}

#[test]
fn recordings_of_different_programs_are_compared_and_told() -> Result<()> {
    let steps = TwoSteps::record()?;
    let mut other = Target::start(&newest()?, "threads.py", &["one_after_another"])?;
    let recorder = Recorder::of(&[other.pid], &[])?;
    other.go()?;
    let other = recorder.stop()?;
    let mut command = memtrace::command(["diff"])?;
    let output = finish(command.arg(&steps.recording.file).arg(&other.file))?;
    output.expect_code(0)?.expect_words(&["memtrace: warning:", "different programs"])?;
    for file in ["resident.py", "threads.py"] {
        ensure!(output.stdout.contains(file), "nothing of {file}: {}", output.stdout);
    }
    Ok(())
}

#[test]
fn two_runs_of_one_program_have_no_growth_between_them() -> Result<()> {
    let python = newest()?.path;
    let file = program("grows.py");
    let run = || Recording::of_command(&[], &[python.as_path(), &file]);
    let ((first, _), (second, _)) = (run()?, run()?);
    let mut command = memtrace::command(["diff", "--fail-above", "4MiB"])?;
    let output = finish(command.arg(&first.file).arg(&second.file))?;
    output.expect_code(0)?;
    ensure!(output.stderr.is_empty(), "{:?}", output.stderr);
    Ok(())
}

#[test]
fn what_names_no_two_sides_is_refused_with_the_mend() -> Result<()> {
    let steps = TwoSteps::record()?;
    let diff = |options: &[&str]| steps.recording.read("diff", options);
    diff(&[])?.expect_code(1)?.expect_words(&["--from and --to twice"])?;
    diff(&["--from", "1s"])?.expect_code(1)?.expect_words(&["twice"])?;
    diff(&["--to", "1s", "--to", "2s", "--to", "3s"])?.expect_code(1)?.expect_words(&["twice"])?;
    diff(&["--from", "0s", "--from", "9h"])?.expect_code(1)?.expect_words(&["nothing from 9h"])?;
    let missing = diff(&["no-such.memtrace"])?;
    missing.expect_code(1)?.expect_words(&["no-such.memtrace", "No such file"]).map(drop)
}
