//! From times and bytes to pixels: the rectangle in which a course is drawn.

use crate::report::course::{Course, Point};
use crate::units::Nanos;

/// Room above the highest value, for the label of the peak.
const HEADROOM: f64 = 24.0;

/// A rectangle with a scale of time and one of bytes from zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    start: f64,
    span: f64,
    bytes: f64,
}

impl Frame {
    /// A frame at this place, from one time to another, for values up to `bound`.
    pub(super) fn new(
        (left, top): (f64, f64),
        (width, height): (f64, f64),
        (start, end): (Nanos, Nanos),
        bound: f64,
    ) -> Self {
        let span = (end.0 as f64 - start.0 as f64).max(1.0);
        let room = (height - HEADROOM).max(height / 2.0);
        let bytes = bound.max(1024.0) * height / room;
        Self { left, top, width, height, start: start.0 as f64, span, bytes }
    }

    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// The highest value that is within.
    pub(super) fn most_bytes(&self) -> f64 {
        self.bytes
    }

    /// Where a time is; within the frame in any case.
    pub(super) fn x(&self, at: f64) -> f64 {
        self.left + ((at - self.start) / self.span).clamp(0.0, 1.0) * self.width
    }

    /// Where a number of bytes is; within the frame in any case.
    pub(super) fn y(&self, bytes: f64) -> f64 {
        self.bottom() - (bytes / self.bytes).clamp(0.0, 1.0) * self.height
    }

    /// The time at a share of the frame's width.
    fn time(&self, share: f64) -> f64 {
        self.start + share * self.span
    }
}

/// Tops of layers at evenly spread places of a frame; nothing where the course has not begun or is
/// over.
pub(super) fn sampled(course: &Course<'_>, frame: &Frame, places: usize) -> Vec<Option<Vec<f64>>> {
    let tops: Vec<Vec<f64>> = course.points.iter().map(Point::tops).collect();
    let mut right = 0;
    (0..places)
        .map(|place| {
            let at = frame.time(place as f64 / (places.max(2) - 1) as f64);
            // Rounding must not lose the ends.
            let (start, end) = (course.start().0 as f64, course.end().0 as f64);
            let slack = frame.span * 1e-9;
            let within = (start - slack..=end + slack).contains(&at);
            let at = within.then_some(at.clamp(start, end))?;
            while right < course.points.len() && (course.points[right].at.0 as f64) < at {
                right += 1;
            }
            let before = right.saturating_sub(1);
            let after = tops.get(right)?;
            let (from, to) = (course.points[before].at.0 as f64, course.points[right].at.0 as f64);
            let share = if to > from { (at - from) / (to - from) } else { 1.0 };
            Some(tops[before].iter().zip(after).map(|(a, b)| a + (b - a) * share).collect())
        })
        .collect()
}
