//! `memtrace.report/1`: the profile as one JSON document.
//!
//! The keys are a promise to other programs: they are added, never renamed, and bytes and
//! nanoseconds are integers. Text stands as the target has it, with what a terminal would act on
//! written as JSON's own escapes. Everything the profile holds is here but the functions' extents and
//! the stacks, which other forms have.

use std::borrow::Borrow;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use self::escape::TerminalSafe;
use self::native::Native;
use crate::profile::{
    Ending, Lens, LineFigures, Memory, Moment, NativeFigures, ProcessProfile, Profile, Thinned,
    Unattributed,
};
use crate::units::{Bytes, Nanos};

mod allocations;
pub(super) mod escape;
mod estimates;
mod native;

/// The name of this form.
pub const SCHEMA: &str = "memtrace.report/1";

/// Writes `profile` as one document and a newline.
pub fn write(out: &mut dyn Write, profile: &Profile) -> io::Result<()> {
    write_parts(out, profile, || profile.processes.iter())
}

/// The same of processes that are made one by one, and let go of when they are written. What is said of the
/// whole is that of `frame`; `processes` is asked for them once.
pub fn write_parts<P: Borrow<ProcessProfile>, I: Iterator<Item = P>>(
    out: &mut dyn Write,
    frame: &Profile,
    processes: impl Fn() -> I,
) -> io::Result<()> {
    let document = Document {
        schema: SCHEMA,
        started_at: rfc3339(frame.started_at),
        duration_ns: frame.duration,
        lens: allocations::lenses(frame),
        kernel: &frame.kernel,
        exact: frame.exact,
        processes: OneByOne(processes),
    };
    write_document(out, &document)
}

/// Writes any document in this way.
pub(super) fn write_document(out: &mut dyn Write, document: &impl Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, TerminalSafe::default());
    document.serialize(&mut serializer)?;
    writeln!(out)
}

#[derive(Serialize)]
#[serde(bound(serialize = "S: Serialize"))]
struct Document<'a, S> {
    schema: &'static str,
    started_at: String,
    duration_ns: Nanos,
    lens: Vec<&'static str>,
    kernel: &'a str,
    exact: bool,
    processes: S,
}

/// Processes, of which one at a time has its rows made.
struct OneByOne<F>(F);

impl<P: Borrow<ProcessProfile>, I: Iterator<Item = P>, F: Fn() -> I> Serialize for OneByOne<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_seq(None)?;
        for process in (self.0)() {
            let process = process.borrow();
            let beside = Beside {
                native: process.native_functions(),
                quiet: process.counts.quiet_lines(&process.lines),
            };
            all.serialize_element(&Process::of((process, &beside)))?;
        }
        all.end()
    }
}

#[derive(Serialize)]
struct Process<'a> {
    pid: u32,
    parent_pid: Option<u32>,
    command: &'a [String],
    python: Option<&'a str>,
    ending: &'static str,
    began_ns: Nanos,
    ended_ns: Option<Nanos>,
    rss_before_bytes: Bytes,
    rss_after_bytes: Bytes,
    rss_peak_bytes: Bytes,
    rss_before: Split,
    rss_after: Split,
    attributed_bytes: Bytes,
    attributed: Split,
    unattributed: Vec<UnattributedRow<'a>>,
    law_gap_bytes: Bytes,
    law_gap: Split,
    events: u64,
    lost_events: u64,
    lost_bytes: Bytes,
    overhead: Cost,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocator: Option<allocations::Allocator>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinned: Option<estimates::Walks>,
    notes: &'a [String],
    lines: Vec<Line<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    native: Vec<Native<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evaluations: Option<Vec<Evaluated<'a>>>,
    timeline: Vec<Point>,
}

/// RSS at the end of a window of time.
#[derive(Serialize)]
struct Point {
    at_ns: Nanos,
    rss_bytes: Bytes,
    rss: Split,
    peak_bytes: Bytes,
}

/// Bytes by kind of memory.
#[derive(Serialize)]
struct Split {
    anon: Bytes,
    file: Bytes,
    shmem: Bytes,
}

#[derive(Serialize)]
struct UnattributedRow<'a> {
    reason: &'static str,
    name: &'a str,
    net_bytes: Bytes,
    net: Split,
    events: u64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    allocated: Option<allocations::Figures>,
}

#[derive(Serialize)]
struct Cost {
    probe_ns: Nanos,
    userspace_cpu_ns: Nanos,
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    line: u32,
    function: &'a str,
    function_line: u32,
    self_grown_bytes: Bytes,
    self_returned_bytes: Bytes,
    self_net_bytes: Bytes,
    self_net: Split,
    self_resident_bytes: Bytes,
    cumulative_net_bytes: Bytes,
    cumulative_resident_bytes: Bytes,
    copied_bytes: Bytes,
    released_bytes: Bytes,
    peak_rss_bytes: Bytes,
    events: u64,
    self_events: u64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    allocated: Option<allocations::LineFigures>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    estimates: Option<estimates::LineFigures>,
    /// Executions, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    occurrences: Option<u64>,
}

/// How often a function was evaluated.
#[derive(Serialize)]
struct Evaluated<'a> {
    file: &'a str,
    function: &'a str,
    function_line: u32,
    evaluations: u64,
}

