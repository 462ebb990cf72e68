//! One space's part of a history: sums by stack and thread in the range of time that is asked for,
//! and from them its profile.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use memtrace_common::limits::MAX_FRAMES;

use super::allocations::AllocationSums;
use super::entry::{Allocations, Began, Ended, Known, Live, Ran, StackId, ThreadId, Window};
use super::moments::{Moments, Stretch};
use super::runs::Runs;
use super::tables::{Stack, Tables};
use super::totals::{Total, Totals};
use crate::profile::{
    Allocated, Ending, Estimate, FunctionSpan, Memory, Moment, NativeFrame, NativeRow, Overhead,
    Place, ProcessProfile, Reason, StackFigures, Unattributed, lines_of,
};
use crate::units::{Bytes, Nanos};

/// A space's sums.
#[derive(Debug)]
pub(super) struct SpaceHistory {
    began: Began,
    known: Option<Known>,
    ended: Option<(Nanos, Ending)>,
    totals: Totals,
    /// What was found present at the end, where that is in the range.
    present: HashMap<(StackId, ThreadId), Bytes>,
    moments: Moments,
    allocations: AllocationSums,
    runs: Runs,
    /// RSS at the beginning of the range.
    before: Memory,
    after: Memory,
    peak: Bytes,
    events: u64,
    lost_events: u64,
    lost: Bytes,
    overhead: Overhead,
    /// Highest RSS at the end of a window, and when.
    highest: Option<(Bytes, std::cmp::Reverse<Nanos>)>,
    in_range: bool,
}

impl SpaceHistory {
    pub(super) fn new(began: &Began, range: &RangeInclusive<Nanos>) -> Self {
        Self {
            began: began.clone(),
            known: None,
            ended: None,
            totals: Totals::default(),
            present: HashMap::new(),
            moments: Moments::new(),
            allocations: AllocationSums::default(),
            runs: Runs::default(),
            before: began.before,
            after: began.before,
            peak: began.before.total(),
            events: 0,
            lost_events: 0,
            lost: Bytes::ZERO,
            overhead: Overhead::default(),
            highest: None,
            in_range: began.at <= *range.end(),
        }
    }

    /// Whether it lived in the range.
    pub(super) fn is_in_range(&self) -> bool {
        self.in_range
    }

    /// Highest RSS at the end of a window of the range, and the first time of it.
    pub(super) fn highest(&self) -> Option<(Bytes, Nanos)> {
        self.highest.map(|(rss, at)| (rss, at.0))
    }

    pub(super) fn learn(&mut self, known: &Known) {
        // What is known later stands for it.
        self.began.command = Vec::new();
        self.known = Some(known.clone());
    }

    /// Adds a window, whose names were checked.
    pub(super) fn add(&mut self, window: &Window, range: &RangeInclusive<Nanos>, tables: &Tables) {
        if window.at > *range.end() {
            return;
        }
        self.after = window.rss;
        let counts = window.at > *range.start() || *range.start() == Nanos(0);
        if !counts {
            // Before the range: RSS at its beginning, and who held what by then.
            self.before = window.rss;
            self.peak = window.rss.total();
            for change in &window.changes {
                self.totals.add_before(change);
            }
            return;
        }
        self.peak = self.peak.max(window.peak);
        self.events += window.events;
        self.lost_events += window.lost_events;
        self.lost += window.lost;
        self.overhead.probe.0 += window.probe.0;
        self.overhead.userspace_cpu.0 += window.userspace_cpu.0;
        self.highest = self.highest.max(Some((window.rss.total(), std::cmp::Reverse(window.at))));
        let mut stretch =
            Stretch { at: window.at, rss: window.rss, peak: window.peak, changes: HashMap::new() };
        for change in &window.changes {
            self.totals.add(change);
            if let Ok((Stack::Lines { frames, .. }, _)) = tables.parted(change.stack) {
                let net = change.net().total();
                if net != Bytes::ZERO {
                    *stretch.changes.entry(frames[0]).or_default() += net;
                }
            }
        }
        self.moments.add(stretch);
    }

