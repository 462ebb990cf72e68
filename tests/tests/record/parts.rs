//! Parts of a recording: of its time, up to its peak, of its processes, threads and files.

use harness::interpreters::newest;
use harness::recorder::{Recorder, Recording};
use harness::report::{Process, Report};
use harness::target::Target;
use harness::{Context, Result, ensure};

use crate::{MIB, STEP, TwoSteps};

/// The law for a part. What a line holds may have been grown before a part of the time, so only
/// the sums are asked.
fn adds_up(process: &Process) -> Result<()> {
    let lines: i64 = process.lines.iter().map(|line| line.self_net_bytes).sum();
    let rows: i64 = process.unattributed.iter().map(|row| row.net_bytes).sum();
    let (before, after) = (process.rss_before_bytes, process.rss_after_bytes);
    ensure!(before + lines + rows == after, "{before} + {lines} + {rows} is not {after}");
    ensure!(process.more["law_gap_bytes"] == 0, "{:?}", process.more["law_gap_bytes"]);
    Ok(())
}

fn law(report: &Report) -> Result<()> {
    ensure!(!report.processes.is_empty(), "a report without processes");
    report.processes.iter().try_for_each(adds_up)
}

#[test]
fn parts_of_the_time_obey_the_law_and_add_up_to_the_whole() -> Result<()> {
    let steps = TwoSteps::record()?;
    let (recording, between) = (&steps.recording, steps.between.as_str());
    let whole = recording.report(&[])?;
    let parts = [recording.report(&["--to", between])?, recording.report(&["--from", between])?];
    let process = |report: &Report| report.process(steps.pid).cloned();
    let (all, first, second) = (process(&whole)?, process(&parts[0])?, process(&parts[1])?);
    for report in [&whole, &parts[0], &parts[1]] {
        law(report)?;
    }
    ensure!(first.rss_before_bytes == all.rss_before_bytes);
    ensure!(first.rss_after_bytes == second.rss_before_bytes, "the parts do not meet");
    ensure!(second.rss_after_bytes == all.rss_after_bytes);
    ensure!(first.rss_after_bytes == steps.rss[0], "{} at {between}", first.rss_after_bytes);
    ensure!(first.events + second.events == all.events, "events");
    ensure!(parts[0].duration_ns + parts[1].duration_ns == whole.duration_ns, "durations");
    // Line by line and row by row.
    for line in &all.lines {
        let [whole, a, b] = [&all, &first, &second].map(|part| part.figures(&line.file, line.line));
        ensure!(a.net + b.net == whole.net, "{line:?}: {a:?} {b:?}");
        ensure!(a.grown + b.grown == whole.grown, "{line:?}: {a:?} {b:?}");
        ensure!(a.events + b.events == whole.events, "{line:?}: {a:?} {b:?}");
    }
    for row in &all.unattributed {
        let net = |part: &Process| part.net_of(&row.reason, &row.name);
        ensure!(net(&first) + net(&second) == net(&all), "{row:?}");
    }
    let at = |part: &Process| part.figures(&steps.mark.file, steps.mark.line);
    for part in [&first, &second] {
        let grown = at(part).grown;
        ensure!((grown - STEP).abs() <= STEP / 50, "a step of {grown}");
    }
    // What was grown before the part is held in it.
    let held = at(&second).resident;
    ensure!((held - 2 * STEP).abs() <= STEP / 50, "held {held}");
    Ok(())
}

#[test]
fn a_time_outside_the_recording_or_of_no_length_is_refused_with_its_end() -> Result<()> {
    let steps = TwoSteps::record()?;
    let late = steps.recording.read("report", &["--from", "5h"])?;
    late.expect_code(1)?.expect_words(&["a.memtrace", "nothing from 5h on", "ends"])?;
    for (from, to) in [("2s", "1s"), ("1s", "1s"), ("0s", "0s")] {
        let none = steps.recording.read("report", &["--from", from, "--to", to])?;
        none.expect_code(1)?.expect_words(&["--from must be before --to"])?;
    }
    let wrong = steps.recording.read("report", &["--peak", "--to", "1s"])?;
    wrong.expect_code(2)?.expect_words(&["--peak"])?;
    // Up to a time beyond the end: all of it.
    let all = steps.recording.report(&["--to", "5h"])?;
    ensure!(all.duration_ns == steps.recording.report(&[])?.duration_ns);
    Ok(())
}

