//! The course of one process's RSS: points in time, and the layers that add up to RSS at each.
//!
//! The lowest layer is what no line answers for: what was there before attach, and what is
//! unattributed since. Above it lie the lines, and their top is RSS, by the law. Numbers only: it
//! knows neither names nor colours nor pixels.

use std::cmp::Reverse;

use crate::profile::{LineFigures, Memory, ProcessProfile};
use crate::units::{Bytes, Nanos};

/// Points of time and layers of one process.
#[derive(Debug)]
pub(super) struct Course<'a> {
    pub(super) process: &'a ProcessProfile,
    /// From the lowest to the highest.
    pub(super) layers: Vec<Layer<'a>>,
    /// At least two, in the order of time. The last one is the profile's end.
    pub(super) points: Vec<Point>,
}

/// What a layer stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Layer<'a> {
    /// Before attach and unattributed.
    Base,
    /// So many lines that have no layer of their own.
    Others(usize),
    /// A line.
    Line(&'a LineFigures),
}

/// A process at one time. Wide numbers: a profile may claim anything.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub(super) at: Nanos,
    pub(super) rss: i128,
    /// The highest RSS since the point before.
    pub(super) peak: i128,
    /// Net growth of each layer; the base has what is left of RSS.
    pub(super) nets: Vec<i128>,
}

impl<'a> Course<'a> {
    /// The course of `process` in a trace that ended at `trace_end`, with at most `most` lines: those
    /// that held most at any time, the one that holds most in the end at the bottom.
    pub(super) fn of(process: &'a ProcessProfile, trace_end: Nanos, most: usize) -> Self {
        let highest = highest_nets(process);
        let end = |line: usize| total(process.lines[line].self_net);
        let place = |line: usize| &process.lines[line].place;
        let mut lines: Vec<usize> = (0..highest.len()).filter(|line| highest[*line] > 0).collect();
        lines.sort_by(|a, b| highest[*b].cmp(&highest[*a]).then_with(|| place(*a).cmp(place(*b))));
        lines.truncate(most);
        lines.sort_by_key(|line| (Reverse((end(*line), highest[*line])), place(*line)));
        let others = (0..highest.len())
            .filter(|line| !lines.contains(line) && (highest[*line] > 0 || end(*line) != 0))
            .count();

        let mut layers = vec![Layer::Base];
        if others > 0 {
            layers.push(Layer::Others(others));
        }
        let first_line = layers.len();
        layers.extend(lines.iter().map(|line| Layer::Line(&process.lines[*line])));
        let mut layer_of = vec![first_line - 1; highest.len()];
        for (above, line) in lines.iter().enumerate() {
            layer_of[*line] = first_line + above;
        }
        let points = points(process, trace_end, &layer_of, layers.len());
        Self { process, layers, points }
    }

    /// When it begins.
    pub(super) fn start(&self) -> Nanos {
        self.points[0].at
    }

    /// When it ends.
    pub(super) fn end(&self) -> Nanos {
        self.last().at
    }

    /// The profile's end.
    pub(super) fn last(&self) -> &Point {
        &self.points[self.points.len() - 1]
    }

    /// Index of the first point whose window of time had the highest RSS.
    pub(super) fn highest(&self) -> usize {
        let highest = self.points.iter().map(|point| point.peak).max();
        self.points.iter().position(|point| Some(point.peak) == highest).unwrap_or(0)
    }

    /// Between which times the peak was, as closely as it is known; `None` where no window had it.
    pub(super) fn peak_time(&self) -> Option<(Nanos, Nanos)> {
        let highest = self.highest();
        let (before, at) = (&self.points[highest.saturating_sub(1)], &self.points[highest]);
        match self.peak() {
            peak if at.peak < peak => None,
            peak if at.rss == peak => Some((at.at, at.at)),
            peak if before.rss == peak => Some((before.at, before.at)),
            _ => Some((before.at, at.at)),
        }
    }

    /// The process's peak: the largest number that a picture of it has to hold.
    pub(super) fn peak(&self) -> i128 {
        self.points[self.highest()].peak.max(i128::from(self.process.peak.0))
    }