    pub(super) fn end(&mut self, ended: &Ended, range: &RangeInclusive<Nanos>) {
        if ended.at > *range.end() {
            return;
        }
        self.ended = Some((ended.at, ended.ending));
        if ended.ending != Ending::Running {
            // There may be thousands of such.
            self.totals.close();
            self.moments.shrink();
        }
        if ended.at < *range.start() {
            self.in_range = false;
        }
        for (stack, thread, bytes) in &ended.present {
            *self.present.entry((*stack, *thread)).or_default() += *bytes;
        }
    }

    /// What comes counts from here on.
    pub(super) fn begin_anew(&mut self, at: Nanos) {
        let is_over = |(ended, ending): (Nanos, Ending)| ending != Ending::Running && ended <= at;
        if self.ended.is_some_and(is_over) {
            self.in_range = false;
            self.totals = Totals::default();
        }
        self.totals.begin_anew();
        self.allocations = AllocationSums::default();
        self.runs = Runs::default();
        self.present = HashMap::new();
        self.moments = Moments::new();
        self.before = self.after;
        self.peak = self.after.total();
        (self.events, self.lost_events, self.lost) = (0, 0, Bytes::ZERO);
        self.overhead = Overhead::default();
        self.highest = None;
    }

    /// Adds what the allocator lens counted.
    pub(super) fn allocate(&mut self, counted: &Allocations, range: &RangeInclusive<Nanos>) {
        self.allocations.add(counted, range);
    }

    /// Takes over what the allocator lens found live.
    pub(super) fn live(&mut self, live: &Live, range: &RangeInclusive<Nanos>) {
        self.allocations.live(live, range);
    }

    /// Adds counts, whose names were checked.
    pub(super) fn ran(&mut self, ran: &Ran, range: &RangeInclusive<Nanos>) {
        if ran.at <= *range.end() && (ran.at > *range.start() || *range.start() == Nanos(0)) {
            self.runs.add(ran);
        }
    }

    /// Its profile; times are counted from `from`.
    pub(super) fn profile(&self, tables: &Tables, from: Nanos) -> ProcessProfile {
        let mut summing = Summing::default();
        let owners: BTreeSet<_> = self.totals.owners().chain(self.allocations.owners()).collect();
        for owner in owners {
            let total = self.totals.of(owner);
            let resident = self.present.get(owner).copied().unwrap_or(total.held);
            let beside = (self.totals.estimate(owner), self.allocations.of(owner));
            summing.add(*owner, &total, resident, beside, tables);
        }
        summing.functions.extend(self.runs.functions(tables));
        let lines = lines_of(&summing.stacks);
        let position: HashMap<&Arc<Place>, usize> =
            lines.iter().enumerate().map(|(index, line)| (&line.place, index)).collect();
        let since = |at: Nanos| Nanos(at.0.saturating_sub(from.0));
        let moments = self.moments.stretches().iter().map(|stretch| {
            let line = |place| position.get(&tables.place(place).place).copied();
            let mut changes: Vec<(usize, Bytes)> = stretch
                .changes
                .iter()
                .filter_map(|(place, net)| Some((line(*place)?, *net)))
                .collect();
            changes.sort_unstable();
            Moment { at: since(stretch.at), rss: stretch.rss, peak: stretch.peak, changes }
        });
        let moments = moments.collect();
        ProcessProfile {
            pid: self.began.pid,
            parent: self.began.parent,
            command: self
                .known
                .as_ref()
                .map_or(&self.began.command, |known| &known.command)
                .clone(),
            python: self.known.as_ref().and_then(|known| known.python.clone()),
            ending: self.ended.map_or(Ending::Running, |(_, ending)| ending),
            began: since(self.began.at),
            ended: match self.ended {
                Some((at, Ending::Exited | Ending::Execed)) => Some(since(at)),
                _ => None,
            },
            before: self.before,
            after: self.after,
            peak: self.peak.max(self.before.total()).max(self.after.total()),
            threads: summing.threads(tables),
            lines,
            functions: summing.functions(tables),
            unattributed: summing.rows(),
            moments,
            events: self.events,
            lost_events: self.lost_events,
            lost_bytes: self.lost,
            overhead: self.overhead,
            lens: self.allocations.lens(from),
            notes: self.notes(summing.truncated),
            counts: self.runs.counts(tables),
            stacks: summing.stacks,
        }
    }

