//! Native functions: the C, C++, Rust or Fortran code in which RSS changed.
//!
//! A stack has native frames above (leaf side of) its lines when they were asked for. The lines' own
//! figures are the same with and without them; these are the same figures by another name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Memory, Place, ProcessProfile};
use crate::units::Bytes;

/// A frame of native code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NativeFrame {
    /// The function, demangled; `libfoo.so+0x1230` (where it begins) when it has no name.
    pub function: String,
    /// File name of the program or library; empty for code made at run time.
    pub library: String,
    /// Its source file; empty when that isn't known.
    pub file: String,
    /// From 1; 0 when it isn't known.
    pub line: u32,
}

/// The part of an unattributed row whose native frames are known.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeRow {
    /// Leaf first, never empty.
    pub frames: Vec<Arc<NativeFrame>>,
    /// Signed change.
    pub net: Memory,
    /// Events in it.
    pub events: u64,
}

/// What one native function did.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeFigures {
    /// The function.
    pub function: String,
    /// Its library.
    pub library: String,
    /// Added while it was the leaf.
    pub self_grown: Bytes,
    /// `self_grown` less what of it was given back.
    pub self_net: Bytes,
    /// Of what it grew as the leaf: still in RSS.
    pub self_resident: Bytes,
    /// Added by it and by what it called, each event once.
    pub cumulative_grown: Bytes,
    /// Net, likewise.
    pub cumulative_net: Bytes,
    /// Resident, likewise.
    pub cumulative_resident: Bytes,
    /// Events with it anywhere among the native frames.
    pub events: u64,
    /// Its own lines (as far as they are known) and what of `cumulative_net` was grown there.
    pub places: Vec<(String, u32, Bytes)>,
    /// The Python lines that called it, largest first; `None`: no line.
    pub callers: Vec<(Option<Arc<Place>>, Bytes)>,
}

/// One stack's part.
struct Part<'a> {
    frames: &'a [Arc<NativeFrame>],
    caller: Option<&'a Arc<Place>>,
    grown: Bytes,
    net: Bytes,
    resident: Bytes,
    events: u64,
}

#[derive(Default)]
struct Sum<'a> {
    own: [Bytes; 3],
    all: [Bytes; 3],
    events: u64,
    places: BTreeMap<(&'a str, u32), Bytes>,
    callers: BTreeMap<Option<&'a Arc<Place>>, Bytes>,
}

impl ProcessProfile {
    /// The native functions, largest cumulative net growth first; nothing when native frames were
    /// not asked for.
    #[must_use]
    pub fn native_functions(&self) -> Vec<NativeFigures> {
        let of_lines = self.stacks.iter().map(|stack| Part {
            frames: &stack.native,
            caller: stack.frames.first(),
            grown: stack.grown.total(),
            net: stack.net().total(),
            resident: stack.resident,
            events: stack.events,
        });
        let rows = self.unattributed.iter().flat_map(|row| &row.native).map(|row| Part {
            frames: &row.frames,
            caller: None,
            grown: row.net.total(),
            net: row.net.total(),
            resident: row.net.total(),
            events: row.events,
        });
        let mut sums: BTreeMap<(&str, &str), Sum<'_>> = BTreeMap::new();
        for part in of_lines.chain(rows) {
            add(&mut sums, &part);
        }
        let mut figures: Vec<_> = sums
            .into_iter()
            .map(|((function, library), sum)| sum.figures(function, library))
            .collect();
        figures.sort_by_key(|it| std::cmp::Reverse((it.cumulative_net, it.self_net)));
        figures
    }
}

fn add<'a>(sums: &mut BTreeMap<(&'a str, &'a str), Sum<'a>>, part: &Part<'a>) {
    let figures = [part.grown, part.net, part.resident];
    let mut seen = BTreeSet::new();
    for (depth, frame) in part.frames.iter().enumerate() {
        let name = (frame.function.as_str(), frame.library.as_str());
        let sum = sums.entry(name).or_default();
        if depth == 0 {
            sum.own = std::array::from_fn(|at| sum.own[at] + figures[at]);
        }
        if seen.insert(name) {
            sum.all = std::array::from_fn(|at| sum.all[at] + figures[at]);
            sum.events += part.events;
            *sum.places.entry((frame.file.as_str(), frame.line)).or_default() += part.net;
            *sum.callers.entry(part.caller).or_default() += part.net;
        }
    }
}

impl Sum<'_> {
    fn figures(self, function: &str, library: &str) -> NativeFigures {
        let known = self.places.into_iter().filter(|((file, _), _)| !file.is_empty());
        let mut places: Vec<_> =
            known.map(|((file, line), net)| (file.to_owned(), line, net)).collect();
        places.sort_by_key(|(.., net)| std::cmp::Reverse(*net));
        let mut callers: Vec<_> =
            self.callers.into_iter().map(|(place, net)| (place.cloned(), net)).collect();
        callers.sort_by_key(|(_, net)| std::cmp::Reverse(*net));
        NativeFigures {
            function: function.to_owned(),
            library: library.to_owned(),
            self_grown: self.own[0],
            self_net: self.own[1],
            self_resident: self.own[2],
            cumulative_grown: self.all[0],
            cumulative_net: self.all[1],
            cumulative_resident: self.all[2],
            events: self.events,
            places,
            callers,
        }
    }
}
