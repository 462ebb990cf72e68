//! The per-line table, in the form that readers of memory_profiler know.
//!
//! A summary for each process (with the reconciliation law written out as a sum), what no line can
//! answer for, the top lines over all files, then functions line by line, then what the columns
//! mean. A pure function: source text comes in as [`SourceTexts`], the width of the terminal as an
//! option. Each part is a file of its own; this one holds the options and the order of the parts.

use std::io::{self, Write};

use super::figures::{count, duration};
use super::grid::emphasis;
use super::json::rfc3339;
use super::measure::Measure;
use super::printable;
use crate::profile::{Profile, SourceTexts};

pub(super) mod allocations;
pub(super) mod choice;
mod column;
mod evaluations;
pub(super) mod functions;
pub(super) mod law;
mod legend;
mod native;
mod overview;
pub(super) mod summary;
mod top;

pub use allocations::View;
pub use choice::shown_files;
pub use column::{Column, UnknownColumn};
pub(crate) use law::rounded as law_terms;
pub(crate) use summary::{command_line, ending};

/// What to show, and how wide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableOptions {
    /// What puts lines into their order, the largest first.
    pub sort: Measure,
    /// So many of the first lines.
    pub top_lines: usize,
    /// Function tables for the functions that hold one of so many of the first lines.
    pub functions_of_top: usize,
    /// So many processes in full (those with the most events); the others in the overview only.
    pub processes: usize,
    /// Columns of function tables beside memory_profiler's, in this order.
    pub columns: Vec<Column>,
    /// Long names are cut to fit so many columns. Source text and `Filename:` never are.
    pub width: usize,
    /// Which lines of the allocator lens.
    pub view: View,
    /// Bold headings.
    pub color: bool,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self {
            sort: Measure::Net,
            top_lines: 20,
            functions_of_top: 10,
            processes: 20,
            columns: Vec::new(),
            width: 100,
            view: View::Live,
            color: false,
        }
    }
}

/// Writes the whole report.
pub fn write(
    out: &mut dyn Write,
    profile: &Profile,
    sources: &SourceTexts,
    options: &TableOptions,
) -> io::Result<()> {
    heading(out, profile, options)?;
    if profile.processes.is_empty() {
        return writeln!(out, "\nNo process was traced.");
    }
    let shown = choice::in_full(profile, options);
    if profile.processes.len() > 1 {
        overview::write(out, profile, &shown, options)?;
    }
    for index in &shown {
        let process = &profile.processes[*index];
        summary::write(out, process, options)?;
        allocations::write(out, process, options)?;
        top::write(out, process, options)?;
        native::write(out, process, options)?;
        evaluations::write(out, process, options)?;
        functions::write(out, process, &|file| sources.get(*index, file), options)?;
    }
    let shown: Vec<_> = shown.iter().map(|index| &profile.processes[*index]).collect();
    let counted = shown.iter().any(|process| process.counts.executions.is_some());
    if counted || shown.iter().any(|process| !process.lines.is_empty()) {
        let thinned = shown.iter().find(|process| process.thinned().is_some());
        let columns = thinned.map(|process| functions::columns(process, options));
        let columns = columns.unwrap_or_else(|| options.columns.clone());
        legend::write(out, counted, thinned.is_some(), &columns, options)?;
    }
    Ok(())
}

fn heading(out: &mut dyn Write, profile: &Profile, options: &TableOptions) -> io::Result<()> {
    let processes = count(profile.processes.len() as u64, "process", "processes");
    let title = format!("memtrace: {processes}, {}", duration(profile.duration));
    let exact = if profile.exact {
        "RSS counters exact at every change"
    } else {
        "changes of RSS wait in the thread that made them: its last fault is told with its next"
    };
    writeln!(out, "{}", emphasis(&title, options.color))?;
    writeln!(
        out,
        "Started {}, Linux {} ({exact})",
        rfc3339(profile.started_at),
        printable(&profile.kernel)
    )
}
