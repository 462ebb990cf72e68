//! What is kept of a target that has ended, until the trace ends: a build has thousands of them.

use std::sync::Arc;

use super::journal::Journal;
use super::target::Target;
use super::targets::Targets;
use crate::history::Entry;
use crate::history::entry::{Known, SpaceId};
use crate::profile::Ending;
use crate::source::TargetFiles;

/// A target that has ended. Its figures are in the history.
pub(super) struct Past {
    pub(super) pid: u32,
    /// Nothing unless it was Python: no line of others will be shown.
    pub(super) files: Option<Arc<TargetFiles>>,
    pub(super) ending: Ending,
    /// What was told of it last.
    pub(super) known: Known,
}

impl Past {
    fn of(target: &Target) -> Self {
        let files = target.files.clone().filter(|_| target.python.is_some());
        Self { pid: target.pid, files, ending: target.ending, known: target.known() }
    }

    pub(super) fn is_python(&self) -> bool {
        self.known.python.is_some()
    }

    /// Something more is to be said of it.
    pub(super) fn note(&mut self, note: &str, journal: &mut Journal) {
        self.known.notes.push(note.to_owned());
        journal.put(Entry::Known(self.known.clone()));
    }
}

impl Targets {
    /// A target has ended, and its books are closed.
    pub(super) fn retire(&mut self, space: u32) {
        if let Some(mut target) = self.targets.remove(&space) {
            target.let_go();
            self.past.insert(space, Past::of(&target));
        }
    }

    /// A target's files, whether it has ended or not.
    pub(super) fn files_of(&self, SpaceId(space): SpaceId) -> Option<Arc<TargetFiles>> {
        match self.targets.get(&space) {
            Some(target) => target.files.clone(),
            None => self.past.get(&space)?.files.clone(),
        }
    }

    /// Each target's files, in the order in which they were met.
    pub(super) fn files(&self) -> Vec<Option<Arc<TargetFiles>>> {
        self.order.iter().map(|space| self.files_of(SpaceId(*space))).collect()
    }

    /// Forgets what has ended.
    pub(super) fn forget_ended(&mut self) {
        self.past = std::collections::HashMap::new();
        self.order.retain(|space| self.targets.contains_key(space));
    }
}
