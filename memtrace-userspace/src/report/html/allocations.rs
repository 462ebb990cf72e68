//! What the allocator lens counted, for the page: its sentences, and a row for each line.

use std::cmp::Reverse;

use serde::Serialize;

use super::texts::{TextNumber, Texts};
use crate::profile::{Allocated, Lens, ProcessProfile};
use crate::report::stacks::names;
use crate::report::table::allocations::summary;
use crate::units::{Bytes, Nanos};

/// The part of a process that the lens looked at.
#[derive(Serialize)]
pub(super) struct Allocations {
    /// As the table says it.
    sentences: Vec<TextNumber>,
    /// Whether live and freed figures are known.
    frees_seen: bool,
    /// Most live bytes first; where those aren't known, most bytes.
    rows: Vec<Row>,
}

/// Place, or without one the reason; live bytes, live blocks, age of the oldest (all missing where
/// that isn't known); bytes, allocations, between what their true number lies (95 %; missing where it is exact or
/// unknown); temporary ones.
#[derive(Serialize)]
struct Row(
    Option<usize>,
    Option<TextNumber>,
    Option<Bytes>,
    Option<i64>,
    Option<Nanos>,
    Bytes,
    u64,
    Option<(u64, u64)>,
    u64,
);

pub(super) fn of(texts: &mut Texts, process: &ProcessProfile) -> Option<Allocations> {
    let lens = process.lens.as_ref()?;
    let mut said = Vec::new();
    summary(&mut said, process).ok()?;
    let said = String::from_utf8_lossy(&said);
    let sentences = said.lines().map(|line| texts.name(line.trim())).collect();
    let lines = process.lines.iter().map(|line| (&line.self_allocated, Some(line), None));
    let others = process.unattributed.iter().map(|row| (&row.allocated, None, Some(row)));
    let mut all: Vec<_> = lines.chain(others).filter(|(of, ..)| !of.is_zero()).collect();
    all.sort_by_key(|(of, ..)| {
        Reverse(if lens.frees_seen { of.live_bytes() } else { of.all.bytes })
    });
    let rows = all.into_iter().map(|(of, line, other)| {
        let place = line.map(|line| texts.place(&line.place));
        let reason = other.map(|other| texts.harmless(names::unattributed(other)));
        row(place, reason, of, lens)
    });
    Some(Allocations { sentences, frees_seen: lens.frees_seen, rows: rows.collect() })
}

fn row(place: Option<usize>, reason: Option<TextNumber>, of: &Allocated, lens: &Lens) -> Row {
    let known = lens.frees_seen;
    let [interval, _] = of.interval(lens);
    Row(
        place,
        reason,
        known.then(|| of.live_bytes()),
        known.then(|| of.live()),
        of.oldest().filter(|_| known),
        of.all.bytes,
        of.all.count,
        interval.map(|(low, high)| (low.round() as u64, high.round() as u64)),
        of.temporary.count,
    )
}
