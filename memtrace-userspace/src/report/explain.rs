//! Where a process's memory is: a snapshot as a table or as JSON, and what changed between two.
//!
//! Pure functions of [`Snapshot`] and [`Difference`]. The table leads from the kinds of memory,
//! which add up to RSS, down to the allocators' books, files and types, and ends in words.

use std::io::{self, Write};

use super::figures::{duration, mib_unit};
use super::fit::{cut_middle, wrapped};
use super::grid::emphasis;
use super::{json, printable};
use crate::snapshot::difference::Difference;
use crate::snapshot::picture::Snapshot;

mod allocators;
mod changes;
mod kinds;
mod types;

/// How the tables are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExplainOptions {
    /// So many types, files and blocks.
    pub limit: usize,
    /// Long names are cut, and sentences broken, to fit so many columns.
    pub width: usize,
    /// Bold headings.
    pub color: bool,
}

impl Default for ExplainOptions {
    fn default() -> Self {
        Self { limit: 20, width: 100, color: false }
    }
}

/// Writes a snapshot as `memtrace.explain/1`.
pub fn write_json(out: &mut dyn Write, snapshot: &Snapshot) -> io::Result<()> {
    json::write_document(out, snapshot)
}

/// Writes a difference as `memtrace.explain-diff/1`.
pub fn write_difference_json(out: &mut dyn Write, difference: &Difference) -> io::Result<()> {
    json::write_document(out, difference)
}

/// Writes a snapshot for people.
pub fn write_table(
    out: &mut dyn Write,
    snapshot: &Snapshot,
    options: &ExplainOptions,
) -> io::Result<()> {
    let title = format!("Process {}: {}", snapshot.pid, printable(&snapshot.command.join(" ")));
    writeln!(out, "{}\n", emphasis(&cut_middle(&title, options.width), options.color))?;
    writeln!(out, "  Python    {}", printable(&snapshot.python))?;
    let (kernel, took) = (printable(&snapshot.kernel), duration(snapshot.duration_ns));
    writeln!(out, "  Looked    {}, for {took}, Linux {kernel}", printable(&snapshot.taken_at))?;
    match snapshot.frozen_ns {
        Some(time) => writeln!(out, "  Stopped   for {}", duration(time))?,
        None => writeln!(out, "  Stopped   no: it ran on while it was looked at")?,
    }
    let (rss, huge) = (mib_unit(snapshot.rss_bytes), mib_unit(snapshot.huge_bytes));
    writeln!(out, "  RSS       {rss}, of it {huge} in transparent huge pages")?;
    let (swap, hugetlb) = (mib_unit(snapshot.swap_bytes), mib_unit(snapshot.hugetlb_bytes));
    writeln!(out, "  Beside    {swap} in swap, {hugetlb} in hugetlbfs")?;
    for note in &snapshot.notes {
        paragraph(out, "  Note      ", &printable(note), options)?;
    }
    kinds::write(out, snapshot, options)?;
    allocators::write_arenas(out, &snapshot.arenas, options)?;
    if let Some(heap) = &snapshot.heap {
        allocators::write_heap(out, heap, options)?;
    }
    kinds::write_blocks(out, snapshot, options)?;
    kinds::write_files(out, snapshot, options)?;
    if let Some(census) = &snapshot.census {
        types::write(out, census, options)?;
    }
    heading(out, "In words", options)?;
    for sentence in &snapshot.sentences {
        paragraph(out, "  ", &printable(sentence), options)?;
    }
    Ok(())
}

/// Writes a difference for people.
pub fn write_difference(
    out: &mut dyn Write,
    difference: &Difference,
    options: &ExplainOptions,
) -> io::Result<()> {
    changes::write(out, difference, options)
}

fn heading(out: &mut dyn Write, text: &str, options: &ExplainOptions) -> io::Result<()> {
    writeln!(out, "\n{}", emphasis(text, options.color))
}

/// `text` behind `first`, broken to fit, its further lines as far in as the first.
fn paragraph(
    out: &mut dyn Write,
    first: &str,
    text: &str,
    options: &ExplainOptions,
) -> io::Result<()> {
    let indent = " ".repeat(first.len());
    let room = options.width.saturating_sub(first.len()).max(20);
    for (number, line) in wrapped(text, room).iter().enumerate() {
        writeln!(out, "{}{line}", if number == 0 { first } else { &indent })?;
    }
    Ok(())
}
