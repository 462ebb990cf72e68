//! Rows for spreadsheets and data frames: all figures of the JSON report, one row a line.
//!
//! For each process a row `before`, the lines, the unattributed rows, the functions whose evaluations
//! were counted, a row `gap` if the law is
//! broken, and a row `after`. In the columns `net…bytes` all rows of a process but the last add up to
//! the last: the law. Columns are added at the end, never renamed or moved. A text that a spreadsheet
//! would take for a formula gets an apostrophe before it; control characters are escaped. RSS over
//! time is in the JSON report only.

use std::borrow::{Borrow, Cow};
use std::cmp::Reverse;
use std::io::{self, Write};

use serde::Serialize;

use super::json::{self, ending};
use super::measure::Measure;
use super::printable;
use super::table::summary::command_line;
use crate::profile::{
    Allocated, Lens, LineFigures, Memory, Place, ProcessProfile, Profile, Unattributed,
};
use crate::units::{Bytes, Nanos};

/// The first row.
const HEADER: [&str; 57] = [
    "kind",
    "process",
    "pid",
    "file",
    "line",
    "function",
    "function_line",
    "reason",
    "name",
    "net_bytes",
    "net_anon_bytes",
    "net_file_bytes",
    "net_shmem_bytes",
    "grown_bytes",
    "returned_bytes",
    "resident_bytes",
    "cumulative_net_bytes",
    "cumulative_resident_bytes",
    "copied_bytes",
    "released_bytes",
    "peak_rss_bytes",
    "events",
    "self_events",
    "lost_events",
    "lost_bytes",
    "attributed_bytes",
    "probe_ns",
    "userspace_cpu_ns",
    "parent_pid",
    "command",
    "python",
    "ending",
    "began_ns",
    "ended_ns",
    "notes",
    "started_at",
    "duration_ns",
    "kernel",
    "exact",
    "allocations",
    "allocations_low",
    "allocations_high",
    "allocated_bytes",
    "allocated_bytes_low",
    "allocated_bytes_high",
    "freed_allocations",
    "freed_bytes",
    "live_allocations",
    "live_bytes",
    "temporary_allocations",
    "temporary_bytes",
    "oldest_live_ns",
    "occurrences",
    "evaluations",
    "estimated_bytes",
    "estimated_low_bytes",
    "estimated_high_bytes",
];

/// Writes all rows, the lines sorted by their own `sort`, largest first.
pub fn write(out: &mut dyn Write, profile: &Profile, sort: Measure) -> io::Result<()> {
    write_parts(out, profile, profile.processes.iter(), sort)
}

/// The same of processes that are made one by one, and let go of when they are written. What is said of the
/// whole is that of `frame`.
pub fn write_parts<P: Borrow<ProcessProfile>>(
    out: &mut dyn Write,
    frame: &Profile,
    processes: impl Iterator<Item = P>,
    sort: Measure,
) -> io::Result<()> {
    let mut rows = csv::WriterBuilder::new().has_headers(false).from_writer(out);
    rows.write_record(HEADER)?;
    for (process, number) in processes.zip(1..) {
        let process = process.borrow();
        let same = Row { process: number, pid: process.pid, ..Row::default() };
        rows.serialize(Row::new(&same, "before", process.before))?;
        let thinned = process.thinned();
        let quiet = process.counts.quiet_lines(&process.lines);
        let mut lines: Vec<_> = process.lines.iter().chain(&quiet).collect();
        lines.sort_by_key(|line| Reverse(sort.of_line(line))); // stable: else as they were
        for line in lines {
            let occurrences = process.counts.executions_of(&line.place);
            let estimated = thinned.map(|thinned| thinned.of_self(line));
            let row = Row {
                occurrences,
                estimated_bytes: estimated.map(|it| it.bytes),
                estimated_low_bytes: estimated.map(|it| it.interval.0),
                estimated_high_bytes: estimated.map(|it| it.interval.1),
                ..Row::line(&same, line)
            };
            rows.serialize(row.with_allocated(&line.self_allocated, process.lens.as_ref()))?;
        }
        for row in &process.unattributed {
            let allocated = &row.allocated;
            let row = Row::unattributed(&same, row);
            rows.serialize(row.with_allocated(allocated, process.lens.as_ref()))?;
        }
        for (place, evaluations) in process.counts.evaluations.iter().flatten() {
            rows.serialize(Row::evaluated(&same, place, *evaluations))?;
        }
        let gap = process.law_gap();
        if gap != Memory::ZERO {
            rows.serialize(Row::new(&same, "gap", gap))?;
        }
        let row = Row::after(&same, process, frame);
        rows.serialize(row.with_allocated(&process.allocated(), process.lens.as_ref()))?;
    }
    rows.flush()
}

