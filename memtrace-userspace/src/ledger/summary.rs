//! From books and stacks to a [`ProcessProfile`]: lines, functions, rows.
//!
//! Pure. Lines are looked up here, once per stack. What does not come from the books (command,
//! Python's version, cost) is handed in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use memtrace_common::limits::MAX_FRAMES;
use memtrace_common::outcome::Outcome;
use memtrace_common::settings::{ANON, COUNTERS, FILE, SHMEM, Tally};
use memtrace_common::walk::UNKNOWN_INSTR;

use super::space::{Account, RowKey, SpaceLedger};
use super::stacks::{NamedFrame, NamedStack, StackTable};
use crate::profile::{
    Ending, FunctionSpan, LineFigures, Memory, Overhead, Place, ProcessProfile, Reason,
    Unattributed,
};
use crate::python::{LineTable, LineTableKind};
use crate::units::{Bytes, Nanos};

/// What a summary needs beside the books.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Process id.
    pub pid: u32,
    /// The traced process that forked it.
    pub parent: Option<u32>,
    /// Arguments.
    pub command: Vec<String>,
    /// Python's version, and how its line tables are read.
    pub python: Option<(String, LineTableKind)>,
    /// How it ended.
    pub ending: Ending,
    /// The kernel side's last word.
    pub tally: Tally,
    /// Per account: pages still present. `None`: not asked, the books' pages count.
    pub present: Option<HashMap<u32, i64>>,
    /// memtrace's own CPU time for it.
    pub userspace_cpu: Nanos,
    /// Sentences for the reader.
    pub notes: Vec<String>,
}

/// Pages per counter as bytes.
#[must_use]
pub fn memory(pages: &[i64; COUNTERS]) -> Memory {
    Memory {
        anon: Bytes::from_pages(pages[ANON]),
        file: Bytes::from_pages(pages[FILE]),
        shmem: Bytes::from_pages(pages[SHMEM]),
    }
}

/// Summarises one space. Calls under way are settled and what the kernel side lost is booked, so
/// that the law holds.
#[must_use]
pub fn summarise(books: &mut SpaceLedger, stacks: &StackTable, facts: Facts) -> ProcessProfile {
    books.settle_all();
    books.book_plain(Reason::Lost, facts.tally.lost_pages, facts.tally.lost_events);
    books.book_plain(Reason::Remainder, books.gap(facts.tally.pages), 0);
    let resident = resident_pages(books, facts.present.as_ref());
    let kind = facts.python.as_ref().map(|(_, kind)| *kind);

    let mut lines = Lines::default();
    let mut rows: BTreeMap<(Reason, String), (Memory, u64)> = BTreeMap::new();
    for (index, account) in books.accounts().iter().enumerate() {
        let resident = resident.get(&(index as u32)).copied().unwrap_or(0);
        let places = match stacks.get(account.key) {
            Some(stack) => lines.places(stack, kind),
            None => Err((Reason::StackLost, String::new())),
        };
        match places {
            Ok(places) => {
                if stacks.get(account.key).is_some_and(|s| s.outcome == Outcome::Truncated) {
                    lines.truncated += account.events;
                }
                lines.add(&places, account, resident);
            }
            Err(row) => {
                let row = rows.entry(row).or_default();
                row.0 += net(account);
                row.1 += account.events;
            }
        }
    }
    for (key, pages, events) in books.rows() {
        let (reason, name) = match key {
            RowKey::Plain(reason) => (*reason, String::new()),
            RowKey::OfStack(reason, stack) => {
                (*reason, stacks.get(*stack).map(|s| s.thread.clone()).unwrap_or_default())
            }
        };
        let row = rows.entry((reason, name)).or_default();
        row.0 += memory(&pages);
        row.1 += events;
    }
    let mut notes = facts.notes;
    if lines.truncated > 0 {
        notes.push(format!(
            "{} events have stacks of more than {MAX_FRAMES} frames, cut at the root: lines further \
             down lack them",
            lines.truncated
        ));
    }
    let (lines, functions) = lines.finish();
    ProcessProfile {
        pid: facts.pid,
        parent: facts.parent,
        command: facts.command,
        python: facts.python.map(|(version, _)| version),
        ending: facts.ending,
        began: Nanos(0),
        ended: None,
        before: memory(&books.before()),
        after: memory(&facts.tally.pages),
        peak: Bytes::from_pages(i64::from(books.peak_rss()))
            .max(memory(&books.before()).total())
            .max(memory(&facts.tally.pages).total()),
        threads: Vec::new(),
        stacks: Vec::new(),
        lines,
        functions,
        moments: Vec::new(),
        unattributed: rows
            .into_iter()
            .filter(|(_, (net, events))| *net != Memory::ZERO || *events > 0)
            .map(|((reason, name), (net, events))| Unattributed { reason, name, net, events })
            .collect(),
        events: facts.tally.events,
        lost_events: facts.tally.lost_events,
        lost_bytes: memory(&facts.tally.lost_pages).total(),
        overhead: Overhead {
            probe: Nanos(facts.tally.probe_ns),
            userspace_cpu: facts.userspace_cpu,
        },
        notes,
    }
}

fn net(account: &Account) -> Memory {
    memory(&account.grown) - memory(&account.returned)
}

