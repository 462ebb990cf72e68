//! Counts that a command's own interpreter has made, put beside what was traced of its processes.

use std::collections::{HashMap, HashSet};

use super::Session;
use super::targets::Targets;
use crate::counting::CountedProcess;
use crate::history::Entry;
use crate::history::entry::{Counted, PlaceId, Ran, SpaceId};
use crate::profile::Ending;

/// Said of a Python process without counts.
const MISSING: &str = "lines were not counted: the process left no counts (killed by a signal, still \
    running, older than Python 3.12, started with -I, -E or -S, or by exec or spawn from another Python \
    process); its lines have no Occurrences";

impl Session {
    /// Books the counts of processes that have ended, each at the last of its lives that was Python; the
    /// others get a note.
    pub fn book_counts(&mut self, processes: &[CountedProcess]) {
        // What happened by then: whose end is still in the ring buffer is no Python that runs on.
        while self.drain() > 0 {}
        let targets = &mut self.targets;
        let at = targets.journal.now();
        let mut counted = HashSet::new();
        for process in processes {
            let of_process = |space: &&u32| targets.python_process(**space) == Some(process.pid);
            let Some(space) = targets.order.iter().rev().find(of_process).copied() else {
                continue;
            };
            let mut counts: HashMap<PlaceId, u64> = HashMap::new();
            for function in &process.functions {
                let names = (function.file.as_str(), function.name.as_str());
                let extent = (function.first_line, function.last_line);
                for (line, count) in function.executions() {
                    let place = targets.journal.book.line(names, extent, line);
                    let sum = counts.entry(place).or_default();
                    *sum = sum.saturating_add(count);
                }
            }
            let mut counts: Vec<_> = counts.into_iter().collect();
            counts.sort_unstable();
            let space_id = SpaceId(space);
            let ran = Ran { space: space_id, at, counted: Counted::Lines, counts };
            targets.journal.put(Entry::Ran(ran));
            counted.insert(space);
        }
        // Their lines have no count, rather than one of something else.
        let none = |space| {
            let (space, counts) = (SpaceId(space), Vec::new());
            Entry::Ran(Ran { space, at, counted: Counted::Lines, counts })
        };
        for target in targets.targets.values_mut() {
            if target.python.is_some() && !counted.contains(&target.space) {
                targets.journal.put(none(target.space));
                target.notes.push(MISSING.to_owned());
                target.tell_known(&mut targets.journal);
            }
        }
        for (space, past) in &mut targets.past {
            let counts = past.is_python() && past.ending != Ending::Execed;
            if counts && !counted.contains(space) {
                targets.journal.put(none(*space));
                past.note(MISSING, &mut targets.journal);
            }
        }
    }
}

impl Targets {
    /// The process with this space, if it is Python.
    fn python_process(&self, space: u32) -> Option<u32> {
        match self.targets.get(&space) {
            Some(target) => target.python.is_some().then_some(target.pid),
            None => self.past.get(&space).filter(|past| past.is_python()).map(|past| past.pid),
        }
    }
}
