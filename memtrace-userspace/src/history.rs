//! The course of a trace: entries in, at any moment a [`Profile`] out.
//!
//! Pure, and the only way to a profile, live or from a recording. What it keeps does not grow with
//! time: per stack and thread one sum, and a bounded number of moments. Entries may come from a
//! file that somebody else made: one that refers to what was never named is refused.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

pub use entry::{Entry, Head};

use crate::profile::{Profile, SourceTexts};
use crate::units::Nanos;
use entry::{SpaceId, Window};
use sources::Sources;
use space::SpaceHistory;
pub use tables::Tables;

mod allocations;
pub mod entry;
mod moments;
mod runs;
mod sources;
mod space;
mod tables;

/// Threads of one process that are told apart. A server that makes a thread for each request would
/// otherwise make a history as long as its life; the threads beyond share one name.
pub const MAX_THREADS: usize = 256;

/// What stands for the number of a thread that is not told apart, until it is named.
pub const OTHER_THREADS: u32 = u32::MAX;

/// All of time.
pub const WHOLE: RangeInclusive<Nanos> = Nanos(0)..=Nanos(u64::MAX);

/// An entry that can't follow those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistent {
    /// It refers to a name that no entry before it brought.
    #[error("{what} {number} was never named")]
    Unnamed {
        /// `text`, `function`, `place`, `stack`, `thread`, `process`
        what: &'static str,
        /// Its id.
        number: u32,
    },
    /// A space begins a second time.
    #[error("process {0} begins a second time")]
    BeginsAgain(u32),
    /// A stack of lines without a line.
    #[error("a stack without frames")]
    NoFrames,
}

/// A trace, or a range of its time.
#[derive(Debug)]
pub struct History {
    head: Head,
    range: RangeInclusive<Nanos>,
    tables: Arc<Tables>,
    spaces: Vec<SpaceHistory>,
    index: HashMap<SpaceId, usize>,
    sources: Sources,
    /// The latest time of any entry.
    last: Nanos,
}

impl History {
    /// A history that sums up what happens in `range` (times since the start, ends included).
    #[must_use]
    pub fn new(head: Head, range: RangeInclusive<Nanos>) -> Self {
        Self::with_tables(head, range, Arc::default())
    }

    /// The same, of entries whose names were told already.
    #[must_use]
    pub fn with_tables(head: Head, range: RangeInclusive<Nanos>, tables: Arc<Tables>) -> Self {
        Self {
            head,
            range,
            tables,
            spaces: Vec::new(),
            index: HashMap::new(),
            sources: Sources::default(),
            last: Nanos(0),
        }
    }

    /// What the history is about.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The latest time that any entry told, in the range or not.
    #[must_use]
    pub fn last(&self) -> Nanos {
        self.last
    }

    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// [`Inconsistent`]: the entry is not added.
    pub fn add(&mut self, entry: &Entry) -> Result<(), Inconsistent> {
        match entry {
            Entry::Names(names) => return Arc::make_mut(&mut self.tables).add(names),
            Entry::Began(began) => {
                if self.index.contains_key(&began.space) {
                    return Err(Inconsistent::BeginsAgain(began.space.0));
                }
                self.last = self.last.max(began.at);
                self.index.insert(began.space, self.spaces.len());
                self.spaces.push(SpaceHistory::new(began, &self.range));
            }
            Entry::Known(known) => self.space(known.space)?.learn(known),
            Entry::Window(window) => {
                self.check(window)?;
                self.last = self.last.max(window.at);
                let index = self.index_of(window.space)?;
                self.spaces[index].add(window, &self.range, &self.tables);
            }
            Entry::Ended(ended) => {
                for (stack, thread, _) in &ended.present {
                    self.tables.stack(*stack)?;
                    self.tables.thread(*thread)?;
                }
                self.last = self.last.max(ended.at);
                let range = self.range.clone();
                self.space(ended.space)?.end(ended, &range);
            }
            Entry::Allocations(allocations) => {
                for change in &allocations.changes {
                    self.tables.stack(change.stack)?;
                    self.tables.thread(change.thread)?;
                }
                self.last = self.last.max(allocations.at);
                let range = self.range.clone();
                self.space(allocations.space)?.allocate(allocations, &range);
            }
            Entry::Live(live) => {
                for (stack, thread, ..) in &live.blocks {
                    self.tables.stack(*stack)?;
                    self.tables.thread(*thread)?;
                }
                self.last = self.last.max(live.at);
                let range = self.range.clone();
                self.space(live.space)?.live(live, &range);
            }
            Entry::Source(source) => {
                let index = self.index_of(source.space)?;
                self.sources.add(index, self.tables.text(source.file)?, source);
            }
            Entry::Ran(ran) => {
                for (place, _) in &ran.counts {
                    self.tables.check_place(*place)?;
                }
                self.last = self.last.max(ran.at);
                let range = self.range.clone();
                self.space(ran.space)?.ran(ran, &range);
            }
        }
        Ok(())
    }

