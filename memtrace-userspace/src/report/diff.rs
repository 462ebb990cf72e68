//! What grew between two profiles: two recordings, or two windows of time of one.
//!
//! [`Diff::of`] compares, [`table`] and [`json`] print. A line is the same line if file, number and
//! function's name are; all processes of a side are taken together, since workers come and go under
//! other ids. Pages that processes share count for each of them, as in their RSS. It does not know
//! where the profiles came from and judges no growth: [`Diff::excess`] compares with a bound that
//! somebody else sets.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::profile::{LineFigures, ProcessProfile, Profile, Reason};
use crate::units::Bytes;

pub mod json;
mod program;
pub mod table;

/// Two profiles, compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Diff<'a> {
    /// The earlier one.
    pub before: Side<'a>,
    /// The later one.
    pub after: Side<'a>,
    /// Lines that have figures of their own on either side, largest growth of what is resident
    /// first.
    pub lines: Vec<LineChange<'a>>,
    /// What no line answers for, likewise.
    pub rows: Vec<RowChange<'a>>,
}

/// One of the two.
#[derive(Debug, Clone, PartialEq)]
pub struct Side<'a> {
    /// What the user calls it: a file, a window of time.
    pub name: &'a str,
    /// Its figures.
    pub profile: &'a Profile,
    /// The programs in it, of those processes that no other of them forked.
    pub programs: BTreeSet<String>,
    /// RSS before attach, all processes together.
    pub rss_before: Bytes,
    /// Net growth of all lines.
    pub attributed: Bytes,
    /// Net growth that no line answers for.
    pub unattributed: Bytes,
    /// RSS at the end.
    pub rss_after: Bytes,
    /// All lines' own figures.
    pub lines: Figures,
}

/// Figures of a line on one side; zero if it isn't there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Added by the line itself.
    pub grown: Bytes,
    /// Of it: given back.
    pub returned: Bytes,
    /// Of it: still in RSS.
    pub resident: Bytes,
    /// Events of its own.
    pub events: u64,
}

impl Figures {
    fn add(&mut self, line: &LineFigures) {
        self.grown += line.self_grown;
        self.returned += line.self_returned;
        self.resident += line.self_resident;
        self.events += line.self_events;
    }

    /// Whether nothing happened.
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What became of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineChange<'a> {
    /// `co_filename`
    pub file: &'a str,
    /// From 1.
    pub line: u32,
    /// `co_qualname` or `co_name`
    pub function: &'a str,
    /// In the earlier one.
    pub before: Figures,
    /// In the later one.
    pub after: Figures,
}

/// Whether a line is on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Both,
    /// In the later one only.
    New,
    /// In the earlier one only.
    Gone,
}

impl LineChange<'_> {
    /// By how much more it holds.
    #[must_use]
    pub fn change(&self) -> Bytes {
        self.after.resident - self.before.resident
    }

    /// On which sides it has figures.
    #[must_use]
    pub fn presence(&self) -> Presence {
        match (self.before.is_nothing(), self.after.is_nothing()) {
            (true, _) => Presence::New,
            (_, true) => Presence::Gone,
            _ => Presence::Both,
        }
    }
}

/// What became of a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange<'a> {
    /// Why no line answers.
    pub reason: Reason,
    /// Whose; empty where that has no name.
    pub name: &'a str,
    /// Net in the earlier one.
    pub before: Bytes,
    /// Net in the later one.
    pub after: Bytes,
}

impl RowChange<'_> {
    /// By how much more it grew.
    #[must_use]
    pub fn change(&self) -> Bytes {
        self.after - self.before
    }
}

/// More than a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess<'d> {
    /// One line holds so much more.
    Line(&'d LineChange<'d>),
    /// All lines together do.
    AllLines(Bytes),
}

impl<'a> Side<'a> {
    fn of(name: &'a str, profile: &'a Profile) -> Self {
        let processes = &profile.processes;
        let sum = |part: fn(&ProcessProfile) -> Bytes| processes.iter().map(part).sum();
        let mut lines = Figures::default();
        processes.iter().flat_map(|process| &process.lines).for_each(|line| lines.add(line));
        Self {
            name,
            profile,
            programs: program::programs(profile),
            rss_before: sum(|process| process.before.total()),
            attributed: sum(|process| process.attributed().total()),
            unattributed: sum(|process| process.unattributed_net().total()),
            rss_after: sum(|process| process.after.total()),
            lines,
        }
    }

    /// By how much the law is broken: zero, unless something is wrong with memtrace itself.
    #[must_use]
    pub fn law_gap(&self) -> Bytes {
        self.rss_after - self.rss_before - self.attributed - self.unattributed
    }
}

impl<'a> Diff<'a> {
    /// Compares two profiles, each with the name that its user knows it by.
    #[must_use]
    pub fn of(before: (&'a str, &'a Profile), after: (&'a str, &'a Profile)) -> Self {
        let mut lines: BTreeMap<_, [Figures; 2]> = BTreeMap::new();
        let mut rows: BTreeMap<_, [Bytes; 2]> = BTreeMap::new();
        for (side, profile) in [before.1, after.1].into_iter().enumerate() {
            for line in profile.processes.iter().flat_map(|process| &process.lines) {
                let place = &line.place;
                let key = (place.file.as_str(), place.line, place.function.as_str());
                lines.entry(key).or_default()[side].add(line);
            }
            for row in profile.processes.iter().flat_map(|process| &process.unattributed) {
                let key = (row.reason, row.name.as_str());
                rows.entry(key).or_default()[side] += row.net.total();
            }
        }
        let mut lines: Vec<_> = lines
            .into_iter()
            .map(|((file, line, function), [before, after])| LineChange {
                file,
                line,
                function,
                before,
                after,
            })
            // Callers have no figures of their own.
            .filter(|line| !(line.before.is_nothing() && line.after.is_nothing()))
            .collect();
        // Stable: lines that changed alike stay in the order of their files.
        lines.sort_by_key(|line| Reverse((line.change(), line.after.grown - line.before.grown)));
        let mut rows: Vec<_> = rows
            .into_iter()
            .map(|((reason, name), [before, after])| RowChange { reason, name, before, after })
            .collect();
        rows.sort_by_key(|row| Reverse(row.change()));
        Self {
            before: Side::of(before.0, before.1),
            after: Side::of(after.0, after.1),
            lines,
            rows,
        }
    }

    /// Whether both are about the same programs.
    #[must_use]
    pub fn same_programs(&self) -> bool {
        self.before.programs == self.after.programs
    }

    /// By how much more all lines together hold.
    #[must_use]
    pub fn change(&self) -> Bytes {
        self.after.lines.resident - self.before.lines.resident
    }

    /// What holds more than `bound` beyond what it held before: the line that grew most, or else
    /// all lines together.
    #[must_use]
    pub fn excess(&self, bound: Bytes) -> Option<Excess<'_>> {
        let line = self.lines.first().filter(|line| line.change() > bound);
        let together = (self.change() > bound).then(|| Excess::AllLines(self.change()));
        line.map(Excess::Line).or(together)
    }
}
