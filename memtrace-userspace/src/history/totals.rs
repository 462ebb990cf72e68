//! What each stack did in each thread of one space, summed up over a range of time.
//!
//! While the space lives, by hash; of one that has ended a sorted list is kept, in which no room is left:
//! a trace of a build has thousands of those.

use std::collections::HashMap;

use super::entry::{Change, StackId, ThreadId};
use crate::profile::{Estimate, Memory, Unseen};
use crate::units::Bytes;

/// Whose sums these are.
pub(super) type Owner = (StackId, ThreadId);

/// What one stack did in one thread.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Total {
    pub(super) grown: Memory,
    pub(super) returned: Memory,
    pub(super) copied: Bytes,
    pub(super) released: Bytes,
    pub(super) events: u64,
    pub(super) peak_rss: Bytes,
    /// Net growth from the beginning to the end of the range.
    pub(super) held: Bytes,
}

/// What it stands for beyond itself, where not every stack was walked.
#[derive(Debug, Clone, Copy, Default)]
struct Beyond {
    unseen: Unseen,
    /// Variance of what it held at the beginning of the range.
    variance_before: u64,
}

/// The sums of a space.
#[derive(Debug, Default)]
pub(super) struct Totals {
    open: HashMap<Owner, Total>,
    /// Those of a space that has ended, in the order of their owners.
    closed: Vec<(Owner, Total)>,
    /// Few stacks have it.
    beyond: HashMap<Owner, Beyond>,
}

impl Totals {
    /// Adds what happened in the range.
    pub(super) fn add(&mut self, change: &Change) {
        let owner = (change.stack, change.thread);
        self.open.entry(owner).or_default().add(change);
        if change.unseen != Unseen::default() {
            self.beyond.entry(owner).or_default().unseen += change.unseen;
        }
    }

    /// Adds what happened before it.
    pub(super) fn add_before(&mut self, change: &Change) {
        let owner = (change.stack, change.thread);
        self.open.entry(owner).or_default().held += change.net().total();
        if change.unseen != Unseen::default() {
            let beyond = self.beyond.entry(owner).or_default();
            beyond.variance_before = change.unseen.held_variance(beyond.variance_before);
        }
    }

    /// The space has ended: nothing will be added.
    pub(super) fn close(&mut self) {
        self.closed.extend(std::mem::take(&mut self.open));
        self.closed.sort_unstable_by_key(|(owner, _)| *owner);
        self.closed.shrink_to_fit();
    }

    /// The range begins anew: of all sums only what is held stays.
    pub(super) fn begin_anew(&mut self) {
        let begin_anew = |total: &mut Total| {
            *total = Total { held: total.held, ..Total::default() };
            total.held != Bytes::ZERO
        };
        self.open.retain(|_, total| begin_anew(total));
        self.closed.retain_mut(|(_, total)| begin_anew(total));
        self.beyond.retain(|_, beyond| {
            let variance_before = beyond.unseen.held_variance(beyond.variance_before);
            *beyond = Beyond { unseen: Unseen::default(), variance_before };
            variance_before != 0
        });
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = &Owner> {
        self.open.keys().chain(self.closed.iter().map(|(owner, _)| owner))
    }

    pub(super) fn of(&self, owner: &Owner) -> Total {
        let closed = || {
            let at = self.closed.binary_search_by_key(owner, |(owner, _)| *owner).ok()?;
            Some(self.closed[at].1)
        };
        self.open.get(owner).copied().or_else(closed).unwrap_or_default()
    }

    /// What an owner's net growth stands for beyond itself.
    pub(super) fn estimate(&self, owner: &Owner) -> Estimate {
        let beyond = self.beyond.get(owner);
        beyond.map_or_else(Estimate::default, |it| it.unseen.net(it.variance_before))
    }
}

impl Total {
    fn add(&mut self, change: &Change) {
        self.grown += change.grown;
        self.returned += change.returned;
        self.copied += change.copied;
        self.released += change.released;
        self.events += change.events;
        self.peak_rss = self.peak_rss.max(change.peak_rss);
        self.held += change.net().total();
    }
}
