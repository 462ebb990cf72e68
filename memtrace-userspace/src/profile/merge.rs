//! Several processes as one: a tree of workers.
//!
//! Sums by stack, thread name and reason. The law holds for the sum as it does for each, once what
//! ended took with it is a row of its own, and so is what later ones began with. A page that several
//! processes share is in the RSS of each, and so several times in the sum. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{
    Allocated, Ending, Memory, Moment, Place, ProcessProfile, Profile, Reason, StackFigures,
    Thread, Unattributed, lines_of,
};
use crate::units::{Bytes, Nanos};

/// The profile with all its processes as one. `pid` and `command` are its own.
#[must_use]
pub fn merged(profile: &Profile, pid: u32, command: &[String]) -> Profile {
    let processes = match profile.processes.len() {
        0 => Vec::new(),
        _ => vec![merge(&profile.processes, pid, command)],
    };
    Profile { processes, ..profile.clone() }
}

fn merge(all: &[ProcessProfile], pid: u32, command: &[String]) -> ProcessProfile {
    let mut stacks = Stacks::default();
    let mut rows: BTreeMap<(Reason, String), (Memory, u64)> = BTreeMap::new();
    let began = all.iter().map(|process| process.began).min().unwrap_or(Nanos(0));
    let (mut before, mut came, mut gone) = (Memory::ZERO, Memory::ZERO, Memory::ZERO);
    for process in all {
        let runs = process.ending == Ending::Running;
        for stack in &process.stacks {
            stacks.add(stack, &process.threads[stack.thread].name, runs);
        }
        for row in &process.unattributed {
            let sum = rows.entry((row.reason, row.name.clone())).or_default();
            sum.0 += row.net;
            sum.1 += row.events;
        }
        if !runs {
            gone += process.after;
        }
        *(if process.began == began { &mut before } else { &mut came }) += process.before;
    }
    for (reason, net) in [(Reason::BeganLater, came), (Reason::Ended, -gone)] {
        if net != Memory::ZERO {
            rows.entry((reason, String::new())).or_default().0 += net;
        }
    }
    let lines = lines_of(&stacks.figures);
    let moments = moments(all, began, &lines.iter().map(|line| &line.place).collect::<Vec<_>>());
    let live = all.iter().filter(|process| process.ending == Ending::Running);
    let after: Memory = live.clone().map(|process| process.after).sum();
    let highest = moments.iter().map(|moment| moment.peak).max().unwrap_or(Bytes::ZERO);
    let mut functions: Vec<_> = all.iter().flat_map(|process| process.functions.clone()).collect();
    functions.sort();
    functions.dedup();
    let mut notes: Vec<String> = all.iter().flat_map(|process| process.notes.clone()).collect();
    notes.sort();
    notes.dedup();
    notes.insert(0, sentence(all));
    let ended = live.clone().next().is_none();
    let mut overhead = super::Overhead::default();
    for process in all {
        overhead.probe.0 += process.overhead.probe.0;
        overhead.userspace_cpu.0 += process.overhead.userspace_cpu.0;
    }
    ProcessProfile {
        pid,
        parent: None,
        command: command.to_vec(),
        python: all.iter().find_map(|process| process.python.clone()),
        ending: if ended { Ending::Exited } else { Ending::Running },
        began,
        ended: if ended { all.iter().filter_map(|process| process.ended).max() } else { None },
        before,
        after,
        peak: highest.max(after.total()),
        threads: stacks.threads,
        stacks: stacks.figures,
        lines,
        functions,
        unattributed: rows
            .into_iter()
            .map(|((reason, name), (net, events))| Unattributed {
                reason,
                name,
                net,
                events,
                native: Vec::new(),
                allocated: Allocated::default(),
            })
            .collect(),
        moments,
        events: all.iter().map(|process| process.events).sum(),
        lost_events: all.iter().map(|process| process.lost_events).sum(),
        lost_bytes: all.iter().map(|process| process.lost_bytes).sum(),
        overhead,
        lens: None,
        counts: super::Counts::default(),
        notes,
    }
}

fn sentence(all: &[ProcessProfile]) -> String {
    let ended = all.iter().filter(|process| process.ending != Ending::Running).count();
    let ended = if ended == 0 { String::new() } else { format!(", {ended} of which have ended") };
    format!(
        "the sum of {} processes{ended}; memory that they share is in the RSS of each",
        all.len()
    )
}

/// Stacks of all processes, those of equal lines and thread names as one.
#[derive(Default)]
struct Stacks {
    figures: Vec<StackFigures>,
    index: HashMap<(Vec<Arc<Place>>, usize), usize>,
    threads: Vec<Thread>,
}

impl Stacks {
    fn add(&mut self, stack: &StackFigures, thread: &str, runs: bool) {
        let thread =
            self.threads.iter().position(|known| known.name == thread).unwrap_or_else(|| {
                self.threads.push(Thread { tid: 0, name: thread.to_owned() });
                self.threads.len() - 1
            });
        let resident = if runs { stack.resident } else { Bytes::ZERO };
        let key = (stack.frames.clone(), thread);
        match self.index.get(&key) {
            None => {
                self.index.insert(key, self.figures.len());
                let (native, allocated) = (Vec::new(), Allocated::default());
                let sum = StackFigures { thread, resident, native, allocated, ..stack.clone() };
                self.figures.push(sum);
            }
            Some(at) => {
                let sum = &mut self.figures[*at];
                sum.grown += stack.grown;
                sum.returned += stack.returned;
                sum.resident += resident;
                sum.copied += stack.copied;
                sum.released += stack.released;
                sum.events += stack.events;
                sum.peak_rss = sum.peak_rss.max(stack.peak_rss);
                sum.estimate += stack.estimate;
            }
        }
    }
}

/// RSS of all that run, whenever one of them has a moment.
fn moments(all: &[ProcessProfile], began: Nanos, lines: &[&Arc<Place>]) -> Vec<Moment> {
    let position: HashMap<&Arc<Place>, usize> =
        lines.iter().enumerate().map(|(index, place)| (*place, index)).collect();
    let mut times: BTreeMap<Nanos, Vec<(usize, Option<&Moment>)>> = BTreeMap::new();
    for (index, process) in all.iter().enumerate() {
        for moment in &process.moments {
            times.entry(moment.at).or_default().push((index, Some(moment)));
        }
        if let Some(ended) = process.ended {
            times.entry(ended).or_default().push((index, None));
        }
    }
    let mut now: Vec<Memory> = all
        .iter()
        .map(|process| if process.began == began { process.before } else { Memory::ZERO })
        .collect();
    let mut sum: Memory = now.iter().copied().sum();
    let mut moments = Vec::with_capacity(times.len());
    for (at, happened) in times {
        let mut changes: BTreeMap<usize, Bytes> = BTreeMap::new();
        let mut peak = Bytes::ZERO;
        for (index, moment) in happened {
            let rss = moment.map_or(Memory::ZERO, |moment| moment.rss);
            // Others may have had their highest at another time: this is the most that is certain.
            if let Some(moment) = moment {
                peak = peak.max(sum.total() - now[index].total() + moment.peak);
                for (line, net) in &moment.changes {
                    let place = all[index].lines.get(*line).map(|line| &line.place);
                    if let Some(line) = place.and_then(|place| position.get(place)) {
                        *changes.entry(*line).or_default() += *net;
                    }
                }
            }
            sum = sum - now[index] + rss;
            now[index] = rss;
        }
        let peak = peak.max(sum.total());
        moments.push(Moment { at, rss: sum, peak, changes: changes.into_iter().collect() });
    }
    moments
}

#[cfg(test)]
mod tests;
