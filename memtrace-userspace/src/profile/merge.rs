//! Several processes as one: a tree of workers.
//!
//! Sums by stack, thread name and reason. The law holds for the sum as it does for each, once what
//! ended took with it is a row of its own, and so is what later ones began with. A page that several
//! processes share is in the RSS of each, and so several times in the sum. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{
    Allocated, Ending, FunctionSpan, Memory, Moment, Overhead, Place, ProcessProfile, Reason,
    StackFigures, Thread, Unattributed, lines_of,
};
use crate::units::{Bytes, Nanos};

/// Processes on their way to be one.
#[derive(Default)]
pub struct Merging {
    stacks: Stacks,
    rows: BTreeMap<(Reason, String), (Memory, u64)>,
    courses: Vec<Course>,
    functions: BTreeSet<FunctionSpan>,
    notes: BTreeSet<String>,
    python: Option<String>,
    events: u64,
    lost_events: u64,
    lost_bytes: Bytes,
    overhead: Overhead,
}

/// What is kept of each process by itself: its RSS over time.
struct Course {
    began: Nanos,
    ended: Option<Nanos>,
    ending: Ending,
    before: Memory,
    after: Memory,
    moments: Vec<PlacedMoment>,
}

/// A moment, with its lines by their places.
struct PlacedMoment {
    at: Nanos,
    rss: Memory,
    peak: Bytes,
    changes: Vec<(Arc<Place>, Bytes)>,
}

impl Merging {
    /// Adds one, of which nothing is needed afterwards.
    pub fn add(&mut self, process: &ProcessProfile) {
        let runs = process.ending == Ending::Running;
        for stack in &process.stacks {
            self.stacks.add(stack, &process.threads[stack.thread].name, runs);
        }
        for row in &process.unattributed {
            let sum = self.rows.entry((row.reason, row.name.clone())).or_default();
            sum.0 += row.net;
            sum.1 += row.events;
        }
        for function in &process.functions {
            if !self.functions.contains(function) {
                self.functions.insert(function.clone());
            }
        }
        self.notes.extend(process.notes.iter().cloned());
        if self.python.is_none() {
            self.python.clone_from(&process.python);
        }
        self.events += process.events;
        self.lost_events += process.lost_events;
        self.lost_bytes += process.lost_bytes;
        self.overhead.probe.0 += process.overhead.probe.0;
        self.overhead.userspace_cpu.0 += process.overhead.userspace_cpu.0;
        self.courses.push(Course::of(process));
    }

    /// The sum, if there was any process. `pid` and `command` are its own.
    #[must_use]
    pub fn finish(self, pid: u32, command: &[String]) -> Option<ProcessProfile> {
        let Self { stacks, mut rows, courses, functions, notes, .. } = self;
        let began = courses.iter().map(|process| process.began).min()?;
        let (mut before, mut came, mut gone) = (Memory::ZERO, Memory::ZERO, Memory::ZERO);
        for process in &courses {
            if !process.runs() {
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
        let places: Vec<_> = lines.iter().map(|line| &line.place).collect();
        let moments = moments(&courses, began, &places);
        let live = courses.iter().filter(|process| process.runs());
        let after: Memory = live.clone().map(|process| process.after).sum();
        let highest = moments.iter().map(|moment| moment.peak).max().unwrap_or(Bytes::ZERO);
        let ended = live.clone().next().is_none();
        Some(ProcessProfile {
            pid,
            parent: None,
            command: command.to_vec(),
            python: self.python,
            ending: if ended { Ending::Exited } else { Ending::Running },
            began,
            ended: if ended { courses.iter().filter_map(|it| it.ended).max() } else { None },
            before,
            after,
            peak: highest.max(after.total()),
            threads: stacks.threads,
            stacks: stacks.figures,
            lines,
            functions: functions.into_iter().collect(),
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
            events: self.events,
            lost_events: self.lost_events,
            lost_bytes: self.lost_bytes,
            overhead: self.overhead,
            lens: None,
            counts: super::Counts::default(),
            notes: std::iter::once(sentence(&courses)).chain(notes).collect(),
        })
    }
}

impl Course {
    fn of(process: &ProcessProfile) -> Self {
        let place = |(line, net): &(usize, Bytes)| {
            Some((Arc::clone(&process.lines.get(*line)?.place), *net))
        };
        let placed = |moment: &Moment| PlacedMoment {
            at: moment.at,
            rss: moment.rss,
            peak: moment.peak,
            changes: moment.changes.iter().filter_map(place).collect(),
        };
        Self {
            began: process.began,
            ended: process.ended,
            ending: process.ending,
            before: process.before,
            after: process.after,
            moments: process.moments.iter().map(placed).collect(),
        }
    }

    fn runs(&self) -> bool {
        self.ending == Ending::Running
    }
}

fn sentence(all: &[Course]) -> String {
    let ended = all.iter().filter(|process| !process.runs()).count();
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
fn moments(all: &[Course], began: Nanos, lines: &[&Arc<Place>]) -> Vec<Moment> {
    let position: HashMap<&Arc<Place>, usize> =
        lines.iter().enumerate().map(|(index, place)| (*place, index)).collect();
    let mut times: BTreeMap<Nanos, Vec<(usize, Option<&PlacedMoment>)>> = BTreeMap::new();
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
                for (place, net) in &moment.changes {
                    if let Some(line) = position.get(place) {
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
