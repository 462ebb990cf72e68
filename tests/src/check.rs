//! The judgements that many tests share: the law, and who is credited.

use anyhow::{Context, Result, ensure};

use crate::memory::Resident;
use crate::report::{Process, Report, Split};
use crate::truth::{Mark, Truth};

/// What a program may grow beside its marked lines: starting threads, formatting its answer.
pub const BESIDE: i64 = 512 << 10;

/// The law within one process: nothing but its own figures, which must add up to the byte.
///
/// # Errors
/// When they don't.
pub fn adds_up(process: &Process) -> Result<()> {
    let lines: i64 = process.lines.iter().map(|line| line.self_net_bytes).sum();
    let rows: i64 = process.unattributed.iter().map(|row| row.net_bytes).sum();
    let (before, after) = (process.rss_before_bytes, process.rss_after_bytes);
    let who = format!("process {} {:?}", process.pid, process.command);
    ensure!(
        lines == process.attributed_bytes,
        "{who}: lines sum to {lines}, attributed_bytes is {}",
        process.attributed_bytes
    );
    ensure!(
        before + lines + rows == after,
        "{who}: {before} before + {lines} lines + {rows} unattributed is not {after} after, \
         by {}\n{}",
        after - before - lines - rows,
        process.top()
    );
    let kinds = process.lines.iter().map(|line| line.self_net);
    let kinds = kinds.chain(process.unattributed.iter().map(|row| row.net));
    let sum = kinds.fold(process.rss_before, |sum, one| sum + one);
    ensure!(sum == process.rss_after, "{who}: by kind {sum:?} is not {:?}", process.rss_after);
    for (whole, split) in [(before, process.rss_before), (after, process.rss_after)] {
        ensure!(whole == split.total(), "{who}: {split:?} does not make up {whole}");
    }
    for (key, value) in &process.more {
        if key.starts_with("law_gap") {
            ensure!(is_zero(value), "{who}: {key} is {value}");
        }
    }
    for line in &process.lines {
        let net = line.self_grown_bytes - line.self_returned_bytes;
        ensure!(net == line.self_net_bytes, "{who}: grown - returned is not net in {line:?}");
        ensure!(line.self_grown_bytes >= 0, "{who}: negative growth in {line:?}");
        ensure!(line.self_returned_bytes >= 0, "{who}: returned more than it can: {line:?}");
        ensure!(
            (0..=line.self_grown_bytes).contains(&line.self_resident_bytes),
            "{who}: resident is not a part of what the line grew: {line:?}"
        );
    }
    ensure!(
        process.rss_peak_bytes >= after.max(before),
        "{who}: the peak is below before or after"
    );
    // A row named so is memtrace's own admission that it missed something.
    let remainder = process.unattributed_net("remainder");
    ensure!(remainder == 0, "{who}: a remainder of {remainder} is left\n{}", process.top());
    Ok(())
}

fn is_zero(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Number(number) => number.as_i64() == Some(0),
        serde_json::Value::Object(parts) => parts.values().all(is_zero),
        _ => false,
    }
}

/// The law for all processes of a report.
///
/// # Errors
/// When it is broken in any.
pub fn law(report: &Report) -> Result<()> {
    ensure!(report.schema == "memtrace.report/1", "schema is {:?}", report.schema);
    let at_once = ::memtrace::kernel::support::counts_at_once();
    ensure!(
        report.exact == at_once,
        "exact is {}, the kernel's version says {at_once}",
        report.exact
    );
    ensure!(!report.processes.is_empty(), "a report without processes");
    report.processes.iter().try_for_each(adds_up)
}

/// The law against the kernel: RSS after is what the page tables said while it was parked.
///
/// # Errors
/// When it isn't.
pub fn agrees_with_kernel(report: &Report, pid: u32, kernel: Resident) -> Result<()> {
    let process = report.process(pid)?;
    ensure!(
        process.rss_after_bytes == kernel.rss,
        "process {pid} {:?}: rss_after_bytes {} is not smaps_rollup's {} (by {})\n{}",
        process.command,
        process.rss_after_bytes,
        kernel.rss,
        process.rss_after_bytes - kernel.rss,
        process.top()
    );
    // A breakpoint of memtrace's turns a page of the program's text into a private copy; it may
    // come after the kernel was asked. It has a row of its own in the process, or in the one that
    // forked it.
    let Resident { anon, file, shmem, .. } = kernel;
    let probed = report.processes.iter().any(|it| it.net_of("other process", "memtrace").anon > 0);
    let with_probe = Split { anon: anon + PAGE, file: file - PAGE, shmem };
    ensure!(
        process.rss_after == Split { anon, file, shmem }
            || (probed && process.rss_after == with_probe),
        "process {pid}: {:?} is not {kernel:?}",
        process.rss_after
    );
    Ok(())
}

