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
pub(in crate::report) fn in_full(profile: &Profile, options: &TableOptions) -> Vec<usize> {
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
pub(in crate::report) struct Function<'a> {
    pub(in crate::report) file: &'a str,
    pub(in crate::report) name: &'a str,
    pub(in crate::report) first_line: u32,
    pub(in crate::report) last_line: u32,
    /// In the order of the file; never empty.
    pub(in crate::report) lines: Vec<&'a LineFigures>,
}

/// File, first line, name.
type Key<'a> = (&'a str, u32, &'a str);

fn key(line: &LineFigures) -> Key<'_> {
    (&line.place.file, line.place.function_line, &line.place.function)
}

/// The functions to show, and how many were left out. First the one with the line that is first
/// of all: its callers are frameworks' more often than not, and come after it. Where lines were
/// counted, `quiet` has those that ran and changed nothing, and functions that were counted come
/// before all others: those of the first lines among them and, while these are few, those that ran
/// most often.
pub(in crate::report) fn functions<'a>(
    process: &'a ProcessProfile,
    quiet: &'a [LineFigures],
    options: &TableOptions,
) -> (Vec<Function<'a>>, usize) {
    let ranked = ranked(process, options.sort);
    let all: BTreeSet<Key<'_>> = ranked.iter().map(|line| key(line)).collect();
    let of_top = || ranked.iter().take(options.functions_of_top).map(|line| key(line));
    let is_counted = |line: &&&LineFigures| process.counts.executions_of(&line.place).is_some();
    let counted: BTreeSet<Key<'_>> =
        ranked.iter().filter(is_counted).map(|line| key(line)).collect();
    let mut wanted: BTreeSet<Key<'_>> = of_top().collect();
    wanted.extend(
        ranked.iter().filter(is_counted).take(options.functions_of_top).map(|line| key(line)),
    );
    let left_out = all.len() - wanted.len();
    let few = options.functions_of_top.saturating_sub(counted.len());
    wanted.extend(busiest(process, quiet).into_iter().filter(|key| !all.contains(key)).take(few));

    let mut lines: BTreeMap<Key<'_>, Vec<&LineFigures>> = BTreeMap::new();
    let lines_of_all = ranked.into_iter().chain(quiet);
    for line in lines_of_all.filter(|line| wanted.contains(&key(line))) {
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
    functions.sort_by_key(|function| {
        let counted = function.lines.iter().any(|line| is_counted(&line));
        Reverse((counted, function.lines.iter().map(first).max()))
    });
    (functions, left_out)
}

/// The functions of these lines, those that ran most often first.
fn busiest<'a>(process: &ProcessProfile, quiet: &'a [LineFigures]) -> Vec<Key<'a>> {
    let mut executions: BTreeMap<Key<'_>, u64> = BTreeMap::new();
    for line in quiet {
        let sum = executions.entry(key(line)).or_default();
        *sum = sum.saturating_add(process.counts.executions_of(&line.place).unwrap_or(0));
    }
    let mut functions: Vec<_> = executions.into_iter().collect();
    functions.sort_by_key(|(_, count)| Reverse(*count));
    functions.into_iter().map(|(key, _)| key).collect()
}

/// The files whose text a table with these options shows: index of the process, name of the file.
#[must_use]
pub fn shown_files(profile: &Profile, options: &TableOptions) -> BTreeSet<(usize, String)> {
    let mut files = BTreeSet::new();
    for index in in_full(profile, options) {
        let process = &profile.processes[index];
        let quiet = process.counts.quiet_lines(&process.lines);
        let (functions, _) = functions(process, &quiet, options);
        files.extend(functions.iter().map(|function| (index, function.file.to_owned())));
    }
    files
}
