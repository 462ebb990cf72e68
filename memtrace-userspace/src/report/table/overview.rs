//! One row for each process, when there are several.
//!
//! The only place where followed children that aren't Python, and processes beyond the bound, are
//! listed at all. No sums over processes: pages that they share would be counted twice.

use std::io::{self, Write};

use super::TableOptions;
use super::summary::{command_line, ending};
use crate::profile::Profile;
use crate::report::figures::{count, mib};
use crate::report::grid::{Grid, Spec, emphasis};
use crate::report::printable;

/// Writes the table and, where that is so, how many processes are in it only.
pub(super) fn write(
    out: &mut dyn Write,
    profile: &Profile,
    shown: &[usize],
    options: &TableOptions,
) -> io::Result<()> {
    let mut grid = Grid::new(vec![
        Spec::number("PID").least(0, 0),
        Spec::number("Parent"),
        Spec::text("Python"),
        Spec::number("Before"),
        Spec::number("After"),
        Spec::number("Lines"),
        Spec::number("Events"),
        Spec::text("State"),
        Spec::name("Command"),
    ]);
    for process in &profile.processes {
        grid.row(vec![
            process.pid.to_string(),
            process.parent.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            process.python.as_deref().map_or_else(|| "-".into(), printable).into_owned(),
            mib(process.before.total()),
            mib(process.after.total()),
            mib(process.attributed().total()),
            process.events.to_string(),
            ending(process.ending).to_owned(),
            command_line(&process.command),
        ]);
    }
    let title = "Processes (MiB; Lines: net growth that Python lines answer for)";
    writeln!(out, "\n{}", emphasis(title, options.color))?;
    grid.write(out, options.width, options.color, false)?;
    let others = profile.processes.len() - shown.len();
    if others > 0 {
        let others = count(others as u64, "process", "processes");
        writeln!(out, "{others} in this table only: not Python and below 1 MiB, or too many.")?;
    }
    Ok(())
}