/// Bytes of a page.
const PAGE: i64 = 4096;

/// 1 % of what was grown: the most that may be missing, or be too much.
fn hundredth(bytes: i64) -> i64 {
    bytes / 100
}

/// The marked line has at least 99 % of what it grew, and no more than 101 %; it is still there.
///
/// # Errors
/// When it hasn't.
pub fn kept_by_line(process: &Process, mark: &Mark) -> Result<()> {
    let (truth, figures) = (mark.grown()?, process.figures(&mark.file, mark.line));
    let near = |what: &str, value: i64| {
        ensure!(
            (value - truth).abs() <= hundredth(truth),
            "{} ({}:{}): {what} {value}, the truth is {truth} (off by {:.2} %)\n{}",
            mark.name,
            mark.file,
            mark.line,
            percent(value - truth, truth),
            process.top()
        );
        Ok(())
    };
    ensure!(truth >= 8 << 20, "{} grew only {truth}: the program is broken", mark.name);
    near("net", figures.net)?;
    near("resident", figures.resident)?;
    ensure!(figures.grown >= truth - hundredth(truth), "{}: grown {}", mark.name, figures.grown);
    Ok(())
}

/// Of the program's growth, at most 1 % is on lines that are not marked.
///
/// # Errors
/// When more is.
pub fn nothing_elsewhere(process: &Process, truth: &Truth) -> Result<()> {
    let marked = |file: &str, line: u32| {
        truth.marks.iter().any(|mark| mark.file == file && mark.line == line)
    };
    let elsewhere: i64 = process
        .lines
        .iter()
        .filter(|line| !marked(&line.file, line.line))
        .map(|line| line.self_net_bytes)
        .sum();
    let rows: i64 = process.unattributed.iter().map(|row| row.net_bytes).sum();
    let mut total = 0;
    for mark in &truth.marks {
        total += mark.grown()?;
    }
    for (what, bytes) in [("unmarked lines", elsewhere), ("unattributed rows", rows)] {
        ensure!(
            bytes.abs() <= hundredth(total),
            "{what} have {bytes}, {:.2} % of what the marked lines grew\n{}",
            percent(bytes, total),
            process.top()
        );
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "for a message")]
fn percent(part: i64, whole: i64) -> f64 {
    part as f64 * 100.0 / whole as f64
}

/// Each mark has grown what it says, and of it the truth's `resident` is left.
///
/// # Errors
/// When any hasn't.
pub fn resident_by_line(process: &Process, truth: &Truth) -> Result<()> {
    ensure!(!truth.resident.is_empty(), "the program states nothing about residence");
    for (name, left) in &truth.resident {
        let mark = truth.mark(name)?;
        let grown = mark.grown()?;
        let figures = process.figures(&mark.file, mark.line);
        let near = |what: &str, value: i64, truth: i64| {
            let slack = if grown == 0 { BESIDE / 8 } else { hundredth(grown) };
            ensure!(
                (value - truth).abs() <= slack,
                "{name} ({}:{}): {what} {value}, the truth is {truth}\n{}",
                mark.file,
                mark.line,
                process.top()
            );
            Ok(())
        };
        near("grown", figures.grown, grown)?;
        near("returned", figures.returned, grown - left)?;
        near("resident", figures.resident, *left)?;
        near("net", figures.net, *left)?;
    }
    Ok(())
}

/// The process of the report that is a followed child and names this line.
///
/// # Errors
/// When there is none.
pub fn child_with_line<'a>(report: &'a Report, parent: u32, mark: &Mark) -> Result<&'a Process> {
    report
        .processes
        .iter()
        .filter(|process| process.pid != parent)
        .find(|process| process.figures(&mark.file, mark.line).events > 0)
        .with_context(|| {
            let known: Vec<_> = report.processes.iter().map(Process::top).collect();
            format!("no child names {}:{}; {known:#?}", mark.file, mark.line)
        })
}
