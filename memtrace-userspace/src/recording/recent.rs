//! The last windows of a trace, kept in memory until they are wanted.
//!
//! What is older becomes one window for each process, so that all sums stay true: who held memory
//! when a process died was often grown long before. What is kept does not grow with time, only with
//! the stacks and processes that there were. Writes nothing.

use std::collections::{BTreeMap, VecDeque, btree_map};

use crate::history::Entry;
use crate::history::entry::{
    AllocationChange, Allocations, Change, Counted, Live, Ran, SpaceId, StackId, ThreadId, Window,
};

/// Entries, of which the last windows as they were.
#[derive(Debug)]
pub struct Recent {
    keep: usize,
    /// Everything but windows and ends.
    lasting: Vec<Entry>,
    older: BTreeMap<SpaceId, Sum>,
    windows: VecDeque<Window>,
    /// What the allocator lens counted, all of it in one for each process.
    allocations: BTreeMap<SpaceId, Allocations>,
    /// The last look at the live blocks of each.
    live: BTreeMap<SpaceId, Live>,
    /// How often places of each ran, all of it in one for each kind of count.
    ran: BTreeMap<(SpaceId, bool), Ran>,
    /// Ends of processes whose windows may still be among the last ones.
    ends: Vec<Entry>,
}

/// Windows of one process taken together.
#[derive(Debug)]
struct Sum {
    /// Without its changes.
    window: Window,
    changes: BTreeMap<(StackId, ThreadId), Change>,
}

impl Recent {
    /// Keeps so many windows as they were, counted over all processes.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            keep,
            lasting: Vec::new(),
            older: BTreeMap::new(),
            windows: VecDeque::new(),
            allocations: BTreeMap::new(),
            live: BTreeMap::new(),
            ran: BTreeMap::new(),
            ends: Vec::new(),
        }
    }

    /// Takes an entry in.
    pub fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Window(window) => self.windows.push_back(window),
            Entry::Ended(_) => self.ends.push(entry),
            Entry::Ran(ran) => match self.ran.entry((ran.space, ran.counted == Counted::Lines)) {
                btree_map::Entry::Occupied(mut sum) => sum.get_mut().append(&ran),
                btree_map::Entry::Vacant(place) => drop(place.insert(ran)),
            },
            Entry::Live(live) => drop(self.live.insert(live.space, live)),
            Entry::Allocations(counted) => match self.allocations.get_mut(&counted.space) {
                Some(sum) => append(sum, counted),
                None => drop(self.allocations.insert(counted.space, counted)),
            },
            Entry::Names(_) | Entry::Began(_) | Entry::Known(_) | Entry::Source(_) => {
                self.lasting.push(entry);
            }
        }
        while self.windows.len() > self.keep {
            let Some(window) = self.windows.pop_front() else { break };
            match self.older.get_mut(&window.space) {
                Some(sum) => sum.append(window),
                None => drop(self.older.insert(window.space, Sum::of(window))),
            }
        }
    }

    /// All of it, in an order that a recording can have.
    pub fn into_entries(self) -> impl Iterator<Item = Entry> {
        // They come after all windows, so none of them is earlier.
        let (mut allocations, mut live) = (self.allocations, self.live);
        for window in self.older.values().map(|sum| &sum.window).chain(&self.windows) {
            if let Some(counted) = allocations.get_mut(&window.space) {
                counted.at = counted.at.max(window.at);
            }
        }
        for window in self.older.values().map(|sum| &sum.window).chain(&self.windows) {
            if let Some(live) = live.get_mut(&window.space) {
                live.at = live.at.max(window.at);
            }
        }
        for (space, counted) in &allocations {
            if let Some(live) = live.get_mut(space) {
                live.at = live.at.max(counted.at);
            }
        }
        let older = self.older.into_values().map(|sum| Entry::Window(sum.into_window()));
        let windows = self.windows.into_iter().map(Entry::Window);
        let allocations = allocations.into_values().map(Entry::Allocations);
        let live = live.into_values().map(Entry::Live);
        let lasting = self.lasting.into_iter().chain(older).chain(windows);
        let ran = self.ran.into_values().map(Entry::Ran);
        lasting.chain(allocations).chain(live).chain(ran).chain(self.ends)
    }
}

/// Adds what came later.
fn append(sum: &mut Allocations, next: Allocations) {
    sum.at = next.at;
    sum.time.0 += next.time.0;
    sum.recorded.0 += next.recorded.0;
    sum.slowed.0 += next.slowed.0;
    sum.frees_seen.0 += next.frees_seen.0;
    sum.lost += next.lost;
    sum.lost_bytes += next.lost_bytes;
    sum.unknown_frees += next.unknown_frees;
    sum.hits += next.hits;
    sum.cost.0 += next.cost.0;
    for (name, time) in next.measured {
        match sum.measured.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => sum.0 += time.0,
            None => sum.measured.push((name, time)),
        }
    }
    let of = |change: AllocationChange| ((change.stack, change.thread), change);
    let mut changes: BTreeMap<_, _> = sum.changes.drain(..).map(of).collect();
    for change in next.changes {
        changes
            .entry((change.stack, change.thread))
            .and_modify(|sum| {
                sum.all += change.all;
                sum.freed += change.freed;
                sum.temporary += change.temporary;
            })
            .or_insert(change);
    }
    sum.changes = changes.into_values().collect();
}

impl Sum {
    fn of(mut window: Window) -> Self {
        let changes = std::mem::take(&mut window.changes);
        let changes = changes.into_iter().map(|change| ((change.stack, change.thread), change));
        Self { changes: changes.collect(), window }
    }

    fn append(&mut self, next: Window) {
        self.window.add_all_but_changes(&next);
        for change in next.changes {
            let key = (change.stack, change.thread);
            let sum = self.changes.entry(key).or_insert_with(|| Change::none(key.0, key.1));
            sum.add(&change);
        }
    }

    fn into_window(self) -> Window {
        Window { changes: self.changes.into_values().collect(), ..self.window }
    }
}
