//! `docs/benchmarks.md`, of what was measured. Pure: no run, no clock.

use std::fmt::Write;

use super::run::{Mark, Run};
use crate::measure::{Pairs, median};

/// What a tool did with one case.
pub struct Cell {
    /// The tool's name.
    pub tool: &'static str,
    /// Whether it has answers for lines.
    pub by_line: bool,
    /// Runs without and with it, in pairs.
    pub pairs: Vec<(Run, Run)>,
    /// Why there are no more of them.
    pub failed: Option<String>,
}

/// One case.
pub struct Section {
    /// As the program names it.
    pub case: &'static str,
    /// What it does.
    pub what: &'static str,
    /// Of each tool.
    pub cells: Vec<Cell>,
}

#[allow(clippy::cast_precision_loss, reason = "bytes of less than a TiB")]
fn mib(bytes: i64) -> f64 {
    bytes as f64 / 1_048_576.0
}

fn middle(runs: &[(Run, Run)], figure: impl Fn(&Run) -> f64) -> f64 {
    median(&runs.iter().map(|(_, with)| figure(with)).collect::<Vec<_>>())
}

/// A section's tables.
#[must_use]
pub fn section(section: &Section) -> String {
    let mut text = format!("\n## {}: {}\n\n", section.case, section.what);
    let Some((untraced, _)) = section.cells.iter().find_map(|cell| cell.pairs.first()) else {
        return text + "No run succeeded.\n";
    };
    let marks = &untraced.truth.marks;
    text += "| tool | slowdown (least to most) | start to answer | target's peak | tool's own peak | data written |";
    let mut rule = String::from("\n| --- | ---: | ---: | ---: | ---: | ---: |");
    for mark in marks {
        write!(text, " line `{}` |", mark.name).ok();
        rule += " ---: |";
    }
    text += &rule;
    text += "\n";
    let alone: Vec<&Run> =
        section.cells.iter().flat_map(|cell| &cell.pairs).map(|(without, _)| without).collect();
    text += &truths(&alone, marks);
    for cell in &section.cells {
        text += &row(cell, marks);
    }
    text
}

fn truths(alone: &[&Run], marks: &[Mark]) -> String {
    let of =
        |figure: fn(&Run) -> f64| median(&alone.iter().map(|run| figure(run)).collect::<Vec<_>>());
    let asked = if marks.is_empty() { "" } else { "; asked for, by construction" };
    let mut text = format!(
        "| *alone{asked}* | {:.3} s | {:.2} s | {:.1} MiB | | |",
        of(|run| run.truth.loop_ns as f64 / 1e9),
        of(|run| run.seconds),
        of(|run| mib(run.truth.peak)),
    );
    for mark in marks {
        write!(text, " {:.1} |", mib(mark.asked)).ok();
    }
    if !marks.is_empty() {
        text += "\n| *resident, by construction* | | | | | |";
        for mark in marks {
            write!(text, " {:.1} |", mib(mark.resident)).ok();
        }
        let grown = of(|run| mib(run.truth.grown));
        write!(text, "\n| *all lines, by `smaps_rollup`* | | | | | | {grown:.1} |").ok();
        text += &" |".repeat(marks.len() - 1);
    }
    text + "\n"
}

#[allow(clippy::cast_precision_loss, reason = "nanoseconds of seconds, bytes of less than a TiB")]
fn row(cell: &Cell, marks: &[Mark]) -> String {
    if cell.pairs.is_empty() {
        let why = cell.failed.as_deref().unwrap_or("not run").replace('|', "/");
        return format!("| {} | {why} | | | | |{}\n", cell.tool, " |".repeat(marks.len()));
    }
    let seconds = |run: &Run| run.truth.loop_ns as f64 / 1e9;
    let pairs = Pairs {
        untraced: cell.pairs.iter().map(|(without, _)| seconds(without)).collect(),
        traced: cell.pairs.iter().map(|(_, with)| seconds(with)).collect(),
    };
    let mut ratios = pairs.ratios();
    ratios.sort_by(f64::total_cmp);
    let own = cell.pairs.iter().filter_map(|(_, with)| with.tool_peak).max();
    let own = own.map_or("in the target".to_owned(), |peak| format!("{:.1} MiB", mib(peak)));
    let mut text = format!(
        "| {} | {:.2} ({:.2} to {:.2}) | {:.2} s | {:.1} MiB | {own} | {:.0} KiB |",
        cell.tool,
        pairs.ratio(),
        ratios[0],
        ratios[ratios.len() - 1],
        middle(&cell.pairs, |run| run.seconds),
        middle(&cell.pairs, |run| mib(run.truth.peak)),
        middle(&cell.pairs, |run| run.written as f64 / 1024.0),
    );
    for mark in marks {
        if cell.by_line {
            let of_line = |run: &Run| run.lines.get(&mark.line).copied().unwrap_or_default();
            write!(text, " {:.1} |", middle(&cell.pairs, of_line) / 1_048_576.0).ok();
        } else {
            text += " none |";
        }
    }
    if let Some(why) = &cell.failed {
        write!(text, " <!-- fewer runs: {why} -->").ok();
    }
    text + "\n"
}
