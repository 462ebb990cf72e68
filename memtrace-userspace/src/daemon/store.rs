//! The windows of the last hour, and what came before them as one sum.
//!
//! Entries come in as the session makes them; what grows older than is kept, or does not fit into the
//! memory for it, is added up by process and stack (the *base*), so that a profile of any range that is
//! kept also knows who held what when it began. Processes that ended before that are forgotten.
//!
//! A [`Kept`] is a picture of it that costs nothing to take and can be read by another thread.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::history::entry::{
    Began, Change, Ended, Known, Names, SpaceId, StackId, ThreadId, ThreadName, Window,
};
use crate::history::{Entry, Head, Tables};
use crate::profile::Memory;
use crate::units::Nanos;

mod parts;

pub use parts::Parts;

/// What a process's windows before the oldest that is kept come to.
#[derive(Debug, Clone)]
pub struct Base {
    /// Its beginning.
    pub began: Began,
    /// What is known of it.
    pub known: Option<Known>,
    /// The sum, where there was any window.
    pub sum: Option<Window>,
}

/// Entries of one window, without names.
#[derive(Debug)]
pub struct Slot {
    /// Its end.
    pub at: Nanos,
    /// In order.
    pub entries: Vec<Entry>,
    bytes: usize,
}

/// Bounds of what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How far back.
    pub time: Duration,
    /// In memory, about.
    pub bytes: usize,
}

/// What is kept.
#[derive(Debug)]
pub struct Store {
    bounds: Bounds,
    kept: Kept,
    threads: Threads,
    /// Bytes of all slots and of the base, about.
    bytes: usize,
    base_bytes: usize,
    cut_short: u64,
}

/// A picture of a store.
#[derive(Debug, Clone)]
pub struct Kept {
    /// What it is about.
    pub head: Head,
    /// All names.
    pub tables: Arc<Tables>,
    /// By space.
    pub base: Arc<BTreeMap<SpaceId, Base>>,
    /// The end of what the base sums up.
    pub from: Nanos,
    /// The end of the last window.
    pub to: Nanos,
    /// Oldest first.
    pub slots: VecDeque<Arc<Slot>>,
}

impl Store {
    /// An empty one.
    #[must_use]
    pub fn new(head: Head, bounds: Bounds) -> Self {
        let kept = Kept {
            head,
            tables: Arc::default(),
            base: Arc::default(),
            from: Nanos(0),
            to: Nanos(0),
            slots: VecDeque::new(),
        };
        let threads = Threads::default();
        Self { bounds, kept, threads, bytes: 0, base_bytes: 0, cut_short: 0 }
    }

    /// Other bounds, from the next window on.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Adds what a window brought. Gives the window as it is kept, and the processes that are forgotten
    /// now.
    pub fn add(&mut self, at: Nanos, entries: Vec<Entry>) -> (Arc<Slot>, Vec<SpaceId>) {
        let mut slot = Slot { at, entries: Vec::new(), bytes: 0 };
        for entry in entries {
            match entry {
                Entry::Names(names) => {
                    let names = self.threads.with_shared_threads(names);
                    // Our own names refer to nothing that was not told before.
                    let added = Arc::make_mut(&mut self.kept.tables).add(&names);
                    debug_assert_eq!(added, Ok(()));
                }
                Entry::Window(window) => {
                    // Idle processes say nothing new, and there may be hundreds.
                    if !window.changes.is_empty() || window.events > 0 || window.lost_events > 0 {
                        slot.push(Entry::Window(self.threads.of_window(window)));
                    }
                }
                Entry::Ended(ended) => {
                    self.threads.spaces.remove(&ended.space);
                    // Who still looks at what an ended process had in memory?
                    slot.push(Entry::Ended(Ended { present: Vec::new(), ..ended }));
                }
                Entry::Source(_) | Entry::Allocations(_) | Entry::Live(_) | Entry::Ran(_) => {}
                other => slot.push(other),
            }
        }
        self.kept.to = self.kept.to.max(at);
        self.bytes += slot.bytes;
        let slot = Arc::new(slot);
        self.kept.slots.push_back(Arc::clone(&slot));
        (slot, self.let_go())
    }

