//! The allocator lens: what was allocated, what is live still, by line.
//!
//! The same lines in three views: all by their live bytes, leaks, what is temporary. Figures that are
//! estimates have their interval beside them.

use std::cmp::Reverse;
use std::io::{self, Write};

use super::TableOptions;
use crate::profile::{Allocated, Lens, LineFigures, ProcessProfile};
use crate::report::figures::{count, duration, mib, mib_unit};
use crate::report::grid::{Grid, Spec, emphasis};
use crate::report::printable;
use crate::units::{Bytes, Nanos};

/// Which lines come first, and which come at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Those with the most live bytes, then those that allocated most.
    Live,
    /// Those with blocks that have lived so long; the rest stays out.
    Leaks(Nanos),
    /// Those with the most allocations that were freed at once; the rest stays out.
    Temporary,
}

/// The lens's part of a process's summary.
pub(in crate::report) fn summary(out: &mut dyn Write, process: &ProcessProfile) -> io::Result<()> {
    let Some(lens) = &process.lens else { return Ok(()) };
    let all = process.allocated();
    if lens.is_exact() {
        writeln!(
            out,
            "  Allocator {} allocations of {}, {} freed, {} live with {}",
            all.all.count,
            mib_unit(all.all.bytes),
            all.freed.count,
            all.live(),
            mib_unit(all.live_bytes())
        )?;
        writeln!(
            out,
            "            every one from {} on, {}; {} frees of blocks that were not recorded",
            duration(lens.began),
            lost(lens),
            lens.unknown_frees
        )?;
    } else {
        let [interval, _] = all.interval(lens);
        let interval = match interval {
            Some((low, high)) => format!("{low:.0} to {high:.0} with 95 %"),
            // One window can't tell by how much windows differ.
            None => "too few windows to tell how far off; trace longer".to_owned(),
        };
        writeln!(
            out,
            "  Allocator about {} allocations ({interval}) of {}",
            all.all.count,
            mib_unit(all.all.bytes),
        )?;
        writeln!(
            out,
            "            estimated from {:.1} % of the time from {} on, measured by {}; {}{}",
            100.0 * lens.part(),
            duration(lens.began),
            measured(lens),
            lost(lens),
            if lens.frees_seen { "" } else { "; what is live is not known: --exact tells it" }
        )?;
    }
    writeln!(
        out,
        "            {} hits of probes, {} of the target's time; breakpoints in its allocator",
        lens.hits,
        duration(lens.cost)
    )
}

/// What most of the time was measured by.
fn measured(lens: &Lens) -> String {
    match lens.by_time() {
        part if part > 0.99 => "CPU time".to_owned(),
        part => {
            let most = lens.measured.iter().max_by_key(|(_, time)| **time);
            let name = most.map_or_else(String::new, |(name, _)| printable(name).into_owned());
            let others = if lens.measured.len() > 1 { " and others" } else { "" };
            let by_time = match part {
                part if part < 0.01 => String::new(),
                part => format!(", {:.0} % by CPU time", 100.0 * part),
            };
            format!("calls of {name}{others}{by_time}")
        }
    }
}

fn lost(lens: &Lens) -> String {
    match lens.lost {
        0 => "none lost".to_owned(),
        lost => format!("and {lost} LOST (no room) with {}", mib_unit(lens.lost_bytes)),
    }
}

