//! A diff for people: the law of both sides, then lines and rows by how much more they hold.

use std::io::{self, Write};

use super::{Diff, Figures, Presence, Side};
use crate::report::figures::{count, duration, mib, mib_unit};
use crate::report::grid::{Grid, Spec, emphasis};
use crate::report::json::rfc3339;
use crate::report::printable;
use crate::report::remarks;
use crate::units::Bytes;

/// What to show, and how wide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffOptions {
    /// So many of the lines that changed most, and as many rows.
    pub limit: usize,
    /// Long names are cut to fit so many columns.
    pub width: usize,
    /// Bold headings.
    pub color: bool,
}

impl Default for DiffOptions {
    fn default() -> Self {
        Self { limit: 30, width: 100, color: false }
    }
}

/// Writes the whole report.
///
/// # Errors
///
/// When `out` refuses.
pub fn write(out: &mut dyn Write, diff: &Diff<'_>, options: &DiffOptions) -> io::Result<()> {
    let title =
        format!("memtrace: from {} to {}", printable(diff.before.name), printable(diff.after.name));
    writeln!(out, "{}", emphasis(&title, options.color))?;
    side(out, "A", &diff.before)?;
    side(out, "B", &diff.after)?;
    if !diff.same_programs() {
        writeln!(
            out,
            "A and B are of different programs: what they share is compared, for what it is worth."
        )?;
    }
    law(out, diff, options)?;
    lines(out, diff, options)?;
    rows(out, diff, options)
}

fn side(out: &mut dyn Write, letter: &str, side: &Side<'_>) -> io::Result<()> {
    let programs: Vec<_> = side.programs.iter().map(|program| printable(program)).collect();
    let processes = count(side.profile.processes.len() as u64, "process", "processes");
    writeln!(
        out,
        "{letter}  {}, started {}, {}, {processes} ({})",
        printable(side.name),
        rfc3339(side.profile.started_at),
        duration(side.profile.duration),
        programs.join(", ")
    )?;
    for remark in remarks::of_side(side.profile) {
        writeln!(out, "   {remark}")?;
    }
    Ok(())
}

/// Each side's law, from top to bottom.
fn law(out: &mut dyn Write, diff: &Diff<'_>, options: &DiffOptions) -> io::Result<()> {
    let mut grid = Grid::new(vec![
        Spec::text("").least(0, 0),
        Spec::number("A"),
        Spec::number("B"),
        Spec::number("Change"),
    ]);
    let mut row = |name: &str, part: fn(&Side<'_>) -> Bytes| {
        let (a, b) = (part(&diff.before), part(&diff.after));
        grid.row(vec![name.to_owned(), mib(a), mib(b), mib(b - a)]);
    };
    row("  RSS before attach", |side| side.rss_before);
    row("+ lines, net", |side| side.attributed);
    row("+ unattributed, net", |side| side.unattributed);
    if diff.before.law_gap() != Bytes::ZERO || diff.after.law_gap() != Bytes::ZERO {
        row("+ UNEXPLAINED", |side| side.law_gap());
    }
    row("= RSS at the end", |side| side.rss_after);
    row("  Of lines' growth still resident", |side| side.lines.resident);
    writeln!(out, "\n{}", emphasis("All processes together (MiB)", options.color))?;
    grid.write(out, options.width, options.color, false)
}

fn lines(out: &mut dyn Write, diff: &Diff<'_>, options: &DiffOptions) -> io::Result<()> {
    if diff.lines.is_empty() {
        return writeln!(out, "\nNo Python line changed RSS in either.");
    }
    let mut grid = Grid::new(vec![
        Spec::number("Change").least(0, 0),
        Spec::number("Resident A"),
        Spec::number("B").least(0, 1),
        Spec::number("Grown A"),
        Spec::number("B").least(0, 1),
        Spec::number("Returned A"),
        Spec::number("B").least(0, 1),
        Spec::text("").least(4, 2),
        Spec::name("File:line").least(0, 1),
        Spec::name("Function"),
    ]);
    let (shown, rest) = diff.lines.split_at(diff.lines.len().min(options.limit));
    for line in shown {
        let mut cells = figures(line.change(), &line.before, &line.after);
        cells.push(mark(line.presence()).to_owned());
        cells.push(format!("{}:{}", printable(line.file), line.line));
        cells.push(printable(line.function).into_owned());
        grid.row(cells);
    }
    let mut all = figures(diff.change(), &diff.before.lines, &diff.after.lines);
    all.extend([String::new(), count(diff.lines.len() as u64, "line", "lines")]);
    grid.row(all);
    let title = "Lines by how much more of their growth is resident (MiB)";
    writeln!(out, "\n{}", emphasis(title, options.color))?;
    grid.write(out, options.width, options.color, false)?;
    if !rest.is_empty() {
        let change = rest.iter().map(super::LineChange::change).sum();
        let lines = count(rest.len() as u64, "line", "lines");
        writeln!(out, "{lines} of them not shown, {}", mib_unit(change))?;
    }
    Ok(())
}

fn figures(change: Bytes, before: &Figures, after: &Figures) -> Vec<String> {
    let bytes = [
        before.resident,
        after.resident,
        before.grown,
        after.grown,
        before.returned,
        after.returned,
    ];
    let mut cells = vec![signed(change)];
    cells.extend(bytes.map(mib));
    cells
}

/// With a sign where something grew, so that growth is seen.
fn signed(bytes: Bytes) -> String {
    if bytes > Bytes::ZERO { format!("+{}", mib(bytes)) } else { mib(bytes) }
}

fn mark(presence: Presence) -> &'static str {
    match presence {
        Presence::Both => "",
        Presence::New => "new",
        Presence::Gone => "gone",
    }
}

fn rows(out: &mut dyn Write, diff: &Diff<'_>, options: &DiffOptions) -> io::Result<()> {
    if diff.rows.is_empty() {
        return Ok(());
    }
    let mut grid = Grid::new(vec![
        Spec::number("Change").least(0, 0),
        Spec::number("Net A"),
        Spec::number("Net B"),
        Spec::name("Reason"),
    ]);
    let (shown, rest) = diff.rows.split_at(diff.rows.len().min(options.limit));
    for row in shown {
        let colon = if row.name.is_empty() { "" } else { ": " };
        grid.row(vec![
            signed(row.change()),
            mib(row.before),
            mib(row.after),
            format!("{}{colon}{}", row.reason.as_str(), printable(row.name)),
        ]);
    }
    writeln!(out, "\n{}", emphasis("What no line can answer for (MiB)", options.color))?;
    grid.write(out, options.width, options.color, false)?;
    if !rest.is_empty() {
        let change = rest.iter().map(super::RowChange::change).sum();
        let rows = count(rest.len() as u64, "row", "rows");
        writeln!(out, "… and {rows} more, {}", mib_unit(change))?;
    }
    Ok(())
}
