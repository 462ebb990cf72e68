//! The head of a process: what it is, the law as a sum, events, losses, cost, and what no line can
//! answer for.
//!
//! Figures of single lines are not its business.

use std::io::{self, Write};

use super::{TableOptions, allocations, law};
use crate::profile::{Ending, ProcessProfile, Unattributed};
use crate::report::figures::{count, duration, mib, mib_unit};
use crate::report::fit::cut_middle;
use crate::report::grid::{Grid, Spec, emphasis};
use crate::report::printable;
use crate::units::Bytes;

/// Rows without a line that are shown one by one. A pool may have hundreds of threads.
const UNATTRIBUTED_ROWS: usize = 20;

/// Writes the summary and the unattributed rows.
pub(super) fn write(
    out: &mut dyn Write,
    process: &ProcessProfile,
    options: &TableOptions,
) -> io::Result<()> {
    let title = format!("Process {}: {}", process.pid, command_line(&process.command));
    let title = cut_middle(&title, options.width);
    writeln!(out, "\n{}\n", emphasis(&title, options.color))?;

    let python = process.python.as_deref().map_or_else(|| "none".into(), printable);
    let forked = process.parent.map_or_else(String::new, |pid| format!(", forked from {pid}"));
    writeln!(out, "  Python    {python} ({}{forked})", ending(process.ending))?;
    let (before, after) = (mib_unit(process.before.total()), mib_unit(process.after.total()));
    writeln!(out, "  RSS       {before} → {after} (peak {})", mib_unit(process.peak))?;
    law::write(out, "  Sum       ", process)?;
    writeln!(out, "  Events    {}", events(process))?;
    if let Some(thinned) = process.thinned() {
        writeln!(
            out,
            "  Walked    {:.1} % of its events' stacks; {} of what the others grew is in no line, but in a \
             row",
            100.0 * thinned.walked(),
            mib_unit(thinned.net)
        )?;
    }
    let (probes, own) = (process.overhead.probe, process.overhead.userspace_cpu);
    writeln!(
        out,
        "  Cost      {} in probes, {} of memtrace's own CPU time",
        duration(probes),
        duration(own)
    )?;
    allocations::summary(out, process)?;
    let copied: Bytes = process.lines.iter().map(|line| line.copied).sum();
    if copied != Bytes::ZERO {
        writeln!(out, "  Copied    {} on write (no growth of RSS)", mib_unit(copied))?;
    }
    for note in &process.notes {
        writeln!(out, "  Note      {}", printable(note))?;
    }
    unattributed(out, process, options)
}

/// How a process's ledger ended, in a word or two.
pub(crate) fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Running => "running",
        Ending::Exited => "exited",
        Ending::Execed => "called exec",
    }
}

/// Arguments as a shell would take them, harmless on a terminal.
pub(crate) fn command_line(command: &[String]) -> String {
    let quoted = |argument: &String| {
        let plain = |c: char| !c.is_whitespace() && !"'\"\\$`|&;<>()*?#".contains(c);
        if !argument.is_empty() && argument.chars().all(plain) {
            printable(argument).into_owned()
        } else {
            format!("'{}'", printable(&argument.replace('\'', "'\\''")))
        }
    };
    command.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn events(process: &ProcessProfile) -> String {
    let events = process.events;
    if process.lost_events == 0 {
        return format!("{events}, none lost");
    }
    format!(
        "{events}, and {} LOST (ring buffer full) with {} net, in no line",
        process.lost_events,
        mib_unit(process.lost_bytes)
    )
}

fn unattributed(
    out: &mut dyn Write,
    process: &ProcessProfile,
    options: &TableOptions,
) -> io::Result<()> {
    if process.unattributed.is_empty() {
        return Ok(());
    }
    let mut rows: Vec<&Unattributed> = process.unattributed.iter().collect();
    rows.sort_by(|a, b| {
        let size = |row: &Unattributed| row.net.total().0.unsigned_abs();
        let names = || (a.reason, &a.name).cmp(&(b.reason, &b.name));
        size(b).cmp(&size(a)).then_with(names)
    });

    let mut grid = Grid::new(vec![
        Spec::number("Net"),
        Spec::number("Anon"),
        Spec::number("File"),
        Spec::number("Shmem"),
        Spec::number("Events"),
        Spec::name("Reason"),
    ]);
    let (shown, rest) = rows.split_at(rows.len().min(UNATTRIBUTED_ROWS));
    for row in shown {
        let net = row.net;
        let mut cells = [net.total(), net.anon, net.file, net.shmem].map(mib).to_vec();
        cells.push(row.events.to_string());
        let colon = if row.name.is_empty() { "" } else { ": " };
        cells.push(format!("{}{colon}{}", row.reason.as_str(), printable(&row.name)));
        grid.row(cells);
    }
    writeln!(out, "\n{}", emphasis("What no line can answer for (MiB)", options.color))?;
    grid.write(out, options.width, options.color, false)?;
    if !rest.is_empty() {
        let net = rest.iter().map(|row| row.net.total()).sum();
        let rows = count(rest.len() as u64, "row", "rows");
        writeln!(out, "  … and {rows} more, {}", mib_unit(net))?;
    }
    Ok(())
}
