//! Function tables: source line by source line, in memory_profiler's form.
//!
//! Every line of a function in order, with blank figures where nothing happened; of very long ones
//! (module code) only the neighbourhood of figures. A file whose text is missing still has its
//! figures, and is named in a note under the tables. Reads no source itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::choice::{self, Function};
use super::{Column, TableOptions};
use crate::profile::{Counts, LineFigures, ProcessProfile};
use crate::report::figures::{count, mib_unit};
use crate::report::fit::{cut_end, expand_tabs};
use crate::report::grid::{Grid, Spec, emphasis};
use crate::report::{SourceText, printable};

/// Functions up to so many lines are shown whole; of longer ones (a module's own code spans its
/// file, and a target's tables may say anything) only what surrounds figures.
const WHOLE_FUNCTION: u32 = 400;
/// Lines shown before and after one with figures, where a function isn't shown whole.
const CONTEXT: u32 = 3;
/// Source lines are cut here, so that a file that is one long line can't fill the screen.
const SOURCE_COLUMNS: usize = 400;

/// Writes a table for each chosen function, and what is missing from them.
pub(super) fn write<'a>(
    out: &mut dyn Write,
    process: &ProcessProfile,
    text: &dyn Fn(&str) -> Option<&'a SourceText>,
    options: &TableOptions,
) -> io::Result<()> {
    let quiet = process.counts.quiet_lines(&process.lines);
    let (functions, left_out) = choice::functions(process, &quiet, options);
    let columns = columns(process, options);
    let mut notes = Notes::default();
    for function in &functions {
        let text = text(function.file);
        notes.add(function, text);
        writeln!(out, "\nFilename: {}", printable(function.file))?;
        writeln!(out, "Function: {}\n", printable(function.name))?;
        table(function, &process.counts, lines_of(text), &columns).write(
            out,
            usize::MAX,
            options.color,
            true,
        )?;
    }
    if left_out > 0 {
        let left_out = count(left_out as u64, "more function has", "more functions have");
        writeln!(out, "\n… and {left_out} figures, but none of the lines that grew most.")?;
    }
    notes.write(out, options)
}

/// The columns that were asked for, and estimates where there are some.
pub(super) fn columns(process: &ProcessProfile, options: &TableOptions) -> Vec<Column> {
    let mut columns = options.columns.clone();
    if process.thinned().is_some() && !columns.contains(&Column::Estimate) {
        columns.insert(0, Column::Estimate);
    }
    columns
}

/// The lines of a text that could be read.
pub(in crate::report) fn lines_of(text: Option<&SourceText>) -> Option<&[String]> {
    match text {
        Some(SourceText::Text { lines, .. }) => Some(lines),
        Some(SourceText::Unreadable(_)) | None => None,
    }
}

fn table(
    function: &Function<'_>,
    counts: &Counts,
    source: Option<&[String]>,
    columns: &[Column],
) -> Grid {
    // As memory_profiler: '{:>6} {:>12} {:>12}  {:>10}   {:<}'
    let mut specs = vec![
        Spec::number("Line #").least(6, 0),
        Spec::number("Mem usage").least(12, 1),
        Spec::number("Increment").least(12, 1),
        Spec::number("Occurrences").least(10, 2),
    ];
    specs.extend(columns.iter().map(|column| Spec::number(column.name()).least(12, 2)));
    specs.push(Spec::text("Line Contents").least(0, 3));

    let mut grid = Grid::new(specs);
    let mut figures = function.lines.iter().peekable();
    let mut previous = None;
    for number in shown_lines(function, source) {
        if previous.is_some_and(|previous| previous + 1 < number) && source.is_some() {
            grid.row(vec!["…".to_owned()]);
        }
        previous = Some(number);
        let contents = contents(source, number);
        let mut any = false;
        while let Some(line) = figures.next_if(|line| line.place.line == number) {
            any = true;
            grid.row(row(number, Some((line, counts)), columns, &contents));
        }
        if !any {
            grid.row(row(number, None, columns, &contents));
        }
    }
    grid
}

