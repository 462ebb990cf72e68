//! The lines that grew most, over all files.
//!
//! It comes before the function tables, since nobody knows yet which file to open. It shows no
//! source text.

use std::io::{self, Write};

use super::{TableOptions, choice};
use crate::profile::{Estimated, LineFigures, ProcessProfile, Thinned};
use crate::report::figures::{count, mib, mib_unit};
use crate::report::grid::{Grid, Spec, emphasis};
use crate::report::{Measure, printable};

/// Writes the table, or that there is no line.
pub(super) fn write(
    out: &mut dyn Write,
    process: &ProcessProfile,
    options: &TableOptions,
) -> io::Result<()> {
    if process.lines.is_empty() {
        return writeln!(out, "\nNo Python line changed its RSS.");
    }
    let ranked = choice::ranked(process, options.sort);
    let (shown, rest) = ranked.split_at(ranked.len().min(options.top_lines));

    let thinned = process.thinned();
    let mut specs = vec![Spec::number("Self net").least(0, 0)];
    if thinned.is_some() {
        specs.extend(["Estimate", "95 % of it"].map(|name| Spec::number(name).least(0, 1)));
    }
    specs.extend([
        Spec::number("Grown").least(0, 1),
        Spec::number("Returned").least(0, 1),
        Spec::number("Resident").least(0, 1),
        Spec::number("Cumul.").least(0, 1),
        Spec::number("Peak").least(0, 1),
        Spec::number("Events").least(0, 1),
        Spec::name("File:line"),
        Spec::name("Function"),
    ]);
    let mut grid = Grid::new(specs);
    for line in shown {
        grid.row(cells(line, thinned.as_ref()));
    }
    let heading = match options.sort {
        Measure::Net if thinned.is_some() => {
            "Top lines by their own net growth, as estimated (MiB)"
        }
        Measure::Net => "Top lines by their own net growth (MiB)",
        Measure::Grown => "Top lines by their own growth (MiB)",
        Measure::Resident => "Top lines by what is resident of their own growth (MiB)",
        Measure::Events => "Top lines by events of their own (MiB)",
        Measure::Allocated => "Top lines by bytes that they allocated (MiB)",
        Measure::Allocations => "Top lines by their allocations (MiB)",
        Measure::Live => "Top lines by live bytes that they allocated (MiB)",
    };
    writeln!(out, "\n{}", emphasis(heading, options.color))?;
    grid.write(out, options.width, options.color, false)?;
    if !rest.is_empty() {
        let net = rest.iter().map(|line| line.self_net.total()).sum();
        let lines = count(rest.len() as u64, "more line", "more lines");
        writeln!(out, "… and {lines}, {}", mib_unit(net))?;
    }
    Ok(())
}

fn cells(line: &LineFigures, thinned: Option<&Thinned>) -> Vec<String> {
    let figures = [
        line.self_net.total(),
        line.self_grown,
        line.self_returned,
        line.self_resident,
        line.cumulative_net,
        line.peak_rss,
    ];
    let mut cells = figures.map(mib).to_vec();
    if let Some(thinned) = thinned {
        let Estimated { bytes, interval: (low, high) } = thinned.of_self(line);
        cells.splice(1..1, [mib(bytes), format!("{}-{}", mib(low), mib(high))]);
    }
    cells.push(line.events.to_string());
    cells.push(format!("{}:{}", printable(&line.place.file), line.place.line));
    cells.push(printable(&line.place.function).into_owned());
    cells
}
