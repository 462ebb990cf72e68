//! From stacks to lines: a line's own figures are those of the stacks that it is the leaf of, its
//! cumulative ones those of all stacks that it is on, each counted once however deep the recursion.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Allocated, Estimate, LineFigures, Memory, Place, StackFigures};
use crate::units::Bytes;

/// The lines of these stacks, largest net growth of their own (as estimated, where it is) first.
#[must_use]
pub fn lines_of(stacks: &[StackFigures]) -> Vec<LineFigures> {
    let mut lines: HashMap<&Arc<Place>, LineFigures> = HashMap::new();
    for stack in stacks {
        let mut seen = BTreeSet::new();
        for (depth, place) in stack.frames.iter().enumerate() {
            let line = lines.entry(place).or_insert_with(|| untouched(place));
            if depth == 0 {
                line.self_grown += stack.grown.total();
                line.self_returned += stack.returned.total();
                line.self_net += stack.net();
                line.self_resident += stack.resident;
                line.copied += stack.copied;
                line.released += stack.released;
                line.self_events += stack.events;
                line.self_estimate += stack.estimate;
                line.self_allocated += &stack.allocated;
            }
            if seen.insert(place) {
                line.cumulative_net += stack.net().total();
                line.cumulative_resident += stack.resident;
                line.peak_rss = line.peak_rss.max(stack.peak_rss);
                line.events += stack.events;
                line.cumulative_estimate += stack.estimate;
                line.cumulative_allocated += &stack.allocated;
            }
        }
    }
    let mut lines: Vec<LineFigures> = lines.into_values().collect();
    let rank = |line: &LineFigures| {
        let (own, all) = (line.self_estimate.more, line.cumulative_estimate.more);
        (line.self_net.total() + own, line.cumulative_net + all)
    };
    lines.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| a.place.cmp(&b.place)));
    lines
}

pub(super) fn untouched(place: &Arc<Place>) -> LineFigures {
    LineFigures {
        place: Arc::clone(place),
        self_grown: Bytes::ZERO,
        self_returned: Bytes::ZERO,
        self_net: Memory::ZERO,
        self_resident: Bytes::ZERO,
        cumulative_net: Bytes::ZERO,
        cumulative_resident: Bytes::ZERO,
        copied: Bytes::ZERO,
        released: Bytes::ZERO,
        peak_rss: Bytes::ZERO,
        events: 0,
        self_events: 0,
        self_estimate: Estimate::default(),
        cumulative_estimate: Estimate::default(),
        self_allocated: Allocated::default(),
        cumulative_allocated: Allocated::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: u32) -> Arc<Place> {
        Arc::new(Place { file: "a.py".into(), line, function: "f".into(), function_line: 1 })
    }

    fn stack(frames: &[u32], grown: i64, returned: i64, peak: i64) -> StackFigures {
        let anon = |bytes| Memory { anon: Bytes(bytes), ..Memory::ZERO };
        StackFigures {
            thread: 0,
            frames: frames.iter().map(|line| place(*line)).collect(),
            native: Vec::new(),
            grown: anon(grown),
            returned: anon(returned),
            resident: Bytes(grown - returned),
            copied: Bytes::ZERO,
            released: Bytes::ZERO,
            events: 1,
            peak_rss: Bytes(peak),
            estimate: Estimate::default(),
            allocated: Allocated::default(),
        }
    }

    #[test]
    fn a_line_that_recurs_counts_once_and_the_leaf_alone_grows_itself() {
        let lines = lines_of(&[
            stack(&[3, 2, 2, 1], 100, 40, 500),
            stack(&[2, 2, 1], 10, 0, 700),
            stack(&[4, 1], 1000, 0, 600),
        ]);
        let figures: Vec<_> = lines
            .iter()
            .map(|line| {
                let Bytes(own) = line.self_net.total();
                (line.place.line, own, line.cumulative_net.0, line.peak_rss.0, line.events)
            })
            .collect();
        assert_eq!(
            figures,
            [
                (4, 1000, 1000, 600, 1),
                (3, 60, 60, 500, 1),
                (2, 10, 70, 700, 2),
                (1, 0, 1070, 700, 3)
            ]
        );
    }
}
