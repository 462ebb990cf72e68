//! What the columns mean, once at the end.
//!
//! Readers of memory_profiler know the headings; what is counted here differs (events, not
//! executions, unless these were asked for), and that is said where the figures are.

use std::io::{self, Write};

use super::{Column, TableOptions};
use crate::report::grid::emphasis;

const FUNCTION_TABLES: [(&str, &str); 2] = [
    ("Mem usage", "highest RSS seen while the line was on the stack"),
    ("Increment", "net change of RSS while the line, or what it called, ran"),
];

const EVENTS: &str =
    "events with the line anywhere on the stack, each once: not how often the line ran";
const EXECUTIONS: &str = "how often the line ran (of a `def` line: how often it was called); `-`: not \
    counted,\n              being of the interpreter's own library or of a process without counts";

const TOP_LINES: [(&str, &str); 7] = [
    ("Self net", "Grown − Returned"),
    (
        "Grown",
        "RSS added by the line itself, without what it called: pages that it was the first to touch. Where\n              \
         it frees objects in them, those of other lines may stay there (--lens allocator: who allocates)",
    ),
    ("Returned", "of that, given back, by whatever line: credited to the line that had grown it"),
    ("Resident", "still resident: of Grown, what is in RSS at report time"),
    ("Cumul.", "as Increment"),
    ("Peak", "as Mem usage"),
    ("Events", EVENTS),
];

const ESTIMATES: [(&str, &str); 2] = [
    (
        "Estimate",
        "of Self net: not every stack was walked, and those that were stand for the others.\n              \
         All other figures are what was measured, and add up to the byte",
    ),
    ("95 % of it", "the true figure is between these in 19 of 20 cases"),
];

/// Writes the legend for the columns that are shown.
pub(super) fn write(
    out: &mut dyn Write,
    counted: bool,
    thinned: bool,
    columns: &[Column],
    options: &TableOptions,
) -> io::Result<()> {
    writeln!(out, "\n{}", emphasis("Columns", options.color))?;
    if counted {
        writeln!(
            out,
            "  Occurrences are executions of lines, counted by the program's own interpreter. All other\n  \
             counts are events (changes of the process's RSS counters). Where a line ran and RSS did not change,\n  \
             Mem usage is blank."
        )?;
    } else {
        writeln!(
            out,
            "  All counts are events (changes of the process's RSS counters); none counts executions of a\n  \
             line. A line that runs a million times in memory that is already there has no event at all."
        )?;
    }
    let added = columns.iter().map(|column| (column.name(), column.meaning()));
    let occurrences = ("Occurrences", if counted { EXECUTIONS } else { EVENTS });
    for (name, meaning) in FUNCTION_TABLES.into_iter().chain([occurrences]).chain(added) {
        writeln!(out, "  {name:<12}{meaning}")?;
    }
    writeln!(out, "  In the table of top lines:")?;
    let (first, rest) = TOP_LINES.split_at(1);
    let estimates = if thinned { &ESTIMATES[..] } else { &[] };
    for (name, meaning) in first.iter().chain(estimates).chain(rest) {
        let meaning = if counted || *name != "Events" { meaning } else { "as Occurrences" };
        writeln!(out, "  {name:<12}{meaning}")?;
    }
    writeln!(
        out,
        "  Copied on write: after a fork, a page that is written to is replaced by a copy of it. RSS\n  \
         stays as it was (so it is in none of these figures), but the machine has a page less."
    )
}
