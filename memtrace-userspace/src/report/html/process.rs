//! A process as the page gets it: its summary, and in full its lines, stacks, course and source.
//!
//! Rows are lists of numbers in a fixed order (said at each), since a page may hold ten thousand of
//! them; `script/profile.js` gives them names again.

use std::collections::HashMap;

use serde::Serialize;

use super::allocations::{self, Allocations};
use super::course::{self, Course};
use super::document::Split;
use super::reasons;
use super::source::{self, FunctionText};
use super::texts::{TextNumber, Texts};
use crate::profile::{LineFigures, ProcessProfile, StackFigures};
use crate::report::SourceText;
use crate::report::figures::{mib_of, thousandths};
use crate::report::remarks;
use crate::report::table::{TableOptions, law, summary};
use crate::units::{Bytes, Nanos};

/// What the overview and the head of a process show.
#[derive(Serialize)]
pub(super) struct Summary {
    pid: u32,
    parent_pid: Option<u32>,
    command: TextNumber,
    python: Option<TextNumber>,
    ending: &'static str,
    began_ns: Nanos,
    ended_ns: Option<Nanos>,
    rss_before: Split,
    rss_after: Split,
    rss_peak: Bytes,
    attributed: Bytes,
    /// The terms on the left side: name, bytes, and MiB rounded so that they add up.
    law: Vec<(&'static str, Bytes, String)>,
    /// The right side: name, bytes, MiB.
    law_after: (&'static str, Bytes, String),
    law_gap: Split,
    events: u64,
    lost_events: u64,
    lost: Bytes,
    probe_ns: Nanos,
    userspace_cpu_ns: Nanos,
    notes: Vec<TextNumber>,
    /// Missing for a process that is in the overview only.
    full: Option<Full>,
}

/// The rest.
#[derive(Serialize)]
pub(super) struct Full {
    /// Largest net growth of their own first.
    lines: Vec<LineRow>,
    stacks: Vec<StackRow>,
    /// Reason, when that is so, name, split, events; the largest first.
    unattributed: Vec<(TextNumber, TextNumber, TextNumber, Split, u64)>,
    course: Option<Course>,
    /// Missing without the allocator lens.
    allocations: Option<Allocations>,
    sources: Vec<FunctionText>,
}

/// Place; grown, returned, net (anon, file, shmem), resident; cumulative net and resident; copied,
/// released, peak; events, own events.
#[derive(Serialize)]
struct LineRow(usize, Bytes, Bytes, Split, Bytes, Bytes, Bytes, Bytes, Bytes, Bytes, u64, u64);

/// Grown, net, resident, events; places, leaf first; native functions above them, leaf first. All
/// threads together.
#[derive(Serialize)]
struct StackRow(Bytes, Bytes, Bytes, u64, Vec<usize>, Vec<usize>);

/// A process without what it holds in full.
pub(super) fn summary(texts: &mut Texts, process: &ProcessProfile) -> Summary {
    let terms = law::terms(process);
    let rounded = law::rounded(&terms.iter().map(|(_, bytes)| *bytes).collect::<Vec<_>>());
    let terms = terms.iter().zip(rounded);
    let after = process.after.total();
    Summary {
        pid: process.pid,
        parent_pid: process.parent,
        command: texts.name(&summary::command_line(&process.command)),
        python: process.python.as_deref().map(|python| texts.name(python)),
        ending: summary::ending(process.ending),
        began_ns: process.began,
        ended_ns: process.ended,
        rss_before: Split::of(process.before),
        rss_after: Split::of(process.after),
        rss_peak: process.peak,
        attributed: process.attributed().total(),
        law: terms.map(|((name, bytes), size)| (*name, *bytes, mib_of(size))).collect(),
        law_after: (law::when(process.ending), after, mib_of(thousandths(after))),
        law_gap: Split::of(process.law_gap()),
        events: process.events,
        lost_events: process.lost_events,
        lost: process.lost_bytes,
        probe_ns: process.overhead.probe,
        userspace_cpu_ns: process.overhead.userspace_cpu,
        notes: process
            .notes
            .iter()
            .chain(&remarks::of(process))
            .map(|note| texts.name(note))
            .collect(),
        full: None,
    }
}

/// A process with all it holds.
pub(super) fn in_full<'a>(
    texts: &mut Texts,
    process: &ProcessProfile,
    text: &dyn Fn(&str) -> Option<&'a SourceText>,
    choice: &TableOptions,
) -> Summary {
    let mut rows: Vec<_> = process.unattributed.iter().collect();
    rows.sort_by(|a, b| {
        let size = |bytes: Bytes| bytes.0.unsigned_abs();
        let names = || (a.reason, &a.name).cmp(&(b.reason, &b.name));
        size(b.net.total()).cmp(&size(a.net.total())).then_with(names)
    });
    let full = Full {
        lines: process.lines.iter().map(|line| line_row(texts, line)).collect(),
        stacks: stack_rows(texts, &process.stacks),
        unattributed: rows
            .iter()
            .map(|row| {
                let reason = texts.name(row.reason.as_str());
                let meaning = texts.name(reasons::meaning(row.reason));
                (reason, meaning, texts.name(&row.name), Split::of(row.net), row.events)
            })
            .collect(),
        course: course::of(process),
        allocations: allocations::of(texts, process),
        sources: source::of(texts, process, text, choice),
    };
    Summary { full: Some(full), ..summary(texts, process) }
}

fn line_row(texts: &mut Texts, line: &LineFigures) -> LineRow {
    LineRow(
        texts.place(&line.place),
        line.self_grown,
        line.self_returned,
        Split::of(line.self_net),
        line.self_resident,
        line.cumulative_net,
        line.cumulative_resident,
        line.copied,
        line.released,
        line.peak_rss,
        line.events,
        line.self_events,
    )
}

/// Stacks of the same lines and native functions are one, whatever thread they were in; in the order in which they come.
fn stack_rows(texts: &mut Texts, stacks: &[StackFigures]) -> Vec<StackRow> {
    let mut rows: Vec<StackRow> = Vec::new();
    let mut known: HashMap<(Vec<usize>, Vec<usize>), usize> = HashMap::new();
    for stack in stacks {
        let frames: Vec<_> = stack.frames.iter().map(|place| texts.place(place)).collect();
        let native: Vec<_> = stack.native.iter().map(|frame| texts.native(frame)).collect();
        let at = *known.entry((frames.clone(), native.clone())).or_insert_with(|| {
            rows.push(StackRow(Bytes::ZERO, Bytes::ZERO, Bytes::ZERO, 0, frames, native));
            rows.len() - 1
        });
        let row = &mut rows[at];
        row.0 += stack.grown.total();
        row.1 += stack.net().total();
        row.2 += stack.resident;
        row.3 += stack.events;
    }
    rows
}
