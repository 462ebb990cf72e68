//! Which native functions grew memory, and below which Python line.
//!
//! Nothing is written unless native frames were asked for. A row has both ends of the chain of calls
//! from Python to where memory grew: either alone says little (`memset`, `array_fill`). Figures by
//! function are in the JSON report.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use super::TableOptions;
use crate::profile::{NativeCall, Place, ProcessProfile, Unattributed};
use crate::report::figures::{count, mib, mib_unit};
use crate::report::grid::{Grid, Spec, emphasis};
use crate::report::printable;
use crate::units::Bytes;

/// Who called native functions.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Caller<'a> {
    Line(&'a str, u32),
    Row(&'a str, &'a str),
}

#[derive(Default)]
struct Sum {
    net: Bytes,
    grown: Bytes,
    resident: Bytes,
    events: u64,
}

/// Writes the table.
pub(super) fn write(
    out: &mut dyn Write,
    process: &ProcessProfile,
    options: &TableOptions,
) -> io::Result<()> {
    let mut rows = rows(process);
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_by(|a, b| (b.2.net, b.2.grown, a.1).cmp(&(a.2.net, a.2.grown, b.1)));
    let (shown, rest) = rows.split_at(rows.len().min(options.top_lines));
    let mut grid = Grid::new(vec![
        Spec::number("Net").least(0, 0),
        Spec::number("Grown").least(0, 1),
        Spec::number("Resident").least(0, 1),
        Spec::number("Events").least(0, 1),
        Spec::name("Grew in"),
        Spec::name("Called as"),
        Spec::name("By"),
    ]);
    for (caller, ends, sum) in shown {
        let mut cells = [sum.net, sum.grown, sum.resident].map(mib).to_vec();
        cells.push(sum.events.to_string());
        let NativeCall { function, called_as, .. } = ends;
        let named = match ends.short_library() {
            "" => (*function).to_owned(),
            library => format!("{function} ({library})"),
        };
        cells.push(printable(&named).into_owned());
        cells.push(printable(called_as).into_owned());
        cells.push(match caller {
            Caller::Line(file, line) => format!("{}:{line}", printable(file)),
            Caller::Row(reason, "") => (*reason).to_owned(),
            Caller::Row(reason, name) => format!("{reason}: {}", printable(name)),
        });
        grid.row(cells);
    }
    let heading = "Native functions by net growth (MiB)";
    writeln!(out, "\n{}", emphasis(heading, options.color))?;
    grid.write(out, options.width, options.color, false)?;
    if !rest.is_empty() {
        let net = rest.iter().map(|(.., sum)| sum.net).sum();
        writeln!(out, "… and {}, {}", count(rest.len() as u64, "more", "more"), mib_unit(net))?;
    }
    Ok(())
}

fn rows(process: &ProcessProfile) -> Vec<(Caller<'_>, NativeCall<'_>, Sum)> {
    let mut sums: HashMap<(Caller<'_>, NativeCall<'_>), Sum> = HashMap::new();
    for stack in process.stacks.iter().filter(|stack| !stack.native.is_empty()) {
        let caller = stack.frames.first().map_or(Caller::Line("", 0), caller);
        let sum = sums.entry((caller, NativeCall::of(&stack.native))).or_default();
        sum.net += stack.net().total();
        sum.grown += stack.grown.total();
        sum.resident += stack.resident;
        sum.events += stack.events;
    }
    for row in &process.unattributed {
        let Unattributed { reason, name, native, .. } = row;
        for part in native {
            let caller = Caller::Row(reason.as_str(), name);
            let sum = sums.entry((caller, NativeCall::of(&part.frames))).or_default();
            let net = part.net.total();
            sum.net += net;
            sum.grown += net;
            sum.resident += net;
            sum.events += part.events;
        }
    }
    sums.into_iter().map(|((caller, ends), sum)| (caller, ends, sum)).collect()
}

fn caller(place: &Arc<Place>) -> Caller<'_> {
    Caller::Line(&place.file, place.line)
}
