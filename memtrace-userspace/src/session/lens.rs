//! The allocator lens of a trace: probes on the allocators of every target, and what they count.
//!
//! The kernel side keeps sums by stack and thread; here they are read when a window closes, and what
//! came since goes into the journal.

mod calibrate;
mod live;
mod slots;
mod targets;
mod turns;
mod watch;
mod yards;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use memtrace_common::lens::{Lens, Owner, Sums, WEIGHT_ONE};
use tracing::{debug, warn};

use self::calibrate::calibrate;
use self::live::{Dead, MOST_DEAD};
use self::slots::Slots;
use self::watch::Watch;
use super::journal::{Journal, thread_id};
use super::pace::{Costs, Looking, Pace};
use super::target::Target;
use crate::allocator;
use crate::history::Entry;
use crate::history::entry::{AllocationChange, Allocations, SpaceId, StackId, ThreadId};
use crate::kernel::{KernelError, Probes, ProcessProbe};
use crate::profile::Blocks;
use crate::python::maps::Mappings;
use crate::python::{Images, Interpreter, TargetMemory};
use crate::units::{Bytes, Nanos};

/// What the user wants of the lens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LensPlan {
    /// Objects, too, where the interpreter lets them be seen.
    pub objects: bool,
    /// The part of a target's time that it may take; `None` in exact mode.
    pub max_overhead: Option<f64>,
}

/// Windows in which nothing happened to a stack that has no live block, before its sums are dropped.
const IDLE_WINDOWS: u32 = 10;

/// The figures of [`Sums`], in its order.
type Figures = [f64; 6];

/// What is known of an owner.
#[derive(Debug, Clone, Copy, Default)]
struct Owned {
    /// As the kernel side had it when it was last read.
    read: Sums,
    /// What that stands for.
    total: Figures,
    /// As much of it as was told, in whole blocks.
    told: [u64; 6],
    idle: u32,
}

/// The lens of all targets.
pub(super) struct Lenses {
    plan: LensPlan,
    costs: Costs,
    /// By process: probes stay when it calls `exec`.
    watched: HashMap<u32, Watch>,
    owners: HashMap<Owner, Owned>,
    /// Spaces whose blocks are to be forgotten; all in one go, since the map is searched for that.
    gone: HashSet<u32>,
    /// Spaces that have ended and whose live blocks are still to be told.
    dead: Vec<Dead>,
    /// Counts what is attached anew.
    epoch: u64,
    random: RandomState,
    /// Where the kernel side counts calls.
    slots: Slots,
}

impl Lenses {
    pub(super) fn new(plan: LensPlan, probes: &mut Probes) -> Result<Self, KernelError> {
        let costs = calibrate(probes).unwrap_or_else(|error| {
            warn!("what a probe costs can't be measured ({error}); a usual figure is taken");
            Costs::default()
        });
        debug!("a hit costs {costs:?}");
        if let Some(maps) = probes.lens() {
            // Spaces that begin by themselves are recorded from their first instruction.
            maps.set(0, WEIGHT_ONE, 1)?;
        }
        Ok(Self {
            plan,
            costs,
            watched: HashMap::new(),
            owners: HashMap::new(),
            gone: HashSet::new(),
            dead: Vec::new(),
            epoch: 1,
            random: RandomState::new(),
            slots: Slots::default(),
        })
    }

    fn watch(&mut self, pid: u32) -> &mut Watch {
        let (plan, random) = (self.plan, &self.random);
        self.watched.entry(pid).or_insert_with(|| {
            let seed = random.hash_one(pid);
            let now = Instant::now();
            Watch::new(pid, plan.max_overhead.map(|allowed| Pace::new(allowed, seed, now)))
        })
    }

    /// A command is about to call `exec`. Its libc is most likely ours: probes wait there.
    pub(super) fn expect(&mut self, pid: u32, probes: &mut Probes) {
        if let Some(library) = allocator::own_libc() {
            self.watch(pid).attach_library(pid, library, probes);
        }
    }

    /// Puts probes on the allocators of a process; those that have them already keep them. Returns
    /// what the reader should know.
    pub(super) fn look(
        &mut self,
        target: &Target,
        interpreter: Option<&Interpreter>,
        probes: &mut Probes,
        images: &mut Images,
    ) -> Vec<String> {
        let (pid, plan) = (target.pid, self.plan);
        let Ok(mappings) = Mappings::of(pid) else { return Vec::new() };
        let watch = self.watch(pid);
        for library in allocator::libraries(pid, &mappings, &mut watch.seen) {
            watch.attach_library(pid, library, probes);
        }
        match (interpreter, TargetMemory::with_mappings(pid, mappings)) {
            (Some(interpreter), Ok(memory)) => {
                watch.attach_python(&memory, interpreter, plan, probes, images)
            }
            _ => Vec::new(),
        }
    }