#[test]
fn at_the_peak_the_line_that_gave_all_back_still_holds_it() -> Result<()> {
    let mut target = Target::start(&newest()?, "resident.py", &["frees_on_another_line"])?;
    let recorder = Recorder::of(&[target.pid], &["--window", "100ms"])?;
    let truth = target.go()?;
    let recording = recorder.stop()?;
    let mark = truth.mark("grows")?;
    let held = |report: Report| -> Result<(i64, Process)> {
        let process = report.process(target.pid)?;
        adds_up(process)?;
        Ok((process.figures(&mark.file, mark.line).resident, process.clone()))
    };
    let (at_end, _) = held(recording.report(&[])?)?;
    let (at_peak, process) = held(recording.report(&["--peak"])?)?;
    ensure!(at_end < MIB, "at the end it holds {at_end}");
    ensure!((at_peak - STEP).abs() <= STEP / 50, "at the peak it holds {at_peak}");
    let below = process.rss_peak_bytes - process.rss_after_bytes;
    ensure!((0..MIB).contains(&below), "the part ends {below} below the peak");
    Ok(())
}

/// Two lines, in two threads, of which one is the process's first.
fn in_two_threads() -> Result<(Recording, u32, [String; 2])> {
    let mut target = Target::start(&newest()?, "threads.py", &["one_after_another"])?;
    let recorder = Recorder::of(&[target.pid], &[])?;
    let truth = target.go()?;
    let late = truth.mark("late thread")?;
    let recording = recorder.stop()?;
    Ok((recording, target.pid, [late.file.clone(), late.line.to_string()]))
}

#[test]
fn what_a_filter_leaves_out_stays_in_the_sum_as_one_row() -> Result<()> {
    let (recording, pid, [file, line]) = in_two_threads()?;
    let line: u32 = line.parse()?;
    let first = pid.to_string();
    let whole = recording.report(&[])?;
    let grown = whole.process(pid)?.figures(&file, line).grown;
    ensure!((grown - STEP).abs() <= STEP / 50, "grown {grown}");
    for (options, there) in [
        (&["--process", &first][..], true),
        (&["--include", "threads.py"], true),
        (&["--include", "*/threads.py", "--include", "nothing.py"], true),
        (&["--exclude", "threads.py"], false),
        (&["--exclude", "*"], false),
        (&["--include", "threads.py", "--exclude", "thr*"], false),
        (&["--thread", "*"], true),
        (&["--thread", &first], false), // the first thread's number is the process's
        (&["--thread", "nobody"], false),
    ] {
        let report = recording.report(options)?;
        law(&report).with_context(|| format!("{options:?}"))?;
        let process = report.process(pid)?;
        let found = process.figures(&file, line).grown;
        ensure!(found == if there { grown } else { 0 }, "{options:?}: {found}");
        let left_out = process.unattributed_net("left out");
        let lines: i64 = process.lines.iter().map(|line| line.self_net_bytes).sum();
        let whole = whole.process(pid)?.attributed_bytes;
        ensure!(lines + left_out == whole, "{options:?}: {lines} and {left_out} of {whole}");
    }
    Ok(())
}

#[test]
fn a_filter_that_matches_nothing_is_told_and_no_failure() -> Result<()> {
    let (recording, _, _) = in_two_threads()?;
    for (options, word) in [
        (["--process", "1"], "no process 1"),
        (["--thread", "nobody"], "nobody"),
        (["--include", "nothing.py"], "nothing.py"),
        (["--exclude", "nothing.py"], "nothing.py"),
    ] {
        let output = recording.read("report", &options)?;
        output.expect_code(0)?.expect_words(&["memtrace: warning:", word])?;
        let quiet = recording.read("report", &[&options[..], &["--quiet"]].concat())?;
        quiet.expect_code(0)?;
        ensure!(quiet.stderr.is_empty(), "{:?}", quiet.stderr);
    }
    let bad = recording.read("report", &["--include", "[z-"])?;
    bad.expect_code(2)?.expect_words(&["--include", "*.py"]).map(drop)
}
