//! The profile of a range of time, one process at a time: of a machine with thousands of them, nobody has
//! to have all in memory.
//!
//! Each process gets a history of its own, of its own entries, and takes it with it.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::{Base, Kept, space_of};
use crate::history::entry::SpaceId;
use crate::history::{Entry, History};
use crate::profile::{ProcessProfile, Profile};
use crate::units::Nanos;

/// A range of what is kept, for some of the processes.
pub struct Parts<'a> {
    kept: &'a Kept,
    range: RangeInclusive<Nanos>,
    /// In the order in which they began.
    spaces: Vec<Part<'a>>,
    /// The latest time of any of their entries.
    last: Nanos,
}

/// Where a process's figures are.
struct Part<'a> {
    space: SpaceId,
    base: Option<&'a Base>,
    entries: Vec<&'a Entry>,
}

/// When it happened, or until when it did.
fn time_of(entry: &Entry) -> Nanos {
    match entry {
        Entry::Began(began) => began.at,
        Entry::Window(window) => window.at,
        Entry::Ended(ended) => ended.at,
        _ => Nanos(0),
    }
}

impl Kept {
    /// The processes of a range of time, of those that are wanted. It begins where windows are kept at the
    /// earliest.
    #[must_use]
    pub fn parts(
        &self,
        range: &RangeInclusive<Nanos>,
        wanted: &dyn Fn(SpaceId) -> bool,
    ) -> Parts<'_> {
        let start = (*range.start()).max(self.from);
        let mut parts = Parts {
            kept: self,
            range: start..=(*range.end()).max(start),
            spaces: Vec::new(),
            last: Nanos(0),
        };
        let mut index = HashMap::new();
        for (space, base) in self.base.iter().filter(|(space, _)| wanted(**space)) {
            index.insert(*space, parts.spaces.len());
            parts.spaces.push(Part { space: *space, base: Some(base), entries: Vec::new() });
            let sum = base.sum.as_ref().map_or(Nanos(0), |sum| sum.at);
            parts.last = parts.last.max(base.began.at).max(sum);
        }
        for entry in self.slots.iter().flat_map(|slot| &slot.entries) {
            let Some(space) = space_of(entry).filter(|space| wanted(*space)) else { continue };
            if matches!(entry, Entry::Began(_)) && !index.contains_key(&space) {
                index.insert(space, parts.spaces.len());
                parts.spaces.push(Part { space, base: None, entries: Vec::new() });
            }
            // Nothing is told of a process that did not begin.
            let Some(at) = index.get(&space) else { continue };
            parts.spaces[*at].entries.push(entry);
            parts.last = parts.last.max(time_of(entry));
        }
        parts
    }
}

impl Parts<'_> {
    /// The profile without its processes.
    #[must_use]
    pub fn frame(&self) -> Profile {
        let (from, to) = (*self.range.start(), (*self.range.end()).min(self.last));
        let head = &self.kept.head;
        Profile {
            started_at: head.started_at + Duration::from_nanos(from.0),
            duration: Nanos(to.0.saturating_sub(from.0)),
            kernel: head.kernel.clone(),
            exact: head.exact,
            processes: Vec::new(),
        }
    }

    /// The processes that lived in the range, in the order in which they began. Each is made when it is
    /// asked for.
    pub fn processes(&self) -> impl Iterator<Item = (SpaceId, ProcessProfile)> + '_ {
        self.spaces.iter().filter_map(|part| Some((part.space, self.process(part)?)))
    }

    fn process(&self, part: &Part<'_>) -> Option<ProcessProfile> {
        let tables = Arc::clone(&self.kept.tables);
        let mut history = History::with_tables(self.kept.head.clone(), self.range.clone(), tables);
        // Of what was booked nothing is inconsistent.
        let mut add = |entry: &Entry| drop(history.add(entry));
        if let Some(base) = part.base {
            add(&Entry::Began(base.began.clone()));
            if let Some(known) = &base.known {
                add(&Entry::Known(known.clone()));
            }
            if let Some(sum) = &base.sum {
                add(&Entry::Window(sum.clone()));
            }
        }
        part.entries.iter().for_each(|entry| add(entry));
        history.profile().processes.pop()
    }

    /// All in one.
    #[must_use]
    pub fn profile(&self) -> Profile {
        Profile { processes: self.processes().map(|(_, it)| it).collect(), ..self.frame() }
    }
}