/// A row; what it has no figure for is empty.
#[derive(Debug, Clone, Default, Serialize)]
struct Row<'a> {
    kind: &'static str,
    /// From 1, in the order of the JSON report: a pid may have had several lives.
    process: usize,
    pid: u32,
    file: Option<Cow<'a, str>>,
    line: Option<u32>,
    function: Option<Cow<'a, str>>,
    function_line: Option<u32>,
    reason: Option<&'static str>,
    name: Option<Cow<'a, str>>,
    net_bytes: Bytes,
    net_anon_bytes: Bytes,
    net_file_bytes: Bytes,
    net_shmem_bytes: Bytes,
    grown_bytes: Option<Bytes>,
    returned_bytes: Option<Bytes>,
    resident_bytes: Option<Bytes>,
    cumulative_net_bytes: Option<Bytes>,
    cumulative_resident_bytes: Option<Bytes>,
    copied_bytes: Option<Bytes>,
    released_bytes: Option<Bytes>,
    peak_rss_bytes: Option<Bytes>,
    events: Option<u64>,
    self_events: Option<u64>,
    lost_events: Option<u64>,
    lost_bytes: Option<Bytes>,
    attributed_bytes: Option<Bytes>,
    probe_ns: Option<Nanos>,
    userspace_cpu_ns: Option<Nanos>,
    parent_pid: Option<u32>,
    command: Option<Cow<'a, str>>,
    python: Option<Cow<'a, str>>,
    ending: Option<&'static str>,
    began_ns: Option<Nanos>,
    ended_ns: Option<Nanos>,
    notes: Option<Cow<'a, str>>,
    started_at: Option<String>,
    duration_ns: Option<Nanos>,
    kernel: Option<Cow<'a, str>>,
    exact: Option<bool>,
    allocations: Option<u64>,
    allocations_low: Option<u64>,
    allocations_high: Option<u64>,
    allocated_bytes: Option<Bytes>,
    allocated_bytes_low: Option<u64>,
    allocated_bytes_high: Option<u64>,
    freed_allocations: Option<u64>,
    freed_bytes: Option<Bytes>,
    live_allocations: Option<i64>,
    live_bytes: Option<Bytes>,
    temporary_allocations: Option<u64>,
    temporary_bytes: Option<Bytes>,
    oldest_live_ns: Option<Nanos>,
    occurrences: Option<u64>,
    evaluations: Option<u64>,
    estimated_bytes: Option<Bytes>,
    estimated_low_bytes: Option<Bytes>,
    estimated_high_bytes: Option<Bytes>,
}

impl<'a> Row<'a> {
    /// The same row, with what the allocator lens counted.
    fn with_allocated(self, allocated: &Allocated, lens: Option<&Lens>) -> Self {
        let Some(lens) = lens else { return self };
        let [count, bytes] = allocated.interval(lens).map(Option::unzip);
        let seen = lens.frees_seen;
        let rounded = |bound: Option<f64>| bound.map(|bound| bound.round() as u64);
        Self {
            allocations: Some(allocated.all.count),
            allocations_low: rounded(count.0),
            allocations_high: rounded(count.1),
            allocated_bytes: Some(allocated.all.bytes),
            allocated_bytes_low: rounded(bytes.0),
            allocated_bytes_high: rounded(bytes.1),
            freed_allocations: seen.then_some(allocated.freed.count),
            freed_bytes: seen.then_some(allocated.freed.bytes),
            live_allocations: seen.then(|| allocated.live()),
            live_bytes: seen.then(|| allocated.live_bytes()),
            temporary_allocations: Some(allocated.temporary.count),
            temporary_bytes: Some(allocated.temporary.bytes),
            oldest_live_ns: if seen { allocated.oldest() } else { None },
            ..self
        }
    }

