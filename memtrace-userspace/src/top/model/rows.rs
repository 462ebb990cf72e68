//! The rows of the table of lines: chosen, sorted, and opened up to their callers.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use super::Picture;
use super::callers::{self, Caller};
use super::choice::{Choice, Measure, Order, Scope};
use super::natives::{NativeName, NativeSum};
use super::recent::{Life, Subject};
use crate::profile::{Ending, LineFigures, Place, ProcessProfile};
use crate::units::Bytes;

/// Callers that are shown at once while there is only one to each.
const CHAIN: usize = 8;
/// Native functions below a row that is not opened.
const NATIVES: usize = 3;

/// Which row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RowKey {
    /// Of which process.
    pub life: Life,
    /// What it is about.
    pub subject: Subject,
    /// Of a caller's row: who calls, from the subject outwards; else empty.
    pub callers: Vec<Caller>,
    /// Of a row for what the subject called in native code.
    pub below: Option<Below>,
}

/// What a row that stands for native functions stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Below {
    /// This one.
    Native(Arc<NativeName>),
    /// Those that have no row of their own.
    Others,
}

impl RowKey {
    /// The line that the row names; `None` where there is none.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match (self.callers.last(), &self.subject) {
            (Some(Caller::Line(place)), _) => Some(place),
            (Some(Caller::Nobody), _) => None,
            (None, Subject::Line(place)) => Some(place),
            (None, Subject::Unattributed { .. }) => None,
        }
    }

    /// The row of the line that this one is a caller of.
    #[must_use]
    pub fn root(&self) -> Self {
        Self { callers: Vec::new(), below: None, ..self.clone() }
    }
}

/// Whether there is something behind a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Nothing, or it is shown anyway.
    None,
    /// Callers, not shown.
    Closed,
    /// Callers, shown below.
    Open,
}

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Which.
    pub key: RowKey,
    /// Its figure; `None` where there is none in this measure.
    pub value: Option<Bytes>,
    /// Its growth a minute, lately; not known of callers.
    pub per_minute: Option<Bytes>,
    /// Events.
    pub events: u64,
    /// Callers.
    pub fold: Fold,
    /// How far to the right.
    pub depth: usize,
    /// Native functions that it stands for.
    pub natives: usize,
    /// Of a native function: its source lines, as far as they are known.
    pub places: Vec<(String, u32)>,
}

/// All rows, and what the filter keeps from view.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// In their order, callers below what they call.
    pub rows: Vec<Row>,
    /// Sum of the figures that are shown, callers apart.
    pub shown: Bytes,
    /// Sum of those that are not.
    pub hidden: Bytes,
    /// How many those are.
    pub hidden_rows: usize,
}

/// The rows of a picture.
#[must_use]
pub fn rows(picture: &Picture, choice: &Choice, opened: &HashSet<RowKey>) -> Rows {
    let mut rows = Rows::default();
    let mut tops = Vec::new();
    for process in processes(picture, choice) {
        for row in of_process(picture, process, choice) {
            let value = row.value.unwrap_or(Bytes::ZERO);
            if choice.admits(&text(picture, choice, &row.key)) {
                rows.shown += value;
                tops.push((row, process));
            } else {
                rows.hidden += value;
                rows.hidden_rows += 1;
            }
        }
    }
    sort(&mut tops, choice.order);
    for (mut row, process) in tops {
        if let Subject::Line(_) = row.key.subject {
            row.fold = if opened.contains(&row.key) { Fold::Open } else { Fold::Closed };
        }
        let (key, open) = (row.key.clone(), row.fold == Fold::Open);
        let natives = natives(picture, choice, &row, open);
        rows.rows.push(row);
        rows.rows.extend(natives);
        if open {
            push_callers(&mut rows.rows, process, choice, opened, &key, 0, 0);
        }
    }
    rows
}

/// Those whose rows are shown: the chosen one, or all that run, or all when none does any more.
#[must_use]
pub fn processes<'a>(picture: &'a Picture, choice: &Choice) -> Vec<&'a ProcessProfile> {
    let all = &picture.profile.processes;
    let any_runs = all.iter().any(|process| process.ending == Ending::Running);
    all.iter()
        .filter(|process| match choice.only {
            Some(life) => Life::of(process) == life,
            None => process.ending == Ending::Running || !any_runs,
        })
        .collect()
}

