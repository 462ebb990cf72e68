//! `memtrace.report/1`: the profile as one JSON document.
//!
//! The keys are a promise to other programs: they are added, never renamed, and bytes and
//! nanoseconds are integers. Text stands as the target has it, with what a terminal would act on
//! written as JSON's own escapes. Everything the profile holds is here but the functions' extents and
//! the stacks, which other forms have.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use self::escape::TerminalSafe;
use self::native::Native;
use crate::profile::{
    Ending, LineFigures, Memory, Moment, NativeFigures, ProcessProfile, Profile, Unattributed,
};
use crate::units::{Bytes, Nanos};

pub(super) mod escape;
mod native;

/// The name of this form.
pub const SCHEMA: &str = "memtrace.report/1";

/// Writes `profile` as one document and a newline.
pub fn write(out: &mut dyn Write, profile: &Profile) -> io::Result<()> {
    let natives: Vec<_> = profile.processes.iter().map(ProcessProfile::native_functions).collect();
    write_document(out, &Document::of(profile, &natives))
}

/// Writes any document in this way.
pub(super) fn write_document(out: &mut dyn Write, document: &impl Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, TerminalSafe::default());
    document.serialize(&mut serializer)?;
    writeln!(out)
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    started_at: String,
    duration_ns: Nanos,
    lens: [&'static str; 1],
    kernel: &'a str,
    exact: bool,
    processes: Vec<Process<'a>>,
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
    notes: &'a [String],
    lines: Vec<Line<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    native: Vec<Native<'a>>,
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
}

impl<'a> Document<'a> {
    fn of(profile: &'a Profile, natives: &'a [Vec<NativeFigures>]) -> Self {
        Self {
            schema: SCHEMA,
            started_at: rfc3339(profile.started_at),
            duration_ns: profile.duration,
            lens: ["rss"],
            kernel: &profile.kernel,
            exact: profile.exact,
            processes: profile
                .processes
                .iter()
                .zip(natives)
                .map(|(process, native)| Process::of(process, native))
                .collect(),
        }
    }
}

impl<'a> Process<'a> {
    fn of(process: &'a ProcessProfile, native: &'a [NativeFigures]) -> Self {
        let attributed = process.attributed();
        let law_gap = process.law_gap();
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
            unattributed: process.unattributed.iter().map(UnattributedRow::of).collect(),
            law_gap_bytes: law_gap.total(),
            law_gap: Split::of(law_gap),
            events: process.events,
            lost_events: process.lost_events,
            lost_bytes: process.lost_bytes,
            overhead: Cost {
                probe_ns: process.overhead.probe,
                userspace_cpu_ns: process.overhead.userspace_cpu,
            },
            notes: &process.notes,
            lines: process.lines.iter().map(Line::of).collect(),
            native: native.iter().map(Native::of).collect(),
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
    fn of(row: &'a Unattributed) -> Self {
        Self {
            reason: row.reason.as_str(),
            name: &row.name,
            net_bytes: row.net.total(),
            net: Split::of(row.net),
            events: row.events,
        }
    }
}

impl<'a> Line<'a> {
    fn of(line: &'a LineFigures) -> Self {
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
