//! What a table shows: which processes in full, which lines, which functions.
//!
//! The same choice serves the writer and whoever reads the source text beforehand, so that no file
//! is read that isn't shown. It formats nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::TableOptions;
use crate::profile::{LineFigures, Memory, ProcessProfile, Profile};
use crate::report::Measure;
use crate::units::Bytes;

/// A process that isn't Python is shown in full only if it changed by as much: children like `sh`
/// and `git` come and go by the hundred, and hold no line.
const NOTABLE: Bytes = Bytes(1 << 20);

/// Indices of the processes shown in full, in the profile's order.
pub(super) fn in_full(profile: &Profile, options: &TableOptions) -> Vec<usize> {
    let alone = profile.processes.len() == 1;
    let worth = |process: &ProcessProfile| {
        let change = process.unattributed_net().total();
        alone
            || process.parent.is_none()
            || process.python.is_some()
            || !process.lines.is_empty()
            || change >= NOTABLE
            || -change >= NOTABLE
            || process.lost_events > 0
            || process.law_gap() != Memory::ZERO
    };
    let processes = profile.processes.iter().enumerate();
    let mut chosen: Vec<_> = processes.filter(|(_, process)| worth(process)).collect();
    chosen.sort_by_key(|(_, process)| Reverse(process.events));
    chosen.truncate(options.processes);
    let mut indices: Vec<_> = chosen.into_iter().map(|(index, _)| index).collect();
    indices.sort_unstable();
    indices
}

/// The lines, those with the most of `sort` first; then those with the largest net growth of their
/// own; then those that grew and gave back most; then those that called what grew.
pub(super) fn ranked(process: &ProcessProfile, sort: Measure) -> Vec<&LineFigures> {
    let mut lines: Vec<_> = process.lines.iter().collect();
    lines.sort_by(|a, b| {
        let key = |line: &LineFigures| Reverse(rank(line, sort));
        key(a).cmp(&key(b)).then_with(|| a.place.cmp(&b.place))
    });
    lines
}

fn rank(line: &LineFigures, sort: Measure) -> (i64, Bytes, Bytes, Bytes) {
    (sort.of_line(line), line.self_net.total(), line.self_grown, line.cumulative_net)
}

/// A function and those of its lines that have figures.
#[derive(Debug)]
pub(super) struct Function<'a> {
    pub(super) file: &'a str,
    pub(super) name: &'a str,
    pub(super) first_line: u32,
    pub(super) last_line: u32,
    /// In the order of the file; never empty.
    pub(super) lines: Vec<&'a LineFigures>,
}

/// File, first line, name.
type Key<'a> = (&'a str, u32, &'a str);

fn key(line: &LineFigures) -> Key<'_> {
    (&line.place.file, line.place.function_line, &line.place.function)
}

/// The functions to show, and how many were left out. First the one with the line that is first
/// of all: its callers are frameworks' more often than not, and come after it.
pub(super) fn functions<'a>(
    process: &'a ProcessProfile,
    options: &TableOptions,
) -> (Vec<Function<'a>>, usize) {
    let ranked = ranked(process, options.sort);
    let all: BTreeSet<Key<'_>> = ranked.iter().map(|line| key(line)).collect();
    let wanted: BTreeSet<Key<'_>> =
        ranked.iter().take(options.functions_of_top).map(|line| key(line)).collect();
    let left_out = all.len() - wanted.len();

    let mut lines: BTreeMap<Key<'_>, Vec<&LineFigures>> = BTreeMap::new();
    for line in ranked.into_iter().filter(|line| wanted.contains(&key(line))) {
        lines.entry(key(line)).or_default().push(line);
    }
    let last_lines: BTreeMap<Key<'_>, u32> = process
        .functions
        .iter()
        .map(|span| ((span.file.as_str(), span.first_line, span.function.as_str()), span.last_line))
        .collect();

    let mut functions: Vec<_> = lines
        .into_iter()
        .map(|(key, mut lines)| {
            lines.sort_by_key(|line| line.place.line);
            // A target's tables may contradict each other: what has figures is always shown.
            let first = lines.first().map_or(key.1, |line| line.place.line.min(key.1.max(1)));
            let last = lines.last().map_or(key.1, |line| line.place.line);
            let last = last_lines.get(&key).map_or(last, |span| last.max(*span));
            Function { file: key.0, name: key.2, first_line: first, last_line: last, lines }
        })
        .collect();
    // Stable: functions that are equal stay in the order of their files.
    let first = |line: &&LineFigures| rank(line, options.sort);
    functions.sort_by_key(|function| Reverse(function.lines.iter().map(first).max()));
    (functions, left_out)
}

/// The files whose text a table with these options shows: index of the process, name of the file.
#[must_use]
pub fn shown_files(profile: &Profile, options: &TableOptions) -> BTreeSet<(usize, String)> {
    let mut files = BTreeSet::new();
    for index in in_full(profile, options) {
        let (functions, _) = functions(&profile.processes[index], options);
        files.extend(functions.iter().map(|function| (index, function.file.to_owned())));
    }
    files
}
