//! One process: its title, its axes, its areas, the line of its RSS, what happened to it, its peak.

use std::fmt::Write;
use std::io;

use super::canvas::{Canvas, px};
use super::font::{self, Weight};
use super::frame::Frame;
use super::legend::{self, Legend, narrow};
use super::marks::{self, Label, Mark, when};
use super::palette::{self, Color};
use super::scale::{self, Tick};
use crate::profile::Ending;
use crate::report::course::{Course, Point};
use crate::report::figures::mib_unit;
use crate::report::printable;
use crate::report::table::command_line;
use crate::units::Nanos;

mod areas;

/// Above the frame: title and labels of marks.
const ABOVE: f64 = 44.0;
/// Below it: labels of times, and a gap.
const BELOW: f64 = 40.0;
/// What a panel is higher than its frame.
pub(super) const AROUND: f64 = ABOVE + BELOW;
/// Left of it: labels of bytes.
const LEFT: f64 = 68.0;
/// Between frame and legend.
const GAP: f64 = 28.0;
/// Of text.
const SIZE: f64 = 11.0;

/// How many lines have room beside a frame of this height.
pub(super) fn lines_that_fit(height: f64) -> usize {
    legend::lines_that_fit(height + BELOW)
}

/// A process's part of the page.
pub(super) struct Panel<'a> {
    pub(super) course: &'a Course<'a>,
    /// Of each layer.
    pub(super) colors: &'a [Color],
    pub(super) marks: Vec<Mark>,
    /// From when to when all panels show.
    pub(super) time: (Nanos, Nanos),
    pub(super) place: (f64, f64),
    pub(super) size: (f64, f64),
}

