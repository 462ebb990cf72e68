//! `memtrace.diff/1`: a diff as one JSON document. Keys are added, never renamed.

use std::io::{self, Write};

use serde::Serialize;

use super::{Diff, Figures, LineChange, Presence, RowChange, Side};
use crate::report::json::escape::TerminalSafe;
use crate::report::json::rfc3339;
use crate::report::remarks;
use crate::units::{Bytes, Nanos};

/// The name of this form.
pub const SCHEMA: &str = "memtrace.diff/1";

/// Writes `diff` as one document and a newline.
///
/// # Errors
///
/// When `out` refuses.
pub fn write(out: &mut dyn Write, diff: &Diff<'_>) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, TerminalSafe::default());
    Document::of(diff).serialize(&mut serializer)?;
    writeln!(out)
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    same_programs: bool,
    before: SideKeys<'a>,
    after: SideKeys<'a>,
    change_resident_bytes: Bytes,
    change_rss_bytes: Bytes,
    lines: Vec<Line<'a>>,
    unattributed: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct SideKeys<'a> {
    name: &'a str,
    started_at: String,
    duration_ns: Nanos,
    programs: Vec<&'a str>,
    pids: Vec<u32>,
    rss_before_bytes: Bytes,
    attributed_bytes: Bytes,
    unattributed_bytes: Bytes,
    law_gap_bytes: Bytes,
    rss_after_bytes: Bytes,
    lines: Own,
    /// What to know of its figures; empty where they are whole.
    notes: Vec<String>,
}

/// A line's own figures on one side.
#[derive(Serialize)]
struct Own {
    self_grown_bytes: Bytes,
    self_returned_bytes: Bytes,
    self_net_bytes: Bytes,
    self_resident_bytes: Bytes,
    self_events: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    line: u32,
    function: &'a str,
    presence: &'static str,
    change_resident_bytes: Bytes,
    before: Own,
    after: Own,
}

#[derive(Serialize)]
struct Row<'a> {
    reason: &'static str,
    name: &'a str,
    change_net_bytes: Bytes,
    before_net_bytes: Bytes,
    after_net_bytes: Bytes,
}

impl<'a> Document<'a> {
    fn of(diff: &'a Diff<'a>) -> Self {
        Self {
            schema: SCHEMA,
            same_programs: diff.same_programs(),
            before: SideKeys::of(&diff.before),
            after: SideKeys::of(&diff.after),
            change_resident_bytes: diff.change(),
            change_rss_bytes: diff.after.rss_after - diff.before.rss_after,
            lines: diff.lines.iter().map(Line::of).collect(),
            unattributed: diff.rows.iter().map(Row::of).collect(),
        }
    }
}

impl<'a> SideKeys<'a> {
    fn of(side: &'a Side<'a>) -> Self {
        Self {
            name: side.name,
            started_at: rfc3339(side.profile.started_at),
            duration_ns: side.profile.duration,
            programs: side.programs.iter().map(String::as_str).collect(),
            pids: side.profile.processes.iter().map(|process| process.pid).collect(),
            rss_before_bytes: side.rss_before,
            attributed_bytes: side.attributed,
            unattributed_bytes: side.unattributed,
            law_gap_bytes: side.law_gap(),
            rss_after_bytes: side.rss_after,
            lines: Own::of(side.lines),
            notes: remarks::of_side(side.profile),
        }
    }
}

impl Own {
    fn of(figures: Figures) -> Self {
        Self {
            self_grown_bytes: figures.grown,
            self_returned_bytes: figures.returned,
            self_net_bytes: figures.grown - figures.returned,
            self_resident_bytes: figures.resident,
            self_events: figures.events,
        }
    }
}

impl<'a> Line<'a> {
    fn of(line: &'a LineChange<'a>) -> Self {
        Self {
            file: line.file,
            line: line.line,
            function: line.function,
            presence: match line.presence() {
                Presence::Both => "both",
                Presence::New => "new",
                Presence::Gone => "gone",
            },
            change_resident_bytes: line.change(),
            before: Own::of(line.before),
            after: Own::of(line.after),
        }
    }
}

impl<'a> Row<'a> {
    fn of(row: &'a RowChange<'a>) -> Self {
        Self {
            reason: row.reason.as_str(),
            name: row.name,
            change_net_bytes: row.change(),
            before_net_bytes: row.before,
            after_net_bytes: row.after,
        }
    }
}
