//! Native functions below the rows that called them: the same figures once more, by where in native
//! code memory changed and what had been called for that.
//!
//! Summed up once a window, since rows are made at each key. Without `--native` there is nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::choice::{Measure, Scope};
use super::recent::{Life, Subject};
use super::totals::{LineIndex, of_stack};
use crate::profile::{NativeCall, NativeFrame, ProcessProfile, Profile};
use crate::units::Bytes;

/// A native function, and as what it was called.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NativeName {
    /// Where memory changed.
    pub function: String,
    /// Its library; empty for code made at run time.
    pub library: String,
    /// The same in short: `libc`.
    pub short_library: String,
    /// What Python had called.
    pub called_as: String,
}

/// What one native function did below one row.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeSum {
    /// Which.
    pub name: Arc<NativeName>,
    /// Events.
    pub events: u64,
    /// Its source lines, as far as they are known, the one with the most first.
    pub places: Vec<(String, u32)>,
    figures: Figures,
}

type Figures = [Bytes; Measure::ALL.len()];

impl NativeSum {
    /// One of its figures.
    #[must_use]
    pub fn get(&self, measure: Measure) -> Bytes {
        self.figures[measure as usize]
    }
}

/// Those of all rows.
#[derive(Debug, Clone, Default)]
pub struct Natives(HashMap<(Scope, Life, Subject), Vec<NativeSum>>);

#[derive(Default)]
struct Sum<'a> {
    figures: Figures,
    events: u64,
    places: BTreeMap<(&'a str, u32), u64>,
}

type Sums<'a, Of> = HashMap<(Of, NativeCall<'a>), Sum<'a>>;

impl Natives {
    pub(super) fn of(profile: &Profile) -> Self {
        let mut natives = Self::default();
        for process in &profile.processes {
            natives.add_lines(process);
            natives.add_unattributed(process);
        }
        natives
    }

    /// Whether any are known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those below a row.
    #[must_use]
    pub fn below(&self, scope: Scope, life: Life, subject: &Subject) -> &[NativeSum] {
        if self.is_empty() {
            return &[];
        }
        self.0.get(&(scope, life, subject.clone())).map_or(&[], Vec::as_slice)
    }

    fn add_lines(&mut self, process: &ProcessProfile) {
        let mut sums: Sums<'_, (Scope, usize)> = HashMap::new();
        let mut index = LineIndex::of(process);
        let mut on_stack = Vec::new();
        for stack in process.stacks.iter().filter(|stack| !stack.native.is_empty()) {
            let call = NativeCall::of(&stack.native);
            let figures = Measure::ALL.map(|measure| of_stack(stack, measure));
            index.lines_on(stack, &mut on_stack);
            let all = on_stack.iter().map(|at| (Scope::Cumulative, *at));
            let own = stack.frames.first().and_then(|leaf| index.at(leaf));
            for of in all.chain(own.map(|at| (Scope::Own, at))) {
                sums.entry((of, call)).or_default().add(&figures, stack.events, &stack.native);
            }
        }
        let life = Life::of(process);
        self.take(sums, |(scope, at)| {
            (scope, life, Subject::Line(Arc::clone(&process.lines[at].place)))
        });
    }

    /// What no line answers for is the same in both scopes.
    fn add_unattributed(&mut self, process: &ProcessProfile) {
        let mut sums: Sums<'_, (Scope, usize)> = HashMap::new();
        for (at, row) in process.unattributed.iter().enumerate() {
            for part in &row.native {
                let call = NativeCall::of(&part.frames);
                let mut figures = Figures::default();
                figures[Measure::Net as usize] = part.net.total();
                for scope in Scope::ALL {
                    let sum = sums.entry(((scope, at), call)).or_default();
                    sum.add(&figures, part.events, &part.frames);
                }
            }
        }
        let life = Life::of(process);
        self.take(sums, |(scope, at)| {
            let row = &process.unattributed[at];
            let (reason, name) = (row.reason, row.name.clone());
            (scope, life, Subject::Unattributed { reason, name })
        });
    }

    fn take<Of>(&mut self, sums: Sums<'_, Of>, key: impl Fn(Of) -> (Scope, Life, Subject)) {
        for ((of, call), sum) in sums {
            self.0.entry(key(of)).or_default().push(sum.named(call));
        }
    }
}

impl<'a> Sum<'a> {
    fn add(&mut self, figures: &Figures, events: u64, frames: &'a [Arc<NativeFrame>]) {
        self.figures = std::array::from_fn(|at| self.figures[at] + figures[at]);
        self.events += events;
        if let Some(leaf) = frames.first().filter(|leaf| !leaf.file.is_empty()) {
            *self.places.entry((leaf.file.as_str(), leaf.line)).or_default() += events;
        }
    }

    fn named(self, call: NativeCall<'_>) -> NativeSum {
        let mut places: Vec<_> = self.places.into_iter().collect();
        places.sort_by_key(|(_, events)| std::cmp::Reverse(*events));
        NativeSum {
            name: Arc::new(NativeName {
                function: call.function.to_owned(),
                library: call.library.to_owned(),
                short_library: call.short_library().to_owned(),
                called_as: call.called_as.to_owned(),
            }),
            events: self.events,
            places: places.into_iter().map(|((file, line), _)| (file.to_owned(), line)).collect(),
            figures: self.figures,
        }
    }
}