impl Panel<'_> {
    /// Draws it.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>) -> io::Result<()> {
        let legend_width = (self.size.0 * 0.36).clamp(270.0, 440.0);
        let frame = Frame::new(
            (self.place.0 + LEFT, self.place.1 + ABOVE),
            (self.size.0 - LEFT - GAP - legend_width, self.size.1 - AROUND),
            self.time,
            self.course.peak() as f64,
        );
        let pid = self.course.process.pid.to_string();
        canvas.open("g", &[("class", "process"), ("data-pid", &pid)])?;
        self.title(canvas)?;
        self.axes(canvas, &frame)?;
        self.areas(canvas, &frame)?;
        self.mark_lines(canvas, &frame)?;
        self.area_labels(canvas, &frame)?;
        self.rss(canvas, &frame)?;
        self.peak(canvas, &frame)?;
        let legend = Legend {
            left: frame.right() + GAP,
            top: frame.top,
            width: legend_width,
            height: frame.height + BELOW,
        };
        legend.draw(canvas, self.course, self.colors)?;
        canvas.close("g")
    }

    fn title(&self, canvas: &mut Canvas<'_>) -> io::Result<()> {
        let process = self.course.process;
        let ending = match process.ending {
            Ending::Running => "running",
            Ending::Exited => "exited",
            Ending::Execed => "called exec",
        };
        let python = process.python.as_deref().map(printable);
        let python =
            python.map_or_else(|| "not Python".to_owned(), |version| format!("Python {version}"));
        let detail = format!("{python}, {ending}");
        let detail_width = font::width(&detail, SIZE, Weight::Regular) + 16.0;
        let title = format!("Process {}: {}", process.pid, command_line(&process.command));
        let title = font::fit(&title, self.size.0 - detail_width, 13.0, Weight::Bold);
        let (x, y) = (self.place.0, px(self.place.1 + 14.0));
        let size = ("style", "font-size:13px");
        canvas.text("text", &[("class", "bold"), ("x", &px(x)), ("y", &y), size], &title)?;
        let x = px(x + font::width(&title, 13.0, Weight::Bold) + 12.0);
        canvas.text("text", &[("class", "quiet"), ("x", &x), ("y", &y)], &detail)
    }

    fn axes(&self, canvas: &mut Canvas<'_>, frame: &Frame) -> io::Result<()> {
        let bytes = scale::of_bytes(frame.most_bytes(), (frame.height / 60.0).max(2.0) as usize);
        let grid = |d: &mut String, x, y, along: &str| {
            // Writing to a String can't fail.
            let _ = write!(d, "M{} {}{along}", px(x), px(y));
        };
        let mut lines = String::new();
        for Tick { at, label } in bytes {
            let y = frame.y(at);
            grid(&mut lines, frame.left, y, &format!("h{}", px(frame.width)));
            let place = [("class", "end"), ("x", &*px(frame.left - 8.0)), ("y", &px(y + 4.0))];
            canvas.text("text", &place, &label)?;
        }
        let light = ("stroke", "#e4e4e4");
        canvas.empty("path", &[("class", "grid"), ("d", &lines), light, ("fill", "none")])?;
        let mut ticks = String::new();
        for Tick { at, label } in
            scale::of_time(self.time.0, self.time.1, (frame.width / 100.0) as usize)
        {
            let x = frame.x(at);
            grid(&mut ticks, x, frame.bottom(), "v5");
            let place = [("class", "middle"), ("x", &*px(x)), ("y", &px(frame.bottom() + 18.0))];
            canvas.text("text", &place, &label)?;
        }
        grid(&mut ticks, frame.left, frame.bottom(), &format!("h{}", px(frame.width)));
        canvas.empty(
            "path",
            &[("class", "axis"), ("d", &ticks), ("stroke", "#767676"), ("fill", "none")],
        )
    }

    fn rss(&self, canvas: &mut Canvas<'_>, frame: &Frame) -> io::Result<()> {
        let at =
            |point: &Point, bytes: i128| (frame.x(point.at.0 as f64), frame.y(bytes.max(0) as f64));
        let mut higher = String::new();
        for pair in self.course.points.windows(2) {
            let (from, to) = (&pair[0], &pair[1]);
            let ((left, y), (right, peak)) = (at(from, from.rss.max(to.rss)), at(to, to.peak));
            if y - peak > 1.0 {
                let _ = write!(higher, "M{} {}H{}", px(left), px(peak), px(right));
            }
        }
        if !higher.is_empty() {
            let attributes = [
                ("class", "higher"),
                ("d", &*higher),
                ("stroke", "#767676"),
                ("stroke-width", "1.2"),
                ("stroke-dasharray", "2 1.5"),
                ("fill", "none"),
            ];
            canvas.open("path", &attributes)?;
            canvas.text("title", &[], "Highest RSS within each window of time")?;
            canvas.close("path")?;
        }
        let line: Vec<String> = self
            .course
            .points
            .iter()
            .map(|point| at(point, point.rss))
            .map(|(x, y)| format!("{},{}", px(x), px(y)))
            .collect();
        canvas.empty(
            "polyline",
            &[
                ("class", "rss"),
                ("points", &line.join(" ")),
                ("fill", "none"),
                ("stroke", &palette::INK.hex()),
                ("stroke-width", "1.6"),
                ("stroke-linejoin", "round"),
                ("data-end-bytes", &self.course.last().rss.to_string()),
            ],
        )
    }

    /// Lines where something happened, and above the frame what.
    fn mark_lines(&self, canvas: &mut Canvas<'_>, frame: &Frame) -> io::Result<()> {
        let mut lines = String::new();
        for mark in &self.marks {
            let x = px(frame.x(mark.at.0 as f64));
            let _ = write!(lines, "M{x} {}V{}", px(frame.top - 6.0), px(frame.bottom()));
        }
        let attributes = [
            ("class", "marks"),
            ("d", &*lines),
            ("stroke", "#595959"),
            ("stroke-dasharray", "3 3"),
            ("fill", "none"),
        ];
        canvas.empty("path", &attributes)?;
        let extent = |label: &Label| {
            let wide = font::width(&label.text, SIZE, Weight::Regular);
            // Beside its line, on the other side where it would leave the frame.
            let x = frame.x(label.at.0 as f64);
            if x + wide > frame.right() { (x - wide, x, "end") } else { (x, x + wide, "start") }
        };
        for label in marks::joined(&self.marks, |a, b| extent(b).0 < extent(a).1 + 10.0) {
            let (left, right, anchor) = extent(&label);
            let x = px(if anchor == "end" { right.min(frame.right()) } else { left });
            let y = px(frame.top - 10.0);
            let place = [("class", "mark"), ("text-anchor", anchor), ("x", &x), ("y", &y)];
            canvas.text("text", &place, &label.text)?;
        }
        Ok(())
    }

    fn peak(&self, canvas: &mut Canvas<'_>, frame: &Frame) -> io::Result<()> {
        let course = self.course;
        let peak = course.peak();
        let y = frame.y(peak.max(0) as f64);
        let figure = format!("peak {}", mib_unit(narrow(peak)));
        let known = course.peak_time();
        let text = known.map(|between| format!("{figure} {}", when(between, self.time)));
        let half = |text: &str| font::width(text, SIZE, Weight::Bold) / 2.0 + 2.0;
        let text = text.filter(|text| 2.0 * half(text) < frame.width).unwrap_or(figure);
        let (from, to) = known.unwrap_or((course.start(), course.end()));
        let (from, to) = (frame.x(from.0 as f64), frame.x(to.0 as f64));
        let middle = (from + to) / 2.0;
        let red = "#c1121f";
        if to - from > 3.0 {
            let bar = format!("M{} {y}H{}", px(from), px(to), y = px(y));
            let attributes =
                [("d", &*bar), ("stroke", red), ("stroke-width", "1.4"), ("fill", "none")];
            canvas.empty("path", &attributes)?;
        }
        if known.is_some() {
            let dot = [("cx", &*px(middle)), ("cy", &px(y)), ("r", "3.5"), ("fill", red)];
            canvas.empty("circle", &dot)?;
        }
        let half = half(&text);
        let x = if 2.0 * half < frame.width {
            middle.clamp(frame.left + half, frame.right() - half)
        } else {
            frame.left + frame.width / 2.0
        };
        // With a rim, since lines of marks may cross it.
        let style = format!("fill:{red};stroke:#fff;stroke-width:4px;paint-order:stroke");
        let place =
            [("class", "peak bold middle"), ("style", &*style), ("x", &px(x)), ("y", &px(y - 9.0))];
        canvas.text("text", &place, &text)
    }
}