    fn notes(&self, truncated: u64) -> Vec<String> {
        let mut notes = self.known.as_ref().map_or_else(Vec::new, |known| known.notes.clone());
        if truncated > 0 {
            notes.push(format!(
                "{truncated} events have stacks of more than {MAX_FRAMES} frames, cut at the root: \
                 lines further down lack them"
            ));
        }
        notes
    }
}

/// A profile being summed up.
#[derive(Default)]
struct Summing {
    stacks: Vec<StackFigures>,
    threads: Vec<ThreadId>,
    functions: BTreeSet<usize>,
    rows: BTreeMap<(Reason, String), Row>,
    truncated: u64,
}

/// What no line answers for, for one reason.
#[derive(Default)]
struct Row {
    net: Memory,
    events: u64,
    allocated: Allocated,
    native: BTreeMap<Vec<Arc<NativeFrame>>, (Memory, u64)>,
}

impl Row {
    fn named(self, reason: Reason, name: String) -> Unattributed {
        let native = self.native.into_iter();
        let native = native.map(|(frames, (net, events))| NativeRow { frames, net, events });
        let (native, allocated) = (native.collect(), self.allocated);
        Unattributed { reason, name, net: self.net, events: self.events, allocated, native }
    }
}

impl Summing {
    fn add(
        &mut self,
        (stack, thread): (StackId, ThreadId),
        total: &Total,
        resident: Bytes,
        (estimate, allocated): (Estimate, Allocated),
        tables: &Tables,
    ) {
        let Ok((stack, native)) = tables.parted(stack) else { return };
        let native: Vec<_> = native.iter().map(|id| Arc::clone(tables.native(*id))).collect();
        match stack {
            Stack::Native { .. } => {}
            Stack::Unattributed { reason, name } => {
                let row = self.rows.entry((*reason, name.clone())).or_default();
                let net = total.grown - total.returned;
                row.net += net;
                row.events += total.events;
                row.allocated += &allocated;
                if !native.is_empty() {
                    let part = row.native.entry(native).or_default();
                    part.0 += net;
                    part.1 += total.events;
                }
            }
            Stack::Lines { frames, truncated } => {
                if *truncated {
                    self.truncated += total.events;
                }
                self.functions.extend(frames.iter().map(|place| tables.place(*place).function));
                let frames = frames.iter().map(|place| Arc::clone(&tables.place(*place).place));
                let thread = self.position(thread);
                self.stacks.push(StackFigures {
                    thread,
                    frames: frames.collect(),
                    native,
                    grown: total.grown,
                    returned: total.returned,
                    resident,
                    copied: total.copied,
                    released: total.released,
                    events: total.events,
                    peak_rss: total.peak_rss,
                    estimate,
                    allocated,
                });
            }
        }
    }

    fn position(&mut self, thread: ThreadId) -> usize {
        self.threads.iter().position(|known| *known == thread).unwrap_or_else(|| {
            self.threads.push(thread);
            self.threads.len() - 1
        })
    }

    fn threads(&self, tables: &Tables) -> Vec<crate::profile::Thread> {
        self.threads.iter().filter_map(|thread| tables.thread(*thread).ok().cloned()).collect()
    }

    fn functions(&self, tables: &Tables) -> Vec<FunctionSpan> {
        let all = tables.functions();
        let mut functions: Vec<_> = self.functions.iter().map(|at| all[*at].clone()).collect();
        functions.sort();
        functions.dedup();
        functions
    }

    fn rows(&mut self) -> Vec<Unattributed> {
        std::mem::take(&mut self.rows)
            .into_iter()
            .filter(|(_, row)| {
                row.net != Memory::ZERO || row.events > 0 || !row.allocated.is_zero()
            })
            .map(|((reason, name), row)| row.named(reason, name))
            .collect()
    }
}
