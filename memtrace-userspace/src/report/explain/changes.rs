//! What changed between two snapshots, as tables.

use std::io::{self, Write};

use super::{ExplainOptions, heading, paragraph};
use crate::report::figures::{count, mib, mib_unit};
use crate::report::fit::cut_middle;
use crate::report::grid::{Grid, Spec, emphasis};
use crate::report::printable;
use crate::snapshot::difference::{Difference, Moment};
use crate::units::Bytes;

/// Writes both tables.
pub(super) fn write(
    out: &mut dyn Write,
    difference: &Difference,
    options: &ExplainOptions,
) -> io::Result<()> {
    let command = printable(&difference.after.command.join(" ")).into_owned();
    let title = format!("Process {}: {command}", difference.after.pid);
    writeln!(out, "{}\n", emphasis(&cut_middle(&title, options.width), options.color))?;
    moment(out, "  From      ", &difference.before)?;
    moment(out, "  To        ", &difference.after)?;
    writeln!(out, "  RSS       changed by {}", mib_unit(difference.rss_change_bytes))?;
    for note in &difference.notes {
        paragraph(out, "  Note      ", &printable(note), options)?;
    }

    heading(out, "Where RSS grew (MiB)", options)?;
    let mut grid = Grid::new(vec![
        Spec::number("Change").least(10, 0),
        Spec::number("Before").least(10, 1),
        Spec::number("After").least(10, 1),
        Spec::text("Kind"),
    ]);
    for row in &difference.rows {
        let (change, before, after) = (row.change_bytes, row.before_bytes, row.after_bytes);
        grid.row(vec![mib(change), mib(before), mib(after), row.kind.title().to_owned()]);
    }
    let total: Bytes = difference.rows.iter().map(|row| row.change_bytes).sum();
    let (before, after) = (difference.before.rss_bytes, difference.after.rss_bytes);
    grid.row(vec![mib(total), mib(before), mib(after), "together: RSS".to_owned()]);
    grid.write(out, options.width, options.color, false)?;

    heading(out, "Types whose objects changed, those that grew most first", options)?;
    let mut grid = Grid::new(vec![
        Spec::number("MiB").least(10, 0),
        Spec::number("Objects"),
        Spec::number("Before"),
        Spec::number("After"),
        Spec::name("Type"),
    ]);
    for row in difference.types.iter().take(options.limit) {
        grid.row(vec![
            mib(row.change_bytes),
            row.change_count.to_string(),
            row.before_count.to_string(),
            row.after_count.to_string(),
            printable(&row.name).into_owned(),
        ]);
    }
    grid.write(out, options.width, options.color, false)?;
    let rest = difference.types.len().saturating_sub(options.limit) as u64;
    if rest > 0 {
        writeln!(out, "  … and {}", count(rest, "more type", "more types"))?;
    }
    Ok(())
}

fn moment(out: &mut dyn Write, first: &str, moment: &Moment) -> io::Result<()> {
    let objects = moment.objects.map_or_else(String::new, |objects| {
        format!(", {}", count(objects, "tracked object", "tracked objects"))
    });
    let (at, rss) = (printable(&moment.taken_at), mib_unit(moment.rss_bytes));
    writeln!(out, "{first}{at}: {rss}{objects}")
}
