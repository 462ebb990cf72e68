//! How often functions were evaluated, where that was counted.

use std::cmp::Reverse;
use std::io::{self, Write};

use super::TableOptions;
use crate::profile::ProcessProfile;
use crate::report::figures::count;
use crate::report::grid::{Grid, Spec, emphasis};
use crate::report::printable;

/// Writes the functions with the most evaluations, or nothing where none were counted.
pub(super) fn write(
    out: &mut dyn Write,
    process: &ProcessProfile,
    options: &TableOptions,
) -> io::Result<()> {
    let Some(evaluations) = &process.counts.evaluations else { return Ok(()) };
    let mut functions: Vec<_> = evaluations.iter().collect();
    functions.sort_by_key(|(_, count)| Reverse(**count));
    let (shown, rest) = functions.split_at(functions.len().min(options.top_lines));
    let mut grid = Grid::new(vec![
        Spec::number("Evaluations").least(0, 0),
        Spec::name("File:line"),
        Spec::name("Function"),
    ]);
    for (place, count) in shown {
        grid.row(vec![
            count.to_string(),
            format!("{}:{}", printable(&place.file), place.line),
            printable(&place.function).into_owned(),
        ]);
    }
    writeln!(out, "\n{}", emphasis("Functions by evaluations", options.color))?;
    grid.write(out, options.width, options.color, false)?;
    if !rest.is_empty() {
        let evaluations: u64 = rest.iter().map(|(_, count)| **count).sum();
        let functions = count(rest.len() as u64, "more function", "more functions");
        writeln!(out, "… and {functions}, {evaluations} evaluations")?;
    }
    writeln!(out, "{}", meaning(process.python.as_deref()))
}

/// What of a program's calls this version lets be seen.
fn meaning(python: Option<&str>) -> &'static str {
    let minor = python.and_then(|text| text.strip_prefix("3.")?.split('.').next()?.parse().ok());
    match minor {
        Some(..11) => {
            "Each call of a Python function, and each resumption of a generator, is an evaluation."
        }
        Some(11..) | None => {
            "From 3.11 on only what C calls is an evaluation of its own: threads, modules, callbacks,\n\
             sort keys, generators that C resumes. A call from Python to Python belongs to its caller's."
        }
    }
}
