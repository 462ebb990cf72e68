//! A line's figures side by side: each measure, of the line alone and with what it called.
//!
//! Lines carry all but one; what was grown by a line and what it called is summed up here.

use std::collections::HashMap;
use std::ops::{Add, Sub};
use std::sync::Arc;

use super::choice::{Measure, Scope};
use crate::profile::{LineFigures, Place, ProcessProfile, StackFigures, Unattributed};
use crate::units::Bytes;

/// One figure for each scope and measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals([Bytes; COUNT]);

const COUNT: usize = Scope::ALL.len() * Measure::ALL.len();

impl Totals {
    /// One of them.
    #[must_use]
    pub fn get(&self, scope: Scope, measure: Measure) -> Bytes {
        self.0[scope as usize * Measure::ALL.len() + measure as usize]
    }

    fn of(line: &LineFigures, cumulative_grown: Bytes) -> Self {
        Self([
            line.self_net.total(),
            line.self_grown,
            line.self_resident,
            line.self_allocated.live_bytes(),
            line.self_allocated.all.bytes,
            line.cumulative_net,
            cumulative_grown,
            line.cumulative_resident,
            line.cumulative_allocated.live_bytes(),
            line.cumulative_allocated.all.bytes,
        ])
    }

    /// What no line answers for has a net change of RSS and nothing else of it.
    pub(super) fn of_row(row: &Unattributed) -> Self {
        let (net, allocated) = (row.net.total(), &row.allocated);
        let one = [net, Bytes::ZERO, Bytes::ZERO, allocated.live_bytes(), allocated.all.bytes];
        Self(std::array::from_fn(|at| one[at % one.len()]))
    }

    /// Whether there is nothing in this scope.
    pub(super) fn is_zero_in(&self, scope: Scope) -> bool {
        Measure::ALL.iter().all(|measure| self.get(scope, *measure) == Bytes::ZERO)
    }

    pub(super) fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl Add for Totals {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] + other.0[at]))
    }
}

impl Sub for Totals {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] - other.0[at]))
    }
}

/// A stack's figure.
pub(super) fn of_stack(stack: &StackFigures, measure: Measure) -> Bytes {
    match measure {
        Measure::Net => stack.net().total(),
        Measure::Grown => stack.grown.total(),
        Measure::Resident => stack.resident,
        Measure::Live => stack.allocated.live_bytes(),
        Measure::Allocated => stack.allocated.all.bytes,
    }
}

/// Which line of a process's profile a place is.
pub(super) struct LineIndex<'a> {
    index: HashMap<&'a Place, usize>,
    /// Looking a place up means hashing its names, and stacks share their places: once for each.
    known: HashMap<*const Place, Option<usize>>,
}

impl<'a> LineIndex<'a> {
    pub(super) fn of(process: &'a ProcessProfile) -> Self {
        let lines = process.lines.iter().enumerate();
        let index = lines.map(|(at, line)| (&*line.place, at)).collect();
        Self { index, known: HashMap::new() }
    }

    pub(super) fn at(&mut self, place: &Arc<Place>) -> Option<usize> {
        let Self { index, known } = self;
        *known.entry(Arc::as_ptr(place)).or_insert_with(|| index.get(&**place).copied())
    }

    /// The lines on a stack, each once.
    pub(super) fn lines_on(&mut self, stack: &StackFigures, lines: &mut Vec<usize>) {
        lines.clear();
        lines.extend(stack.frames.iter().filter_map(|place| self.at(place)));
        lines.sort_unstable();
        lines.dedup();
    }
}

/// The totals of a process's lines, in their order.
pub(super) fn of_lines(process: &ProcessProfile) -> Vec<Totals> {
    let mut index = LineIndex::of(process);
    let mut grown = vec![Bytes::ZERO; process.lines.len()];
    let mut on_stack = Vec::new();
    for stack in &process.stacks {
        index.lines_on(stack, &mut on_stack);
        for at in &on_stack {
            grown[*at] += stack.grown.total();
        }
    }
    process.lines.iter().zip(grown).map(|(line, grown)| Totals::of(line, grown)).collect()
}
