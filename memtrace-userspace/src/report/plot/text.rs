//! The plot in characters, as wide and high as a terminal: the largest process in full, the others as
//! one row each.
//!
//! Without colours each line is filled with a letter of its own, so that nothing depends on colours.

use std::io::{self, Write};

use super::PlotOptions;
use super::choice::Choice;
use super::legend::narrow;
use super::marks::{self, Lives, when};
use super::palette::{self, Color};
use super::scale;
use crate::profile::Profile;
use crate::report::course::Course;
use crate::report::figures::mib_unit;
use crate::report::fit::{cut_middle, width};
use crate::report::grid::emphasis;
use crate::report::table::command_line;
use crate::units::Nanos;
use cells::Cell;

mod cells;
mod key;

/// Where nothing else is asked for or known.
const COLUMNS: u32 = 80;
const ROWS: u32 = 24;
/// Fewer can't hold a plot.
const LEAST_COLUMNS: u32 = 40;
/// Of the drawing itself; lines give way first.
const LEAST_ROWS: usize = 8;
/// Labels of bytes, and the axis.
const LEFT: usize = 10;
/// Title, marks, axis, times, and the prompt that follows.
const ROWS_AROUND: usize = 6;

/// Writes it.
pub(super) fn write(
    out: &mut dyn Write,
    profile: &Profile,
    options: &PlotOptions,
) -> io::Result<()> {
    let choice = Choice::of(profile, options, options.processes.max(1));
    let Some(largest) = choice.largest() else {
        return writeln!(out, "There is no process to plot.");
    };
    let room = options.width.unwrap_or(COLUMNS).max(LEAST_COLUMNS) as usize;
    let height = options.height.unwrap_or(ROWS) as usize;
    let columns = room - LEFT;

    let others: Vec<Course<'_>> = choice
        .shown
        .iter()
        .filter(|process| !std::ptr::eq(**process, largest))
        .map(|process| Course::of(process, profile.duration, 0))
        .collect();
    let course = |lines| Course::of(largest, profile.duration, lines);
    let notes = |course: &Course<'_>| {
        let notes = choice.notes(std::slice::from_ref(course));
        notes.iter().flat_map(|note| wrapped(note, room)).collect::<Vec<_>>()
    };
    let other_rows = if others.is_empty() { 0 } else { others.len() + 1 };
    let used = ROWS_AROUND + other_rows + notes(&course(0)).len();
    let rows_for = |layers| height.saturating_sub(used + key::rows(layers, room));
    // Lines, base, others.
    let lines = (1..=options.lines).rev().find(|lines| rows_for(lines + 2) >= LEAST_ROWS);
    let course = course(lines.unwrap_or(options.lines.min(1)));
    let rows = rows_for(course.layers.len()).max(LEAST_ROWS);
    let time = Choice::time(std::slice::from_ref(&course));
    let time = others
        .iter()
        .fold(time, |time, other| (time.0.min(other.start()), time.1.max(other.end())));

    let colors = palette::colors(std::slice::from_ref(&course));
    let colors = options.color.then(|| colors[0].as_slice());
    let signs = key::signs(&course);
    title(out, &course, time, room, options.color)?;
    let drawing = Drawing { course: &course, signs: &signs, colors, time, columns, rows };
    drawing.write(out, &Lives::of(profile, options.begins_later).marks(largest))?;
    for row in key::entries(&course, &signs, colors, room) {
        writeln!(out, "{row}")?;
    }
    if !others.is_empty() {
        for row in key::others(&others, time, room) {
            writeln!(out, "{row}")?;
        }
    }
    for row in notes(&course) {
        writeln!(out, "{row}")?;
    }
    Ok(())
}

fn title(
    out: &mut dyn Write,
    course: &Course<'_>,
    time: (Nanos, Nanos),
    room: usize,
    bold: bool,
) -> io::Result<()> {
    let (end, peak) = (mib_unit(narrow(course.last().rss)), mib_unit(narrow(course.peak())));
    let figures = format!("RSS {end}, ◆ peak {peak}");
    let when = course.peak_time().map(|between| format!("{figures} {}", when(between, time)));
    let figures = when.filter(|text| width(text) <= room).unwrap_or(figures);
    let process = course.process;
    let name = format!("Process {}: {}", process.pid, command_line(&process.command));
    writeln!(out, "{}", emphasis(&cut_middle(&name, room), bold))?;
    writeln!(out, "{}", cut_middle(&figures, room))
}

/// The largest process, drawn.
struct Drawing<'a> {
    course: &'a Course<'a>,
    signs: &'a [char],
    colors: Option<&'a [Color]>,
    time: (Nanos, Nanos),
    columns: usize,
    rows: usize,
}