    /// A target is recorded from now on.
    pub(super) fn begin(
        &mut self,
        pid: u32,
        space: u32,
        probes: &mut Probes,
    ) -> Result<(), KernelError> {
        let watch = self.watch(pid);
        watch.start_clock();
        // Before `exec` it was another program.
        let slots = watch.forget_yards();
        self.slots.give_back(slots);
        let Some(maps) = probes.lens() else { return Ok(()) };
        if maps.get(space).is_none_or(|lens| lens.weight == 0) && self.watch(pid).is_recording() {
            maps.set(space, WEIGHT_ONE, self.epoch)?;
        }
        let lens = maps.get(space).unwrap_or_default();
        self.watch(pid).begin(space, lens);
        Ok(())
    }

    /// When something is to be done next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.watched.values().filter(|watch| watch.begun).filter_map(Watch::due).min()
    }

    /// Takes in what has come to the sums of a space, each of which stands for `scale`.
    fn collect(&mut self, space: u32, sums: &HashMap<Owner, Sums>, scale: f64) {
        for (owner, now) in sums.iter().filter(|(owner, _)| owner.space == space) {
            let owned = self.owners.entry(*owner).or_default();
            let before = std::mem::replace(&mut owned.read, *now);
            for (at, (now, before)) in figures(now).into_iter().zip(figures(&before)).enumerate() {
                owned.total[at] += (now - before) * scale;
            }
        }
    }

    /// Reads what was recorded until now of all targets that are looked at. Stacks that it is of have
    /// been sent by then.
    pub(super) fn read(&mut self, probes: &mut Probes) -> Result<(), KernelError> {
        let Some(maps) = probes.lens() else { return Ok(()) };
        let sums = maps.sums()?;
        let mut scales = Vec::new();
        for watch in self.watched.values_mut().filter(|watch| watch.begun) {
            // An open window is read when it ends.
            let open = watch.pace.as_ref().is_some_and(|pace| pace.looking == Looking::Window);
            if watch.is_recording() && !open {
                let lens = maps.get(watch.space).unwrap_or_default();
                scales.push((watch.space, watch.end_window(lens, self.costs).scale));
            }
        }
        for (space, scale) in scales {
            self.collect(space, &sums, scale);
        }
        Ok(())
    }

    /// The end of a target: what is under way is read, and what was not looked at since the last
    /// window is taken to be as everything before.
    fn close(&mut self, pid: u32, probes: &mut Probes) -> Result<(), KernelError> {
        let Some(maps) = probes.lens() else { return Ok(()) };
        let Some(watch) = self.watched.get_mut(&pid).filter(|watch| watch.begun) else {
            return Ok(());
        };
        let space = watch.space;
        let lens = maps.get(space).unwrap_or_default();
        // A window that has hardly begun says nothing.
        if watch.is_recording() && !(watch.gated && watch.has_hardly_begun(maps)) {
            let scale = if watch.gated {
                watch.end_gated(self.costs, maps).scale
            } else {
                watch.end_window(lens, self.costs).scale
            };
            let sums = maps.sums()?;
            self.collect(space, &sums, scale);
        } else {
            let by_time = watch.end_pause(lens);
            let more = 1.0 + watch.rest_of_all(maps).unwrap_or(by_time);
            for (_, owned) in self.owners.iter_mut().filter(|(owner, _)| owner.space == space) {
                for figure in &mut owned.total {
                    *figure *= more;
                }
            }
        }
        Ok(())
    }

    /// Processes whose window is over and was not told yet: each is told by itself, so that it can be
    /// seen how much they differ. By now their stacks have come.
    pub(super) fn take_finished(&mut self) -> Vec<u32> {
        let over = self.watched.values_mut().filter(|watch| watch.to_tell);
        over.map(|watch| {
            watch.to_tell = false;
            watch.space
        })
        .collect()
    }

    /// Tells what was counted for a target since the last time.
    pub(super) fn tell(
        &mut self,
        target: &mut Target,
        at: Nanos,
        probes: &mut Probes,
        journal: &mut Journal,
    ) {
        let Some(maps) = probes.lens() else { return };
        let Some(watch) = self.watched.get_mut(&target.pid).filter(|watch| watch.begun) else {
            return;
        };
        if watch.pace.is_some() && watch.covered.time.is_zero() {
            return;
        }
        let lens = maps.get(target.space).unwrap_or(watch.told);
        let told = std::mem::replace(&mut watch.told, lens);
        let covered = watch.take_covered();
        let hits = watch::hits(lens).since(watch::hits(told));
        let space = target.space;
        let mut changes: BTreeMap<(StackId, ThreadId), AllocationChange> = BTreeMap::new();
        let mut gone = Vec::new();
        for (owner, owned) in self.owners.iter_mut().filter(|(owner, _)| owner.space == space) {
            let whole = owned.total.map(|figure| figure.round() as u64);
            let before = std::mem::replace(&mut owned.told, whole);
            if before == whole {
                owned.idle += 1;
                if owned.idle > IDLE_WINDOWS && owned.read.allocations == owned.read.freed {
                    gone.push(*owner);
                }
                continue;
            }
            owned.idle = 0;
            let (stack, thread) = named(target, owner.stack, owner.tid, journal);
            let change = changes.entry((stack, thread)).or_insert(AllocationChange {
                stack,
                thread,
                all: Blocks::default(),
                freed: Blocks::default(),
                temporary: Blocks::default(),
            });
            let more: [u64; 6] = std::array::from_fn(|at| whole[at].saturating_sub(before[at]));
            let blocks =
                |at: usize| Blocks { count: more[at], bytes: Bytes(more[at + 1].cast_signed()) };
            change.all += blocks(0);
            change.freed += blocks(2);
            change.temporary += blocks(4);
        }
        for owner in gone {
            maps.forget_owner(owner);
            self.owners.remove(&owner);
        }
        journal.put(Entry::Allocations(Allocations {
            space: SpaceId(space),
            at,
            time: nanos(covered.time),
            recorded: nanos(covered.recorded.min(covered.time)),
            slowed: nanos(covered.slowed),
            frees_seen: nanos(covered.frees_seen.min(covered.time)),
            lost: lens.lost.saturating_sub(told.lost),
            lost_bytes: Bytes(lens.lost_bytes.saturating_sub(told.lost_bytes).cast_signed()),
            unknown_frees: lens.unknown.saturating_sub(told.unknown),
            hits: all_hits(lens).saturating_sub(all_hits(told)) + covered.calls,
            cost: nanos(if watch.pace.is_some() {
                covered.cost
            } else {
                watch.cost(hits, self.costs)
            }),
            measured: covered
                .measured
                .into_iter()
                .map(|(name, time)| (name, nanos(time)))
                .collect(),
            changes: changes.into_values().collect(),
        }));
    }

    /// The last word on targets that live: what was recorded, and the live blocks.
    pub(super) fn tell_last(
        &mut self,
        targets: &mut [&mut Target],
        at: Nanos,
        probes: &mut Probes,
        journal: &mut Journal,
    ) -> Result<(), KernelError> {
        for target in &mut *targets {
            self.close(target.pid, probes)?;
            self.tell(target, at, probes, journal);
        }
        self.tell_live(targets, at, probes, journal)
    }

    /// A target ends: tells its last word, and forgets it. Its live blocks are told with those of others
    /// that end ([`Lenses::tell_live`]).
    pub(super) fn end(
        &mut self,
        target: &mut Target,
        at: Nanos,
        probes: &mut Probes,
        journal: &mut Journal,
    ) {
        // Its stacks came before the record of its end.
        if let Err(error) = self.close(target.pid, probes) {
            debug!("process {}: {error}", target.pid);
        }
        self.tell(target, at, probes, journal);
        self.dead.push(Dead::of(target, at, self.owners.keys(), journal));
        self.forget(target.space, probes);
        if self.dead.len() >= MOST_DEAD
            && let Err(error) = self.tell_live(&mut [], at, probes, journal)
        {
            debug!("{error}");
        }
    }

    /// Forgets a space whose last word was told, but for its blocks.
    fn forget(&mut self, space: u32, probes: &mut Probes) {
        let Some(maps) = probes.lens() else { return };
        let owners: Vec<Owner> =
            self.owners.keys().filter(|owner| owner.space == space).copied().collect();
        self.owners.retain(|owner, _| owner.space != space);
        maps.forget(space, owners);
    }

    /// A process has ended: its probes go.
    pub(super) fn let_go(&mut self, pid: u32) {
        if let Some(mut watch) = self.watched.remove(&pid) {
            self.slots.give_back(watch.forget_yards());
            watch.detach();
        }
    }

    /// All probes, to be closed together.
    pub(super) fn into_links(self) -> impl Iterator<Item = ProcessProbe> {
        self.watched.into_values().flat_map(Watch::into_links)
    }
}

fn figures(sums: &Sums) -> Figures {
    let Sums { allocations, bytes, freed, freed_bytes, temporary, temporary_bytes } = *sums;
    [allocations, bytes, freed, freed_bytes, temporary, temporary_bytes]
        .map(|figure| figure as f64 / WEIGHT_ONE as f64)
}

fn all_hits(lens: Lens) -> u64 {
    lens.entered + lens.returned + lens.freed
}

fn nanos(time: Duration) -> Nanos {
    Nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// The ids of a stack and a thread of a target.
fn named(target: &mut Target, stack: u64, tid: u32, journal: &mut Journal) -> (StackId, ThreadId) {
    let kind = target.python.as_ref().map(|known| known.line_table);
    let (space, pid) = (SpaceId(target.space), target.pid);
    let stack = target.stacks.name(stack, kind, &mut journal.book);
    (stack, thread_id(&mut journal.book, space, pid, tid))
}