/// The lines to show, ascending.
pub(in crate::report) fn shown_lines(
    function: &Function<'_>,
    source: Option<&[String]>,
) -> BTreeSet<u32> {
    let (first, last) = (function.first_line, function.last_line);
    let with_figures = function.lines.iter().map(|line| line.place.line);
    let Some(source) = source else {
        return with_figures.collect(); // numbers without figures and text say nothing
    };
    let end = last.min(u32::try_from(source.len()).unwrap_or(u32::MAX));
    if last - first < WHOLE_FUNCTION {
        return (first..=end).chain(with_figures).collect();
    }
    let around = with_figures.clone().flat_map(|line| {
        line.saturating_sub(CONTEXT).max(first)..=line.saturating_add(CONTEXT).min(end)
    });
    around.chain(with_figures.clone()).chain([first]).collect()
}

/// What stands on a line, harmless and not too long; nothing where there is no text.
pub(in crate::report) fn contents(source: Option<&[String]>, number: u32) -> String {
    let line = number.checked_sub(1).and_then(|index| source?.get(index as usize));
    line.map_or_else(String::new, |line| {
        // Cut before and after: what is thrown away need not be escaped first.
        let start = cut_end(line, SOURCE_COLUMNS);
        let tabs = expand_tabs(&start);
        cut_end(&printable(&tabs), SOURCE_COLUMNS).into_owned()
    })
}

fn row(
    number: u32,
    figures: Option<(&LineFigures, &Counts)>,
    columns: &[Column],
    contents: &str,
) -> Vec<String> {
    let mut cells = vec![number.to_string()];
    match figures {
        Some((line, counts)) => {
            // What RSS was where it did not change, nobody has seen.
            let quiet = line.events == 0;
            cells.push(if quiet { String::new() } else { mib_unit(line.peak_rss) });
            cells.push(mib_unit(line.cumulative_net));
            cells.push(occurrences(line, counts));
            cells.extend(columns.iter().map(|column| column.figure(line)));
        }
        None => cells.resize(cells.len() + 3 + columns.len(), String::new()),
    }
    cells.push(contents.to_owned());
    cells
}

/// Executions where lines were counted, of those that were; events otherwise.
fn occurrences(line: &LineFigures, counts: &Counts) -> String {
    let executions = || counts.executions_of(&line.place);
    match counts.executions {
        Some(_) => executions().map_or_else(|| "-".to_owned(), |count| count.to_string()),
        None => line.events.to_string(),
    }
}

/// What a reader of this function must know of its file: that there is no text, or another one.
pub(in crate::report) fn note(
    function: &Function<'_>,
    text: Option<&SourceText>,
) -> Option<String> {
    let last = function.lines.last().map_or(0, |line| line.place.line);
    match text {
        None => Some("no source text, figures only: it was not read".to_owned()),
        Some(SourceText::Unreadable(reason)) => {
            Some(format!("no source text, figures only: {}", printable(reason)))
        }
        Some(SourceText::Text { lines, .. }) if (lines.len() as u64) < u64::from(last) => {
            let lines = count(lines.len() as u64, "line", "lines");
            Some(format!(
                "has {lines} now, but line {last} has figures: not the file that was loaded"
            ))
        }
        Some(SourceText::Text { changed: true, .. }) => {
            Some("was changed after the program started: the text may not be what ran".to_owned())
        }
        Some(SourceText::Text { .. }) => None,
    }
}

/// What is to be said under the tables, once for each file.
#[derive(Default)]
struct Notes<'a> {
    by_file: BTreeMap<&'a str, String>,
}

impl<'a> Notes<'a> {
    fn add(&mut self, function: &Function<'a>, text: Option<&SourceText>) {
        if let Some(note) = note(function, text) {
            self.by_file.insert(function.file, note);
        }
    }

    fn write(&self, out: &mut dyn Write, options: &TableOptions) -> io::Result<()> {
        if self.by_file.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n{}", emphasis("Notes", options.color))?;
        for (file, note) in &self.by_file {
            writeln!(out, "  {}: {note}", printable(file))?;
        }
        Ok(())
    }
}