/// Pages of each account that are in RSS: those of the ledger (only the present ones, where
/// somebody looked), and those that the kernel told no address for.
fn resident_pages(books: &SpaceLedger, present: Option<&HashMap<u32, i64>>) -> HashMap<u32, i64> {
    let mut resident = match present {
        Some(present) => present.clone(),
        None => {
            let mut owned = HashMap::new();
            for extent in books.pages().extents() {
                *owned.entry(extent.stack).or_default() += extent.pages();
            }
            owned
        }
    };
    for (account, pages) in books.unplaced() {
        *resident.entry(account).or_default() += pages;
    }
    resident
}

/// Lines being summed up.
#[derive(Default)]
struct Lines {
    /// Events whose stacks were cut at the root.
    truncated: u64,
    figures: HashMap<Place, LineFigures>,
    functions: BTreeSet<FunctionSpan>,
}

impl Lines {
    /// The stack's places, leaf first; or the row that it belongs to instead.
    fn places(
        &mut self,
        stack: &NamedStack,
        kind: Option<LineTableKind>,
    ) -> Result<Vec<Place>, (Reason, String)> {
        let thread = || stack.thread.clone();
        let reason = match stack.outcome {
            Outcome::Complete | Outcome::Truncated | Outcome::CutByUnreadableFrame => {
                let Some(kind) = kind else { return Err((Reason::NotPython, thread())) };
                let places: Vec<Place> = stack
                    .frames
                    .iter()
                    .filter(|frame| is_complete(frame))
                    .map(|frame| self.place(frame, kind))
                    .collect();
                if !places.is_empty() {
                    return Ok(places);
                }
                Reason::InterpreterStartup
            }
            Outcome::NativeThread => Reason::NativeThread,
            Outcome::InterpreterNotStarted | Outcome::NoFrames => Reason::InterpreterStartup,
            Outcome::Unreadable => Reason::StackUnreadable,
            Outcome::NotPython => Reason::NotPython,
            Outcome::NotByTarget => Reason::OtherProcess,
        };
        Err((reason, thread()))
    }

    fn place(&mut self, frame: &NamedFrame, kind: LineTableKind) -> Place {
        let code = &frame.code;
        let table = LineTable::new(kind, code.first_line, &code.table);
        let function_line = u32::try_from(code.first_line).unwrap_or(0);
        let line = if frame.instr == UNKNOWN_INSTR { None } else { table.line_at(frame.instr) };
        self.functions.insert(FunctionSpan {
            file: code.file.clone(),
            first_line: function_line,
            last_line: table.last_line(),
            function: code.name.clone(),
        });
        Place {
            file: code.file.clone(),
            line: line.unwrap_or(function_line),
            function: code.name.clone(),
            function_line,
        }
    }

    fn add(&mut self, places: &[Place], account: &Account, resident: i64) {
        let (grown, returned) = (memory(&account.grown), memory(&account.returned));
        let resident = Bytes::from_pages(resident);
        let mut seen = BTreeSet::new();
        for (depth, place) in places.iter().enumerate() {
            let line = self.figures.entry(place.clone()).or_insert_with(|| empty(place));
            if depth == 0 {
                line.self_grown += grown.total();
                line.self_returned += returned.total();
                line.self_net += grown - returned;
                line.self_resident += resident;
                line.copied += Bytes::from_pages(account.copied);
                line.released += Bytes::from_pages(account.released);
                line.self_events += account.events;
            }
            // Recursion: once per event, however often the line is on the stack.
            if seen.insert(place) {
                line.cumulative_net += (grown - returned).total();
                line.cumulative_resident += resident;
                line.peak_rss = line.peak_rss.max(Bytes::from_pages(i64::from(account.peak_rss)));
                line.events += account.events;
            }
        }
    }

    fn finish(self) -> (Vec<LineFigures>, Vec<FunctionSpan>) {
        let mut lines: Vec<LineFigures> = self.figures.into_values().collect();
        lines.sort_by(|a, b| {
            (b.self_net.total(), b.cumulative_net, &a.place).cmp(&(
                a.self_net.total(),
                a.cumulative_net,
                &b.place,
            ))
        });
        (lines, self.functions.into_iter().collect())
    }
}

/// From 3.11 on a frame exists before its function's own code runs, and specialised class calls
/// insert a frame that is no function of the program's (`_PyFrame_IsIncomplete`,
/// `Include/internal/pycore_frame.h`). Generators (owner 1) are always complete.
fn is_complete(frame: &NamedFrame) -> bool {
    frame.owner == 1
        || frame.instr == UNKNOWN_INSTR
        || frame.instr >= 2 * frame.code.first_traceable
}

fn empty(place: &Place) -> LineFigures {
    LineFigures {
        place: std::sync::Arc::new(place.clone()),
        self_grown: Bytes::ZERO,
        self_returned: Bytes::ZERO,
        self_net: Memory::ZERO,
        self_resident: Bytes::ZERO,
        cumulative_net: Bytes::ZERO,
        cumulative_resident: Bytes::ZERO,
        copied: Bytes::ZERO,
        released: Bytes::ZERO,
        peak_rss: Bytes::ZERO,
        events: 0,
        self_events: 0,
    }
}
