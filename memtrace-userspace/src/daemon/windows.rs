//! Where each closed window is handed on: to whoever pushes profiles elsewhere.
//!
//! A [`WindowSink`] gets, for each group that did something, the window's profile. It is called from the
//! loop that reads the ring buffer and must not wait: it puts the window into a queue of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::board::Board;
use super::group::{GroupId, Labels};
use super::store::{Slot, space_of};
use crate::history::entry::{Began, Known, SpaceId};
use crate::history::{Entry, Head, History, WHOLE};
use crate::profile::{Memory, Profile};
use crate::units::Nanos;

/// A window of one group.
#[derive(Debug, Clone)]
pub struct ClosedWindow {
    /// Which.
    pub group: GroupId,
    /// What it is called.
    pub labels: Labels,
    /// Its beginning, on the wall clock.
    pub from: SystemTime,
    /// Its end.
    pub to: SystemTime,
    /// One process each; `before` is RSS at the window's beginning. Their sum:
    /// [`Merging`](crate::profile::merge::Merging).
    pub profile: Profile,
}

/// Whoever wants windows.
pub trait WindowSink: Send {
    /// A window has closed: that of each group that did something, at least one. Must not wait.
    fn closed(&mut self, groups: &[Arc<ClosedWindow>]);

    /// There will be no more: what is queued is to be sent or kept within this time.
    fn drain(&mut self, within: Duration) {
        let _ = within;
    }
}

/// RSS of processes at the beginning of a window.
pub type RssBefore = BTreeMap<SpaceId, Memory>;

/// The windows of all groups that did something. `before` is what the board said before the window.
#[must_use]
pub fn closed(
    board: &Board,
    slot: &Slot,
    from: Nanos,
    before: &RssBefore,
) -> Vec<Arc<ClosedWindow>> {
    let mut by_group: BTreeMap<GroupId, BTreeMap<SpaceId, Vec<&Entry>>> = BTreeMap::new();
    for entry in &slot.entries {
        let Some(space) = space_of(entry) else { continue };
        let Some(process) = board.process(space) else { continue };
        by_group.entry(process.group).or_default().entry(space).or_default().push(entry);
    }
    let kept = board.store.kept();
    let started_at = kept.head.started_at + Duration::from_nanos(from.0);
    let to = kept.head.started_at + Duration::from_nanos(slot.at.0);
    let since = |at: Nanos| Nanos(at.0.saturating_sub(from.0));
    let mut windows = Vec::new();
    for (group, spaces) in by_group {
        let Some(info) = board.group(group) else { continue };
        let head = Head { started_at, ..kept.head.clone() };
        let mut history = History::with_tables(head, WHOLE, Arc::clone(&kept.tables));
        let mut happened = false;
        for (space, entries) in spaces {
            let Some(process) = board.process(space) else { continue };
            let (pid, parent, command) = (process.pid, process.parent, process.command.clone());
            if !entries.iter().any(|entry| matches!(entry, Entry::Began(_))) {
                let before = before.get(&space).copied().unwrap_or(process.rss);
                let began =
                    Began { space, at: Nanos(0), pid, parent, before, command: command.clone() };
                // A window of our own making can't be inconsistent.
                let _ = history.add(&Entry::Began(began));
            }
            for entry in entries {
                let mut entry = entry.clone();
                match &mut entry {
                    Entry::Began(began) => began.at = since(began.at),
                    Entry::Window(window) => {
                        window.at = since(window.at);
                        happened = true;
                    }
                    Entry::Ended(ended) => ended.at = since(ended.at),
                    _ => {}
                }
                let _ = history.add(&entry);
            }
            let known = Known {
                space,
                python: Some(process.python.clone()),
                command,
                notes: process.notes.clone(),
            };
            let _ = history.add(&Entry::Known(known));
        }
        if happened {
            let (labels, profile) = (info.labels.clone(), history.profile());
            windows.push(Arc::new(ClosedWindow { group, labels, from: started_at, to, profile }));
        }
    }
    windows
}