    /// Adds what is too old, or too much, to the base.
    fn let_go(&mut self) -> Vec<SpaceId> {
        let mut forgotten = Vec::new();
        let oldest = Nanos(self.kept.to.0.saturating_sub(self.bounds.time.as_nanos() as u64));
        while self.kept.slots.len() > 1 {
            let Some(slot) = self.kept.slots.front() else { break };
            let too_old = slot.at < oldest;
            if !too_old && self.bytes + self.base_bytes <= self.bounds.bytes {
                break;
            }
            self.cut_short += u64::from(!too_old);
            let Some(slot) = self.kept.slots.pop_front() else { break };
            self.bytes -= slot.bytes;
            self.kept.from = slot.at;
            let base = Arc::make_mut(&mut self.kept.base);
            for entry in &slot.entries {
                forgotten.extend(add_to_base(base, entry));
            }
            self.base_bytes = base.values().map(Base::bytes).sum();
        }
        forgotten
    }

    /// A picture of it.
    #[must_use]
    pub fn kept(&self) -> Kept {
        self.kept.clone()
    }

    /// Names of stacks and lines.
    #[must_use]
    pub fn tables(&self) -> &Arc<Tables> {
        &self.kept.tables
    }

    /// Memory for the windows, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes + self.base_bytes
    }

    /// Windows that were let go of before their time, for want of memory.
    #[must_use]
    pub fn cut_short(&self) -> u64 {
        self.cut_short
    }
}

/// Adds an entry up. Gives its process when that has ended with it.
fn add_to_base(base: &mut BTreeMap<SpaceId, Base>, entry: &Entry) -> Option<SpaceId> {
    match entry {
        Entry::Began(began) => {
            base.insert(began.space, Base { began: began.clone(), known: None, sum: None });
        }
        Entry::Known(known) => {
            if let Some(base) = base.get_mut(&known.space) {
                base.known = Some(known.clone());
            }
        }
        Entry::Window(window) => {
            if let Some(base) = base.get_mut(&window.space) {
                match &mut base.sum {
                    Some(sum) => add_up(sum, window),
                    none => *none = Some(window.clone()),
                }
            }
        }
        Entry::Ended(ended) => {
            base.remove(&ended.space);
            return Some(ended.space);
        }
        // The daemon has no allocator lens and counts nothing.
        Entry::Names(_)
        | Entry::Source(_)
        | Entry::Allocations(_)
        | Entry::Live(_)
        | Entry::Ran(_) => {}
    }
    None
}

/// Two windows, one after the other, as one.
pub fn add_up(sum: &mut Window, next: &Window) {
    sum.add_all_but_changes(next);
    sum.changes = merged(sum.changes.iter().chain(&next.changes));
}

/// Changes with each pair of stack and thread once.
fn merged<'a>(changes: impl Iterator<Item = &'a Change>) -> Vec<Change> {
    let mut sums: BTreeMap<(StackId, ThreadId), Change> = BTreeMap::new();
    for change in changes {
        let key = (change.stack, change.thread);
        let sum = sums.entry(key).or_insert_with(|| Change::none(key.0, key.1));
        sum.add(change);
    }
    sums.into_values().collect()
}

impl Base {
    fn bytes(&self) -> usize {
        let changes = self.sum.as_ref().map_or(0, |sum| sum.changes.len());
        600 + changes * size_of::<Change>()
    }
}

impl Slot {
    fn push(&mut self, entry: Entry) {
        let texts = |texts: &[String]| texts.iter().map(|text| 24 + text.len()).sum::<usize>();
        self.bytes += size_of::<Entry>()
            + match &entry {
                Entry::Window(window) => window.changes.len() * size_of::<Change>(),
                Entry::Began(began) => texts(&began.command),
                Entry::Known(known) => texts(&known.command) + texts(&known.notes),
                _ => 0,
            };
        self.entries.push(entry);
    }
}

