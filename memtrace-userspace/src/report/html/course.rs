//! RSS over time in layers: the lines that held most, the other lines, and what no line answers
//! for. At each moment the layers and what was there before come to RSS.
//!
//! Draws nothing.

use std::cmp::Reverse;

use serde::Serialize;

use super::document::Split;
use crate::profile::ProcessProfile;
use crate::units::{Bytes, Nanos};

/// Lines with a layer of their own.
const LAYERS: usize = 10;

/// A process's life, moment by moment. All lists have one element for each moment, oldest first.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Course {
    at_ns: Vec<Nanos>,
    rss: Vec<Split>,
    /// Highest RSS since the moment before.
    peak: Vec<Bytes>,
    /// In the order of the process's lines.
    layers: Vec<Layer>,
    /// The other lines' net growth since the beginning.
    rest: Vec<Bytes>,
}

/// A line's net growth since the beginning.
#[derive(Debug, PartialEq, Serialize)]
struct Layer {
    /// Index into the process's lines.
    line: usize,
    held: Vec<Bytes>,
}

/// The course of a process; `None` when nobody kept it.
pub(super) fn of(process: &ProcessProfile) -> Option<Course> {
    if process.moments.is_empty() {
        return None;
    }
    let chosen = chosen(process);
    let mut now = vec![Bytes::ZERO; process.lines.len()];
    let mut all = Bytes::ZERO;
    let mut layers: Vec<_> =
        chosen.iter().map(|line| Layer { line: *line, held: Vec::new() }).collect();
    let mut rest = Vec::new();
    for moment in &process.moments {
        for (line, net) in &moment.changes {
            now[*line] += *net;
            all += *net;
        }
        let mut others = all;
        for layer in &mut layers {
            layer.held.push(now[layer.line]);
            others -= now[layer.line];
        }
        rest.push(others);
    }
    Some(Course {
        at_ns: process.moments.iter().map(|moment| moment.at).collect(),
        rss: process.moments.iter().map(|moment| Split::of(moment.rss)).collect(),
        peak: process.moments.iter().map(|moment| moment.peak).collect(),
        layers,
        rest,
    })
}

/// The lines that held most at any moment, in the order of the process's lines.
fn chosen(process: &ProcessProfile) -> Vec<usize> {
    let mut now = vec![Bytes::ZERO; process.lines.len()];
    let mut most = now.clone();
    for (line, net) in process.moments.iter().flat_map(|moment| &moment.changes) {
        now[*line] += *net;
        most[*line] = most[*line].max(now[*line]);
    }
    let mut lines: Vec<_> = (0..most.len()).filter(|line| most[*line] > Bytes::ZERO).collect();
    lines.sort_by_key(|line| Reverse(most[*line]));
    lines.truncate(LAYERS);
    lines.sort_unstable();
    lines
}
