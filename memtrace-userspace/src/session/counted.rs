//! Counts that a command's own interpreter has made, put beside what was traced of its processes.

use std::collections::{HashMap, HashSet};

use super::Session;
use super::target::Target;
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
            let of_process = |space: &&u32| {
                targets.targets.get(space).is_some_and(|target| is_python(target, process.pid))
            };
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
        for target in targets.targets.values_mut() {
            let missing = target.python.is_some()
                && target.ending != Ending::Execed
                && !counted.contains(&target.space);
            if missing {
                // Its lines have no count, rather than one of something else.
                let (space, counts) = (SpaceId(target.space), Vec::new());
                let ran = Ran { space, at, counted: Counted::Lines, counts };
                targets.journal.put(Entry::Ran(ran));
                target.notes.push(MISSING.to_owned());
                target.tell_known(&mut targets.journal);
            }
        }
    }
}

fn is_python(target: &Target, pid: u32) -> bool {
    target.pid == pid && target.python.is_some()
}