    /// A row with the four columns that add up.
    fn new(same: &Self, kind: &'static str, net: Memory) -> Self {
        Self {
            kind,
            net_bytes: net.total(),
            net_anon_bytes: net.anon,
            net_file_bytes: net.file,
            net_shmem_bytes: net.shmem,
            ..same.clone()
        }
    }

    fn line(same: &Self, line: &'a LineFigures) -> Self {
        Self {
            file: Some(cell(&line.place.file)),
            line: Some(line.place.line),
            function: Some(cell(&line.place.function)),
            function_line: Some(line.place.function_line),
            grown_bytes: Some(line.self_grown),
            returned_bytes: Some(line.self_returned),
            resident_bytes: Some(line.self_resident),
            cumulative_net_bytes: Some(line.cumulative_net),
            cumulative_resident_bytes: Some(line.cumulative_resident),
            copied_bytes: Some(line.copied),
            released_bytes: Some(line.released),
            peak_rss_bytes: Some(line.peak_rss),
            events: Some(line.events),
            self_events: Some(line.self_events),
            ..Self::new(same, "line", line.self_net)
        }
    }

    /// A function that was evaluated: no memory.
    fn evaluated(same: &Self, place: &'a Place, evaluations: u64) -> Self {
        Self {
            file: Some(cell(&place.file)),
            line: Some(place.line),
            function: Some(cell(&place.function)),
            function_line: Some(place.function_line),
            evaluations: Some(evaluations),
            ..Self::new(same, "evaluated", Memory::ZERO)
        }
    }

    fn unattributed(same: &Self, row: &'a Unattributed) -> Self {
        Self {
            reason: Some(row.reason.as_str()),
            name: Some(cell(&row.name)),
            events: Some(row.events),
            ..Self::new(same, "unattributed", row.net)
        }
    }

    fn after(same: &Self, process: &'a ProcessProfile, profile: &'a Profile) -> Self {
        Self {
            peak_rss_bytes: Some(process.peak),
            events: Some(process.events),
            lost_events: Some(process.lost_events),
            lost_bytes: Some(process.lost_bytes),
            attributed_bytes: Some(process.attributed().total()),
            probe_ns: Some(process.overhead.probe),
            userspace_cpu_ns: Some(process.overhead.userspace_cpu),
            parent_pid: process.parent,
            command: Some(harmless(command_line(&process.command).into())),
            python: process.python.as_deref().map(cell),
            ending: Some(ending(process.ending)),
            began_ns: Some(process.began),
            ended_ns: process.ended,
            notes: Some(harmless(printable(&process.notes.join("; ")).into_owned().into())),
            started_at: Some(json::rfc3339(profile.started_at)),
            duration_ns: Some(profile.duration),
            kernel: Some(cell(&profile.kernel)),
            exact: Some(profile.exact),
            ..Self::new(same, "after", process.after)
        }
    }
}

/// A target's text.
fn cell(text: &str) -> Cow<'_, str> {
    harmless(printable(text))
}

/// Text that is no formula to a spreadsheet. Blanks are looked through, since some programs drop
/// them; the wide forms of the signs begin a formula in Japanese and Chinese settings.
fn harmless(text: Cow<'_, str>) -> Cow<'_, str> {
    const SIGNS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    if text.trim_start().starts_with(SIGNS) { format!("'{text}").into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_the_columns_in_their_order() {
        // The writer itself knows the fields' names.
        let mut rows = csv::Writer::from_writer(Vec::new());
        rows.serialize(Row::default()).unwrap();
        let text = String::from_utf8(rows.into_inner().unwrap()).unwrap();
        assert_eq!(text.lines().next().unwrap(), HEADER.join(","));
    }

    #[test]
    fn formulas_become_text() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "\u{a0}=1", "＝1"] {
            assert_eq!(cell(formula), format!("'{formula}"));
        }
        assert_eq!(cell("\t=cmd|' /C calc'!A0"), "\\x09=cmd|' /C calc'!A0");
        for plain in ["", "a=1", "/srv/app.py", "<module>", "'quoted"] {
            assert_eq!(cell(plain), plain);
        }
    }
}
