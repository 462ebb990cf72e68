//! Beside a panel: which colour is which line, and what it holds at the end and at the peak.
//!
//! In the order of the layers, the highest first, and adding up: the layers to RSS, and at the peak
//! with what RSS came to within the window of time, to the peak.

use std::io;

use super::canvas::{Canvas, px};
use super::font::{self, Weight};
use super::palette::{self, Color};
use super::scale;
use crate::profile::LineFigures;
use crate::report::course::{Course, Layer};
use crate::report::figures::{count, mib};
use crate::report::printable;
use crate::units::{Bytes, Nanos};

/// Of a row, at most and at least.
const ROWS: (f64, f64) = (18.0, 13.0);
/// Of a column of numbers.
const NUMBER: f64 = 68.0;
/// Of a colour's square, with the gap after it.
const SQUARE: f64 = 18.0;
/// Rows that are no lines: header, RSS, within the window, others, base.
const ROWS_BESIDE: f64 = 5.0;

/// How many lines have room in a legend of this height.
pub(super) fn lines_that_fit(height: f64) -> usize {
    (height / ROWS.1 - ROWS_BESIDE).max(1.0) as usize
}

/// Where a legend is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Legend {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// One row: what it is called, what it comes to.
struct Row {
    name: String,
    /// After the name, where there is room.
    function: String,
    end: Option<i128>,
    peak: i128,
    sign: Option<Sign>,
}

/// What stands before a name.
#[derive(Clone, Copy)]
enum Sign {
    Square(Color),
    Line,
}

impl Legend {
    /// Draws it.
    pub(super) fn draw(
        &self,
        canvas: &mut Canvas<'_>,
        course: &Course<'_>,
        colors: &[Color],
    ) -> io::Result<()> {
        let rows = rows(course, colors);
        let step = (self.height / (rows.len() + 1) as f64).clamp(ROWS.1, ROWS.0);
        let mut y = self.top + step * 0.7;
        let right = self.left + self.width;
        let ends = [right - NUMBER, right];
        for (x, text) in ends.into_iter().zip(["at end", "at peak"]) {
            canvas.text("text", &[("class", "quiet end"), ("x", &px(x)), ("y", &px(y))], text)?;
        }
        let heading = [("class", "quiet"), ("x", &*px(self.left)), ("y", &px(y))];
        canvas.text("text", &heading, "MiB")?;
        for row in rows {
            y += step;
            self.row(canvas, &row, y)?;
        }
        Ok(())
    }

    fn row(&self, canvas: &mut Canvas<'_>, row: &Row, y: f64) -> io::Result<()> {
        let x = px(self.left);
        match row.sign {
            Some(Sign::Square(color)) => canvas.empty(
                "rect",
                &[
                    ("x", &x),
                    ("y", &px(y - 9.5)),
                    ("width", "11"),
                    ("height", "11"),
                    ("rx", "2"),
                    ("fill", &color.hex()),
                ],
            )?,
            None => {}
            Some(Sign::Line) => {
                let line = format!("M{x} {}h11", px(y - 4.0));
                let (ink, width) = (palette::INK.hex(), "2");
                canvas.empty("path", &[("d", &line), ("stroke", &ink), ("stroke-width", width)])?;
            }
        }
        let room = self.width - SQUARE - 2.0 * NUMBER;
        let of = |text: &str| font::width(text, 11.0, Weight::Regular);
        let function = format!("  {}", row.function);
        // The function's name, if it leaves the place enough room.
        let with_function = !row.function.is_empty() && of(&row.name) + of(&function) <= room;
        let name = shortened(&row.name, |name| of(name) <= room);
        let name = name.unwrap_or_else(|| font::fit(&row.name, room, 11.0, Weight::Regular));
        let (x, at) = (px(self.left + SQUARE), px(y));
        canvas.text("text", &[("x", &x), ("y", &at)], &name)?;
        if with_function {
            let x = px(self.left + SQUARE + of(&name) + of("  "));
            canvas.text("text", &[("class", "quiet"), ("x", &x), ("y", &at)], &row.function)?;
        }
        let right = self.left + self.width;
        for (x, bytes) in [(right - NUMBER, row.end), (right, Some(row.peak))] {
            let Some(bytes) = bytes else { continue };
            let text = mib(narrow(bytes));
            canvas.text("text", &[("class", "end"), ("x", &px(x)), ("y", &at)], &text)?;
        }
        Ok(())
    }
}

fn rows(course: &Course<'_>, colors: &[Color]) -> Vec<Row> {
    let (end, at_peak) = (course.last(), &course.points[course.highest()]);
    let row = |name, end, peak, sign| Row { name, function: String::new(), end, peak, sign };
    let mut rows = vec![row("RSS".to_owned(), Some(end.rss), course.peak(), Some(Sign::Line))];
    if let Some((name, more)) = within_the_window(course) {
        rows.push(row(name, None, more, None));
    }
    for (at, (layer, color)) in course.layers.iter().zip(colors).enumerate().rev() {
        let square = Some(Sign::Square(*color));
        let mut row = row(name(layer), Some(end.nets[at]), at_peak.nets[at], square);
        if let Layer::Line(line) = layer {
            row.function = printable(&line.place.function).into_owned();
        }
        rows.push(row);
    }
    rows
}

/// By how much the peak is above the end of the window of time that it is in, and what to call it:
/// what lines hold is known at the ends of windows only.
pub(super) fn within_the_window(course: &Course<'_>) -> Option<(String, i128)> {
    let highest = course.highest();
    let more = course.peak() - course.points[highest].rss;
    let from = course.points[highest.saturating_sub(1)].at;
    let window = scale::time(Nanos(course.points[highest].at.0 - from.0));
    (more != 0).then(|| (format!("more, within {window}"), more))
}

/// What a layer is called: `file:line`, or words.
pub(super) fn name(layer: &Layer<'_>) -> String {
    match layer {
        Layer::Base => "before attach + unattributed".to_owned(),
        Layer::Others(number) => count(*number as u64, "other line", "other lines"),
        Layer::Line(line) => place(line),
    }
}

/// The name of a layer without so many of its folders that it fits; `None` where that is not enough.
pub(super) fn shortened(name: &str, fits: impl Fn(&str) -> bool) -> Option<String> {
    let ends = name.match_indices('/').skip(1).map(|(at, _)| format!("…{}", &name[at..]));
    let bare = name.rsplit('/').next().map(str::to_owned);
    std::iter::once(name.to_owned()).chain(ends).chain(bare).find(|name| fits(name))
}

/// `file:line`
fn place(line: &LineFigures) -> String {
    format!("{}:{}", printable(&line.place.file), line.place.line)
}

/// As bytes; what is too wide for them is moved to the nearest that isn't.
pub(super) fn narrow(bytes: i128) -> Bytes {
    Bytes(bytes.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}