impl Drawing<'_> {
    fn write(&self, out: &mut dyn Write, marks: &[marks::Mark]) -> io::Result<()> {
        let bytes = (self.course.peak() as f64).max(1024.0) * 1.02;
        let mut cells = self.cells(bytes);
        self.mark(&mut cells, bytes, marks);
        writeln!(out, "{}", self.mark_labels(marks))?;

        let mut labels = vec![String::new(); self.rows];
        for tick in scale::of_bytes(bytes, (self.rows * 2 / 5).max(1)) {
            // The row that the value is the foot of; zero is the axis's own.
            let row = (tick.at / bytes * self.rows as f64).round() as usize;
            if let Some(label) = row.checked_sub(1).and_then(|row| labels.get_mut(row)) {
                *label = tick.label;
            }
        }
        for (row, label) in (0..self.rows).rev().zip(labels.iter().rev()) {
            let edge = if label.is_empty() { '│' } else { '┤' };
            let line = self.line(&cells[row]);
            writeln!(out, "{label:>width$}{edge}{}", line.trim_end(), width = LEFT - 1)?;
        }
        self.axis(out)
    }

    /// Rows from the lowest up, each from the left.
    fn cells(&self, bytes: f64) -> Vec<Vec<Cell>> {
        let mut rows = vec![vec![Cell::EMPTY; self.columns]; self.rows];
        let samples = cells::sampled(self.course, self.time, self.columns);
        for (column, sample) in samples.iter().enumerate() {
            let Some(sample) = sample else { continue };
            let cells = match self.colors {
                Some(_) => cells::colored(&sample.tops(), self.rows, bytes),
                None => cells::plain(&sample.tops(), self.rows, bytes, self.signs),
            };
            for (row, cell) in rows.iter_mut().rev().zip(cells) {
                row[column] = cell;
            }
        }
        rows
    }

    fn column(&self, at: f64) -> usize {
        let (start, end) = (self.time.0.0 as f64, self.time.1.0 as f64);
        let share = ((at - start) / (end - start).max(1.0)).clamp(0.0, 1.0);
        (share * (self.columns - 1) as f64).round() as usize
    }

    /// The peak, and lines where something happened, where nothing else stands.
    fn mark(&self, cells: &mut [Vec<Cell>], bytes: f64, marks: &[marks::Mark]) {
        for mark in marks {
            let column = self.column(mark.at.0 as f64);
            // The axis is line enough.
            for row in cells.iter_mut().filter(|row| column > 0 && row[column] == Cell::EMPTY) {
                row[column].character = '┊';
            }
        }
        if let Some((from, to)) = self.course.peak_time() {
            let column = self.column((from.0 as f64 + to.0 as f64) / 2.0);
            let share = self.course.peak().max(0) as f64 / bytes;
            let row = ((share * self.rows as f64) as usize).min(self.rows - 1);
            cells[row][column] = Cell { character: '◆', ..Cell::EMPTY };
        }
    }

    fn line(&self, cells: &[Cell]) -> String {
        let Some(colors) = self.colors else {
            return cells.iter().map(|cell| cell.character).collect();
        };
        let code = |layer: Option<usize>, ground: &str| match layer {
            Some(layer) => format!("\x1b[{ground}8;5;{}m", colors[layer].of_terminal()),
            None => format!("\x1b[{ground}9m"),
        };
        let mut line = String::new();
        let (mut layer, mut behind) = (None, None);
        for cell in cells {
            if cell.layer != layer {
                line.push_str(&code(cell.layer, "3"));
            }
            if cell.behind != behind {
                line.push_str(&code(cell.behind, "4"));
            }
            (layer, behind) = (cell.layer, cell.behind);
            line.push(cell.character);
        }
        if (layer, behind) != (None, None) {
            line.push_str("\x1b[0m");
        }
        line
    }

    fn mark_labels(&self, marks: &[marks::Mark]) -> String {
        let extent = |label: &marks::Label| {
            let column = self.column(label.at.0 as f64);
            let left = column.min(self.columns.saturating_sub(width(&label.text)));
            (left, left + width(&label.text))
        };
        let labels = marks::joined(marks, |a, b| extent(b).0 < extent(a).1 + 2);
        let mut row = " ".repeat(LEFT);
        for label in labels {
            let blanks = (LEFT + extent(&label).0).saturating_sub(width(&row));
            row.extend(std::iter::repeat_n(' ', blanks));
            row.push_str(&label.text);
        }
        cut_middle(&row, LEFT + self.columns).into_owned()
    }

    fn axis(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut line = vec!['─'; self.columns];
        let mut labels = String::new();
        for tick in scale::of_time(self.time.0, self.time.1, (self.columns / 11).max(1)) {
            let column = self.column(tick.at);
            line[column] = '┴';
            // Under its tick; the last one may have to stand further to the left.
            let wide = width(&tick.label);
            let from = (LEFT + column).saturating_sub(wide / 2).min(LEFT + self.columns - wide);
            let used = width(&labels);
            if from > used || used == 0 {
                labels.extend(std::iter::repeat_n(' ', from - used));
                labels.push_str(&tick.label);
            }
        }
        writeln!(out, "{:>width$}└{}", "0", line.iter().collect::<String>(), width = LEFT - 1)?;
        writeln!(out, "{labels}")
    }
}

/// `text` in rows of at most `room` columns, broken at blanks.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match rows.last_mut() {
            Some(row) if width(row) + 1 + width(word) <= room => {
                row.push(' ');
                row.push_str(word);
            }
            _ => rows.push(word.to_owned()),
        }
    }
    rows
}