/// Writes the lines.
pub(super) fn write(
    out: &mut dyn Write,
    process: &ProcessProfile,
    options: &TableOptions,
) -> io::Result<()> {
    let Some(lens) = &process.lens else { return Ok(()) };
    let mut rows: Vec<(String, String, &Allocated)> =
        process.lines.iter().map(|line| (place(line), name(line), &line.self_allocated)).collect();
    rows.extend(process.unattributed.iter().map(|row| {
        let colon = if row.name.is_empty() { "" } else { ": " };
        let reason = format!("({}{colon}{})", row.reason.as_str(), printable(&row.name));
        (reason, String::new(), &row.allocated)
    }));
    // Without all frees nobody knows what is live.
    let rank = |allocated: &Allocated| match (lens.frees_seen, options.view) {
        (false, View::Leaks(_)) => (0, 0, 0),
        (false, View::Live) => (i64::from(!allocated.is_zero()), allocated.all.bytes.0, 0),
        (_, view) => rank(allocated, view),
    };
    rows.retain(|(.., allocated)| rank(allocated).0 > 0);
    rows.sort_by_key(|(.., allocated)| Reverse(rank(allocated)));

    let heading = match options.view {
        View::Live if lens.frees_seen => {
            "Allocations by line, most live bytes first (MiB)".to_owned()
        }
        View::Live => "Allocations by line, most bytes first (MiB)".to_owned(),
        View::Leaks(_) if !lens.frees_seen => {
            "What is live is not known, since frees were not seen all the time (--exact): leaks"
                .to_owned()
        }
        View::Leaks(age) => format!("Blocks that are {} old or older, by line (MiB)", seconds(age)),
        View::Temporary => {
            "Allocations that were freed at once, by line (MiB of all allocations)".to_owned()
        }
    };
    if rows.is_empty() {
        return writeln!(out, "\n{}: none", emphasis(&heading, options.color));
    }
    let (shown, rest) = rows.split_at(rows.len().min(options.top_lines));
    let mut specs = vec![
        Spec::number("Live").least(0, 0),
        Spec::number("Blocks").least(0, 1),
        Spec::number("Oldest").least(0, 1),
        Spec::number("Allocated").least(0, 1),
        Spec::number("Allocations").least(0, 1),
    ];
    if !lens.is_exact() {
        specs.push(Spec::number("95 % of them").least(0, 1));
    }
    specs.push(Spec::number("Temporary").least(0, 1));
    specs.push(Spec::name("File:line"));
    specs.push(Spec::name("Function"));
    let mut grid = Grid::new(specs);
    for (place, name, allocated) in shown {
        grid.row(cells(place, name, allocated, lens, options.view));
    }
    writeln!(out, "\n{}", emphasis(&heading, options.color))?;
    grid.write(out, options.width, options.color, false)?;
    if !rest.is_empty() {
        let bytes: Bytes = rest.iter().map(|(.., allocated)| allocated.all.bytes).sum();
        let lines = count(rest.len() as u64, "more line", "more lines");
        writeln!(out, "… and {lines}, {} allocated", mib_unit(bytes))?;
    }
    Ok(())
}

fn cells(place: &str, name: &str, allocated: &Allocated, lens: &Lens, view: View) -> Vec<String> {
    let (live, blocks) = match view {
        View::Leaks(age) => {
            let old = allocated.older_than(age);
            (old.bytes, old.count.to_string())
        }
        View::Live | View::Temporary => (allocated.live_bytes(), allocated.live().to_string()),
    };
    let known = |text: String| if lens.frees_seen { text } else { "-".to_owned() };
    let mut cells = vec![
        known(mib(live)),
        known(blocks),
        known(allocated.oldest().map_or_else(String::new, seconds)),
        mib(allocated.all.bytes),
        allocated.all.count.to_string(),
    ];
    if !lens.is_exact() {
        let [interval, _] = allocated.interval(lens);
        let text = |(low, high)| format!("{low:.0}-{high:.0}");
        cells.push(interval.map_or_else(|| "unknown".to_owned(), text));
    }
    cells.push(allocated.temporary.count.to_string());
    cells.extend([place.to_owned(), name.to_owned()]);
    cells
}

/// What a view sorts by, the largest first; a line whose first figure is not above zero stays out.
fn rank(allocated: &Allocated, view: View) -> (i64, i64, i64) {
    let (bytes, live) = (allocated.all.bytes.0, allocated.live_bytes().0);
    match view {
        View::Live => (i64::from(!allocated.is_zero()), live, bytes),
        View::Leaks(age) => {
            let old = allocated.older_than(age);
            (i64::from(old.count > 0), old.bytes.0, bytes)
        }
        View::Temporary => (allocated.temporary.count.cast_signed(), bytes, live),
    }
}

fn place(line: &LineFigures) -> String {
    format!("{}:{}", printable(&line.place.file), line.place.line)
}

fn name(line: &LineFigures) -> String {
    printable(&line.place.function).into_owned()
}

/// `12.3 s`
fn seconds(time: Nanos) -> String {
    format!("{:.1} s", time.seconds())
}