fn of_process(picture: &Picture, process: &ProcessProfile, choice: &Choice) -> Vec<Row> {
    let life = Life::of(process);
    let recent = &picture.recent;
    let row = |subject: Subject, events: u64| {
        let now = recent.now(life, &subject);
        let per_minute =
            recent.per_minute(life, &subject, choice.scope, choice.measure, choice.span);
        let has_figure = match choice.measure {
            Measure::Net => true,
            // What no line answers for has a net change only.
            Measure::Grown | Measure::Resident => matches!(subject, Subject::Line(_)),
            Measure::Live => process.lens.as_ref().is_some_and(|lens| lens.frees_seen),
            Measure::Allocated => process.lens.is_some(),
        };
        Row {
            value: has_figure.then(|| now.get(choice.scope, choice.measure)),
            per_minute: has_figure.then_some(per_minute),
            events,
            fold: Fold::None,
            depth: 0,
            natives: 0,
            places: Vec::new(),
            key: RowKey { life, subject, callers: Vec::new(), below: None },
        }
    };
    let events = |line: &LineFigures| match choice.scope {
        Scope::Own => line.self_events,
        Scope::Cumulative => line.events,
    };
    let lines = process
        .lines
        .iter()
        .filter(|line| {
            // A line that only calls others has no figure of its own, and would be a row of zeros.
            events(line) > 0
                || !recent.now(life, &Subject::Line(line.place.clone())).is_zero_in(choice.scope)
        })
        .map(|line| row(Subject::Line(line.place.clone()), events(line)));
    let unattributed = process.unattributed.iter().map(|no_line| {
        let (reason, name) = (no_line.reason, no_line.name.clone());
        row(Subject::Unattributed { reason, name }, no_line.events)
    });
    lines.chain(unattributed).collect()
}

/// Largest first; rows that are equal always in the same order.
fn sort(rows: &mut [(Row, &ProcessProfile)], order: Order) {
    let names = |row: &Row| (row.key.subject.clone(), row.key.life);
    rows.sort_by(|(a, _), (b, _)| {
        let by_size = || b.value.cmp(&a.value);
        let by_rate = || b.per_minute.cmp(&a.per_minute);
        let by_names = || names(a).cmp(&names(b));
        match order {
            Order::Size => by_size().then_with(by_rate).then_with(by_names),
            Order::Rate => by_rate().then_with(by_size).then_with(by_names),
            Order::Events => {
                Reverse(a.events).cmp(&Reverse(b.events)).then_with(by_size).then_with(by_names)
            }
            Order::Place => by_names(),
        }
    });
}

/// Callers, one level; further where there is only one at a time, or the user opened it.
fn push_callers(
    rows: &mut Vec<Row>,
    process: &ProcessProfile,
    choice: &Choice,
    opened: &HashSet<RowKey>,
    key: &RowKey,
    above: usize,
    chain: usize,
) {
    let callers = callers::of(process, choice, key);
    let alone = callers.len() == 1 && chain < CHAIN;
    // To the right only where something branches.
    let depth = if callers.len() == 1 && chain > 0 { above } else { above + 1 };
    for found in callers {
        let mut key = key.clone();
        let has_callers = found.has_callers;
        key.callers.push(found.caller);
        let unfolds = has_callers && (alone || opened.contains(&key));
        rows.push(Row {
            value: Some(found.value),
            per_minute: None,
            events: found.events,
            fold: match (has_callers, alone, unfolds) {
                (false, ..) | (true, true, _) => Fold::None,
                (true, false, true) => Fold::Open,
                (true, false, false) => Fold::Closed,
            },
            depth,
            natives: 0,
            places: Vec::new(),
            key: key.clone(),
        });
        if unfolds {
            let chain = if alone { chain + 1 } else { 0 };
            push_callers(rows, process, choice, opened, &key, depth, chain);
        }
    }
}

/// The rows below a row for what it called in native code, largest first: all of them where it is
/// open, else the largest that come to anything. As far as native frames are known they add up to it.
fn natives(picture: &Picture, choice: &Choice, row: &Row, open: bool) -> Vec<Row> {
    if !choice.natives {
        return Vec::new();
    }
    let RowKey { life, subject, .. } = &row.key;
    let all = picture.natives.below(choice.scope, *life, subject).iter();
    let mut all: Vec<&NativeSum> =
        all.filter(|native| open || native.get(choice.measure) != Bytes::ZERO).collect();
    all.sort_by(|a, b| {
        let rank = |native: &NativeSum| (native.get(choice.measure), native.events);
        rank(b).cmp(&rank(a)).then_with(|| a.name.cmp(&b.name))
    });
    // A single other one has a row of its own instead.
    let shown = if open || all.len() <= NATIVES + 1 { all.len() } else { NATIVES };
    let (shown, others) = all.split_at(shown);
    let below = |below: Below, of: &[&NativeSum]| Row {
        value: row.value.map(|_| of.iter().map(|native| native.get(choice.measure)).sum()),
        per_minute: None,
        events: of.iter().map(|native| native.events).sum(),
        fold: Fold::None,
        depth: 1,
        natives: of.len(),
        places: of.first().map_or_else(Vec::new, |native| native.places.clone()),
        key: RowKey { below: Some(below), ..row.key.clone() },
    };
    let mut rows: Vec<Row> = shown
        .iter()
        .map(|native| below(Below::Native(Arc::clone(&native.name)), &[*native]))
        .collect();
    if !others.is_empty() {
        rows.push(below(Below::Others, others));
    }
    rows
}

/// What the filter looks at.
fn text(picture: &Picture, choice: &Choice, key: &RowKey) -> String {
    let mut text = match &key.subject {
        Subject::Line(place) => format!("{}:{} {}", place.file, place.line, place.function),
        Subject::Unattributed { reason, name } => format!("{}: {name}", reason.as_str()),
    };
    for native in picture.natives.below(choice.scope, key.life, &key.subject) {
        let NativeName { function, library, called_as, .. } = &*native.name;
        text.push_str(&format!(" {function} {library} {called_as}"));
    }
    text
}