    /// How far below zero the base goes at most: lines grew so much more than is resident, since the
    /// kernel took pages away (swap, reclaim). Zero as a rule.
    pub(super) fn below_zero(&self) -> i128 {
        self.points.iter().map(|point| -point.base()).max().unwrap_or(0).max(0)
    }

    /// The same course in about as many points as there are columns: of the points in a column the
    /// last one stays, with the highest peak of them all.
    pub(super) fn thinned(self, columns: usize) -> Self {
        if self.points.len() <= columns {
            return self;
        }
        let (start, span) = (self.start().0, (self.end().0 - self.start().0).max(1));
        let column = |at: Nanos| u128::from(at.0 - start) * columns as u128 / u128::from(span);
        // Where the process begins and where it is highest stay as they are.
        let highest = self.highest();
        let mut kept = Vec::new();
        for (number, mut point) in self.points.into_iter().enumerate() {
            let last = kept.pop_if(|last: &mut Point| {
                let stays = last.at.0 == start || number == highest + 1;
                !stays && column(last.at) == column(point.at)
            });
            if let Some(last) = last {
                point.peak = point.peak.max(last.peak);
            }
            kept.push(point);
        }
        Self { points: kept, ..self }
    }
}

impl Point {
    /// RSS without what the lines drawn hold. What lines gave back beyond what they grew is here,
    /// too, since a layer can't be thinner than nothing.
    fn base(&self) -> i128 {
        self.rss - self.nets[1..].iter().map(|net| (*net).max(0)).sum::<i128>()
    }

    /// Where each layer ends, from the lowest up, in bytes; none is below zero, and the last one is
    /// RSS.
    pub(super) fn tops(&self) -> Vec<f64> {
        let mut top = self.base();
        let mut tops = vec![top.max(0) as f64];
        for net in &self.nets[1..] {
            top += (*net).max(0);
            tops.push(top.max(0) as f64);
        }
        tops
    }
}

/// All kinds together. Not [`Memory::total`], which takes for granted that the sum is one of bytes.
pub(super) fn total(memory: Memory) -> i128 {
    let Memory { anon, file, shmem } = memory;
    [anon, file, shmem].map(|bytes| i128::from(bytes.0)).iter().sum()
}

/// The most that each line held at any time.
fn highest_nets(process: &ProcessProfile) -> Vec<i128> {
    let mut highest: Vec<i128> = process.lines.iter().map(|line| total(line.self_net)).collect();
    let mut nets = vec![0; highest.len()];
    for (line, Bytes(change)) in process.moments.iter().flat_map(|moment| &moment.changes) {
        if let Some(net) = nets.get_mut(*line) {
            *net += i128::from(*change);
            highest[*line] = highest[*line].max(*net);
        }
    }
    highest
}

/// The beginning, the moments, and the end as the profile's own figures have it.
fn points(
    process: &ProcessProfile,
    trace_end: Nanos,
    layer_of: &[usize],
    layers: usize,
) -> Vec<Point> {
    // With the base's share: RSS less all lines, those that fit no layer included.
    let point = |at, rss: i128, peak: i128, lines: &[i128]| {
        let mut nets = vec![0; layers];
        for (layer, net) in layer_of.iter().zip(lines) {
            nets[*layer] += net;
        }
        nets[0] += rss - lines.iter().sum::<i128>();
        Point { at, rss, peak: peak.max(rss), nets }
    };
    let mut lines = vec![0; process.lines.len()];
    let before = total(process.before);
    let mut at = process.began;
    let mut points = vec![point(at, before, before, &lines)];
    for moment in &process.moments {
        at = at.max(moment.at);
        for (line, Bytes(change)) in &moment.changes {
            if let Some(net) = lines.get_mut(*line) {
                *net += i128::from(*change);
            }
        }
        points.push(point(at, total(moment.rss), i128::from(moment.peak.0), &lines));
    }
    let after = total(process.after);
    let lines: Vec<i128> = process.lines.iter().map(|line| total(line.self_net)).collect();
    let end = point(at.max(process.ended.unwrap_or(trace_end)), after, after, &lines);
    let last = &points[points.len() - 1];
    if points.len() == 1 || (last.at, last.rss, &last.nets) != (end.at, end.rss, &end.nets) {
        points.push(end);
    }
    points
}
