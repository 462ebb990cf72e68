//! The areas of a panel: one for each layer, stacked, with a name in those that have room for it.

use std::fmt::Write;
use std::io;

use super::{Panel, SIZE};
use crate::report::course::{Course, Layer, Point};
use crate::report::figures::mib_unit;
use crate::report::plot::canvas::{Canvas, px};
use crate::report::plot::font::{self, Weight};
use crate::report::plot::frame::{Frame, sampled};
use crate::report::plot::legend::{self, narrow};

impl Panel<'_> {
    pub(super) fn areas(&self, canvas: &mut Canvas<'_>, frame: &Frame) -> io::Result<()> {
        let tops: Vec<Vec<f64>> = self.course.points.iter().map(Point::tops).collect();
        let xs: Vec<f64> =
            self.course.points.iter().map(|point| frame.x(point.at.0 as f64)).collect();
        let (end, highest) = (self.course.last(), &self.course.points[self.course.highest()]);
        for (at, layer) in self.course.layers.iter().enumerate() {
            let y = |point: usize, layer: Option<usize>| {
                frame.y(layer.map_or(0.0, |layer| tops[point][layer]))
            };
            let below = at.checked_sub(1);
            // Where it has no thickness nothing is drawn, but for a point on either side.
            let thick = |point: &usize| y(*point, below) - y(*point, Some(at)) >= 0.005;
            let last = tops.len() - 1;
            let range = match ((0..=last).find(thick), (0..=last).rev().find(thick)) {
                (Some(from), Some(to)) => from.saturating_sub(1)..=(to + 1).min(last),
                _ => last..=last,
            };
            let mut d = String::new();
            let mut add = |command: char, point: usize, layer| {
                let _ = write!(d, "{command}{} {}", px(xs[point]), px(y(point, layer)));
            };
            for point in range.clone() {
                add(if point == *range.start() { 'M' } else { 'L' }, point, Some(at));
            }
            for point in range.rev() {
                add('L', point, below);
            }
            d.push('Z');
            let color = self.colors[at].hex();
            let (end, peak) = (end.nets[at].to_string(), highest.nets[at].to_string());
            canvas.open(
                "path",
                &[
                    ("class", "area"),
                    ("fill", &color),
                    // The same colour, so that no seam shows between neighbours.
                    ("stroke", &color),
                    ("stroke-width", ".5"),
                    ("data-layer", &legend::name(layer)),
                    ("data-end-bytes", &end),
                    ("data-peak-bytes", &peak),
                    ("d", &d),
                ],
            )?;
            canvas.text("title", &[], &hint(layer, self.course, at))?;
            canvas.close("path")?;
        }
        Ok(())
    }

    /// Names in the areas that have room for them.
    pub(super) fn area_labels(&self, canvas: &mut Canvas<'_>, frame: &Frame) -> io::Result<()> {
        const PLACES: usize = 240;
        let samples = sampled(self.course, frame, PLACES);
        let place_width = frame.width / (PLACES - 1) as f64;
        for (at, layer) in self.course.layers.iter().enumerate() {
            let text = short_name(layer);
            let wide = font::width(&text, SIZE, Weight::Regular) + 10.0;
            let places = (wide / place_width).ceil() as usize + 1;
            // The band in which a label of that width would be, for each place it could begin at.
            let band = |samples: &[Option<Vec<f64>>]| {
                let mut band = (frame.top, frame.bottom());
                for tops in samples {
                    let tops = tops.as_ref()?;
                    let below = at.checked_sub(1).map_or(0.0, |below| tops[below]);
                    band = (band.0.max(frame.y(tops[at])), band.1.min(frame.y(below)));
                }
                Some(band)
            };
            let room = |band: (f64, f64)| band.1 - band.0;
            let best = samples
                .windows(places)
                .enumerate()
                .filter_map(|(first, samples)| Some((first, band(samples)?)))
                .max_by(|a, b| room(a.1).total_cmp(&room(b.1)));
            let Some((first, band)) = best.filter(|(_, band)| room(*band) >= 15.0) else {
                continue;
            };
            let x = frame.left + (first as f64 + (places - 1) as f64 / 2.0) * place_width;
            let y = (band.0 + band.1) / 2.0 + 4.0;
            let fill = format!("fill:{}", self.colors[at].text().hex());
            let place = [("class", "middle"), ("style", &*fill), ("x", &px(x)), ("y", &px(y))];
            canvas.text("text", &place, &text)?;
        }
        Ok(())
    }
}

/// What a viewer shows when one points at an area.
fn hint(layer: &Layer<'_>, course: &Course<'_>, at: usize) -> String {
    let (end, peak) = (course.last().nets[at], course.points[course.highest()].nets[at]);
    let function = match layer {
        Layer::Line(line) => format!(" {}", line.place.function),
        _ => String::new(),
    };
    let (end, peak) = (mib_unit(narrow(end)), mib_unit(narrow(peak)));
    format!("{}{function}: {end} at the end, {peak} at the peak", legend::name(layer))
}

/// Without the folders.
fn short_name(layer: &Layer<'_>) -> String {
    let name = legend::name(layer);
    match layer {
        Layer::Line(_) => name.rsplit('/').next().unwrap_or_default().to_owned(),
        _ => name,
    }
}