/// Which process an entry is about; names are about all.
#[must_use]
pub fn space_of(entry: &Entry) -> Option<SpaceId> {
    match entry {
        Entry::Began(began) => Some(began.space),
        Entry::Known(known) => Some(known.space),
        Entry::Window(window) => Some(window.space),
        Entry::Ended(ended) => Some(ended.space),
        Entry::Source(source) => Some(source.space),
        Entry::Allocations(counted) => Some(counted.space),
        Entry::Live(live) => Some(live.space),
        Entry::Ran(ran) => Some(ran.space),
        Entry::Names(_) => None,
    }
}

impl Kept {
    /// The processes whose windows are kept, with their pids.
    pub fn pids(&self) -> impl Iterator<Item = (SpaceId, u32)> + '_ {
        let began = |entry: &Entry| match entry {
            Entry::Began(began) => Some((began.space, began.pid)),
            _ => None,
        };
        let later = self.slots.iter().flat_map(|slot| &slot.entries).filter_map(began);
        self.base.values().map(|base| (base.began.space, base.began.pid)).chain(later)
    }

    /// The entries of a range as a trace of its own would have them: what was resident when the range
    /// began is `before attach`. Times are counted from the beginning of the range.
    #[must_use]
    pub fn entries(
        &self,
        range: &RangeInclusive<Nanos>,
        wanted: &dyn Fn(SpaceId) -> bool,
    ) -> (Head, Vec<Entry>) {
        let start = (*range.start()).max(self.from);
        let mut base = BTreeMap::clone(&self.base);
        let (before, after): (Vec<_>, Vec<_>) =
            self.slots.iter().partition(|slot| slot.at <= start);
        for entry in before.iter().flat_map(|slot| &slot.entries) {
            add_to_base(&mut base, entry);
        }
        let mut entries = Vec::new();
        for base in base.into_values().filter(|base| wanted(base.began.space)) {
            let before: Memory = base.sum.map_or(base.began.before, |sum| sum.rss);
            entries.push(Entry::Began(Began { at: Nanos(0), before, ..base.began }));
            entries.extend(base.known.map(Entry::Known));
        }
        let since = |at: Nanos| Nanos(at.0.saturating_sub(start.0));
        for slot in after.iter().filter(|slot| slot.at <= *range.end()) {
            for entry in &slot.entries {
                if !space_of(entry).is_some_and(wanted) {
                    continue;
                }
                let mut entry = entry.clone();
                match &mut entry {
                    Entry::Began(began) => began.at = since(began.at),
                    Entry::Window(window) => window.at = since(window.at),
                    Entry::Ended(ended) => ended.at = since(ended.at),
                    _ => {}
                }
                entries.push(entry);
            }
        }
        let started_at = self.head.started_at + Duration::from_nanos(start.0);
        (Head { started_at, ..self.head.clone() }, entries)
    }
}

/// Threads by their names alone: a machine has new ones all the time, but few names for them.
#[derive(Debug, Default)]
struct Threads {
    /// Threads that were named by the session.
    met: u32,
    /// By name: the id here.
    by_name: HashMap<u32, ThreadId>,
    /// The session's ids to those here, of the processes that run.
    spaces: HashMap<SpaceId, HashMap<ThreadId, ThreadId>>,
}

impl Threads {
    fn with_shared_threads(&mut self, mut names: Names) -> Names {
        for ThreadName { space, name, .. } in std::mem::take(&mut names.threads) {
            let next = ThreadId(self.by_name.len() as u32);
            let id = *self.by_name.entry(name.0).or_insert_with(|| {
                names.threads.push(ThreadName { space, tid: 0, name });
                next
            });
            self.spaces.entry(space).or_default().insert(ThreadId(self.met), id);
            self.met += 1;
        }
        names
    }

    fn of_window(&self, mut window: Window) -> Window {
        if let Some(known) = self.spaces.get(&window.space) {
            for change in &mut window.changes {
                change.thread = known.get(&change.thread).copied().unwrap_or(change.thread);
            }
        }
        window.changes = merged(window.changes.iter());
        window
    }
}

#[cfg(test)]
mod tests;