    fn check(&self, window: &Window) -> Result<(), Inconsistent> {
        self.index_of(window.space)?;
        for change in &window.changes {
            self.tables.stack(change.stack)?;
            self.tables.thread(change.thread)?;
        }
        Ok(())
    }

    fn index_of(&self, space: SpaceId) -> Result<usize, Inconsistent> {
        self.index
            .get(&space)
            .copied()
            .ok_or(Inconsistent::Unnamed { what: "process", number: space.0 })
    }

    fn space(&mut self, space: SpaceId) -> Result<&mut SpaceHistory, Inconsistent> {
        let index = self.index_of(space)?;
        Ok(&mut self.spaces[index])
    }

    /// Ends the range and begins the next, from `at` on to the end of time: what was summed up is
    /// forgotten, but for what each stack still holds. So one history gives profile after profile,
    /// each of its own stretch of time, without growing.
    pub fn begin_anew(&mut self, at: Nanos) {
        self.range = at..=*WHOLE.end();
        for space in &mut self.spaces {
            space.begin_anew(at);
        }
    }

    /// The profile of the range, as far as entries have come.
    #[must_use]
    pub fn profile(&self) -> Profile {
        let (from, to) = (*self.range.start(), (*self.range.end()).min(self.last));
        let shown = self.spaces.iter().filter(|space| space.is_in_range());
        Profile {
            started_at: self.head.started_at + Duration::from_nanos(from.0),
            duration: Nanos(to.0.saturating_sub(from.0)),
            kernel: self.head.kernel.clone(),
            exact: self.head.exact,
            processes: shown.map(|space| space.profile(&self.tables, from)).collect(),
        }
    }

    /// The spaces of the processes of [`History::profile`], in its order.
    pub fn shown(&self) -> impl Iterator<Item = SpaceId> + '_ {
        let mut spaces: Vec<_> = self.index.iter().collect();
        spaces.sort_unstable_by_key(|(_, index)| **index);
        let shown = |(_, index): &(_, &usize)| self.spaces[**index].is_in_range();
        spaces.into_iter().filter(shown).map(|(space, _)| *space)
    }

    /// The source texts that were recorded, for the processes of [`History::profile`].
    #[must_use]
    pub fn sources(&self) -> SourceTexts {
        let shown = self.spaces.iter().enumerate().filter(|(_, space)| space.is_in_range());
        self.sources.texts(shown.map(|(index, _)| index))
    }

    /// The end of the window, in the range, after which a process's RSS was higher than ever any
    /// process's. The ledger closes a window at each high peak, so this is close to the peak.
    #[must_use]
    pub fn time_of_peak(&self) -> Option<Nanos> {
        self.spaces.iter().filter_map(SpaceHistory::highest).max().map(|(_, at)| at)
    }

    /// Functions that were named from this position on, with their files and the extent of each:
    /// what a recorder wants the source of. The second value is the position to go on from.
    pub fn functions_since(&self, position: usize) -> (&[crate::profile::FunctionSpan], usize) {
        let functions = self.tables.functions();
        (&functions[position.min(functions.len())..], functions.len())
    }
}

#[cfg(test)]
mod tests;