/// What is made for the document from a process's figures.
struct Beside {
    native: Vec<NativeFigures>,
    /// Lines that ran and changed nothing.
    quiet: Vec<LineFigures>,
}

impl<'a> Process<'a> {
    fn of((process, beside): (&'a ProcessProfile, &'a Beside)) -> Self {
        let attributed = process.attributed();
        let law_gap = process.law_gap();
        let thinned = process.thinned();
        Self {
            pid: process.pid,
            parent_pid: process.parent,
            command: &process.command,
            python: process.python.as_deref(),
            ending: ending(process.ending),
            began_ns: process.began,
            ended_ns: process.ended,
            rss_before_bytes: process.before.total(),
            rss_after_bytes: process.after.total(),
            rss_peak_bytes: process.peak,
            rss_before: Split::of(process.before),
            rss_after: Split::of(process.after),
            attributed_bytes: attributed.total(),
            attributed: Split::of(attributed),
            unattributed: process
                .unattributed
                .iter()
                .map(|row| UnattributedRow::of(row, process.lens.as_ref()))
                .collect(),
            law_gap_bytes: law_gap.total(),
            law_gap: Split::of(law_gap),
            events: process.events,
            lost_events: process.lost_events,
            lost_bytes: process.lost_bytes,
            overhead: Cost {
                probe_ns: process.overhead.probe,
                userspace_cpu_ns: process.overhead.userspace_cpu,
            },
            allocator: process.lens.as_ref().map(|lens| allocations::Allocator::of(process, lens)),
            thinned: thinned.as_ref().map(estimates::Walks::of),
            notes: &process.notes,
            lines: process
                .lines
                .iter()
                .chain(&beside.quiet)
                .map(|line| Line::of(line, process, thinned.as_ref()))
                .collect(),
            native: beside.native.iter().map(Native::of).collect(),
            evaluations: process.counts.evaluations.as_ref().map(|counts| {
                let evaluated = counts.iter().map(|(place, count)| Evaluated {
                    file: &place.file,
                    function: &place.function,
                    function_line: place.function_line,
                    evaluations: *count,
                });
                evaluated.collect()
            }),
            timeline: process.moments.iter().map(Point::of).collect(),
        }
    }
}

impl Split {
    fn of(memory: Memory) -> Self {
        let Memory { anon, file, shmem } = memory;
        Self { anon, file, shmem }
    }
}

impl Point {
    fn of(moment: &Moment) -> Self {
        Self {
            at_ns: moment.at,
            rss_bytes: moment.rss.total(),
            rss: Split::of(moment.rss),
            peak_bytes: moment.peak,
        }
    }
}

impl<'a> UnattributedRow<'a> {
    fn of(row: &'a Unattributed, lens: Option<&Lens>) -> Self {
        Self {
            reason: row.reason.as_str(),
            name: &row.name,
            net_bytes: row.net.total(),
            net: Split::of(row.net),
            events: row.events,
            allocated: lens.map(|lens| allocations::Figures::of(&row.allocated, lens)),
        }
    }
}

impl<'a> Line<'a> {
    fn of(line: &'a LineFigures, process: &ProcessProfile, thinned: Option<&Thinned>) -> Self {
        Self {
            file: &line.place.file,
            line: line.place.line,
            function: &line.place.function,
            function_line: line.place.function_line,
            self_grown_bytes: line.self_grown,
            self_returned_bytes: line.self_returned,
            self_net_bytes: line.self_net.total(),
            self_net: Split::of(line.self_net),
            self_resident_bytes: line.self_resident,
            cumulative_net_bytes: line.cumulative_net,
            cumulative_resident_bytes: line.cumulative_resident,
            copied_bytes: line.copied,
            released_bytes: line.released,
            peak_rss_bytes: line.peak_rss,
            events: line.events,
            self_events: line.self_events,
            allocated: process.lens.as_ref().map(|lens| allocations::LineFigures::of(line, lens)),
            estimates: thinned.map(|thinned| estimates::LineFigures::of(line, thinned)),
            occurrences: process.counts.executions_of(&line.place),
        }
    }
}

/// How a process's ledger ended, in one word.
pub(super) fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Running => "running",
        Ending::Exited => "exited",
        Ending::Execed => "execed",
    }
}

/// `time` as RFC 3339. A clock outside of the years that RFC 3339 can write (1970 to 9999 here) is
/// moved to the nearest one it can.
pub(super) fn rfc3339(time: SystemTime) -> String {
    /// 9999-12-31T23:59:59Z
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().min(LAST);
    humantime::format_rfc3339(SystemTime::UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_clock_can_be_written() {
        let check = |time, text: &str| assert_eq!(rfc3339(time), text);
        let epoch = SystemTime::UNIX_EPOCH;
        check(epoch + Duration::from_secs(1_785_924_000), "2026-08-05T10:00:00Z");
        check(epoch + Duration::from_millis(1_500), "1970-01-01T00:00:01.500000000Z");
        check(epoch - Duration::from_secs(1), "1970-01-01T00:00:00Z");
        check(epoch + Duration::from_secs(1 << 50), "9999-12-31T23:59:59Z");
    }
}
