//! The live blocks of targets, by stack, thread and age.
//!
//! They are in one map for all targets, which is searched from end to end for those of some: seldom, and
//! for all that are wanted at once.

use std::collections::{BTreeMap, HashMap};

use memtrace_common::lens::{Block, BlockKey, Owner, WEIGHT_ONE};

use super::{Lenses, named};
use crate::history::Entry;
use crate::history::entry::{Live, SpaceId, StackId, ThreadId};
use crate::kernel::{KernelError, Probes};
use crate::profile::allocated::cut;
use crate::profile::{Blocks, Reason};
use crate::session::journal::Journal;
use crate::session::target::Target;
use crate::units::{Bytes, Nanos};

/// Targets that have ended whose blocks wait to be told, at most: their room in the map is wanted.
pub(super) const MOST_DEAD: usize = 64;

/// By stack, thread and age: how many blocks and bytes, weighted.
type Ages = BTreeMap<(u64, u32, u64), (u64, u64)>;

/// A target that has ended. Its stacks have ids by now.
pub(super) struct Dead {
    space: u32,
    at: Nanos,
    /// As the kernel's clock has it.
    ended: u64,
    names: HashMap<(u64, u32), (StackId, ThreadId)>,
}

impl Dead {
    pub(super) fn of<'a>(
        target: &mut Target,
        at: Nanos,
        owners: impl Iterator<Item = &'a Owner>,
        journal: &mut Journal,
    ) -> Self {
        let space = target.space;
        let names = owners.filter(|owner| owner.space == space).map(|owner| {
            let (stack, tid) = (owner.stack, owner.tid);
            ((stack, tid), named(target, stack, tid, journal))
        });
        Self { space, at, names: names.collect(), ended: monotonic() }
    }
}

impl Lenses {
    /// Tells the live blocks, by age, of targets and of those that have ended, whose blocks are
    /// forgotten then.
    pub(in crate::session) fn tell_live(
        &mut self,
        targets: &mut [&mut Target],
        at: Nanos,
        probes: &mut Probes,
        journal: &mut Journal,
    ) -> Result<(), KernelError> {
        let dead = std::mem::take(&mut self.dead);
        let mut gone = std::mem::take(&mut self.gone);
        gone.extend(dead.iter().map(|dead| dead.space));
        if targets.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let Some(maps) = probes.lens() else { return Ok(()) };
        let now = monotonic();
        let live = targets.iter().map(|target| (target.space, now));
        let live = live.chain(dead.iter().map(|dead| (dead.space, dead.ended)));
        let mut ages: HashMap<u32, (u64, Ages)> =
            live.map(|(space, now)| (space, (now, Ages::new()))).collect();
        let mut forgotten: Vec<BlockKey> = Vec::new();
        maps.each_block(|key, block: Block| {
            let space = key.space as u32;
            if gone.contains(&space) {
                forgotten.push(key);
            }
            if let Some((now, ages)) = ages.get_mut(&space) {
                let age = cut(now.saturating_sub(block.born) / 1_000_000);
                let (count, bytes) = ages.entry((block.stack, block.tid, age)).or_default();
                *count += block.weight;
                *bytes += block.weight * block.size;
            }
        })?;
        for block in forgotten {
            maps.forget_block(block);
        }
        let mut of = |space| ages.remove(&space).unwrap_or_default().1;
        for dead in dead {
            let lost = journal.book.row(Reason::StackLost, "");
            let other = dead.names.values().next().map(|(_, thread)| *thread);
            let name = |stack, tid| {
                let known = dead.names.get(&(stack, tid)).copied();
                known.or(other.map(|thread| (lost, thread)))
            };
            tell(of(dead.space), SpaceId(dead.space), dead.at, name, journal);
        }
        for target in targets {
            let space = target.space;
            let ages = of(space);
            let mut names = HashMap::new();
            for (stack, tid, _) in ages.keys() {
                names.insert((*stack, *tid), named(target, *stack, *tid, journal));
            }
            let name = |stack, tid| names.get(&(stack, tid)).copied();
            tell(ages, SpaceId(space), at, name, journal);
        }
        Ok(())
    }

    /// Forgets the blocks of spaces that are not recorded any more.
    pub(super) fn forget_gone(&mut self, probes: &mut Probes) {
        let gone = std::mem::take(&mut self.gone);
        let Some(maps) = probes.lens() else { return };
        let mut forgotten: Vec<BlockKey> = Vec::new();
        // What can't be read stays until memtrace ends.
        let _ = maps.each_block(|key, _: Block| {
            if gone.contains(&(key.space as u32)) {
                forgotten.push(key);
            }
        });
        for block in forgotten {
            maps.forget_block(block);
        }
    }
}

fn tell(
    ages: Ages,
    space: SpaceId,
    at: Nanos,
    name: impl Fn(u64, u32) -> Option<(StackId, ThreadId)>,
    journal: &mut Journal,
) {
    let mut all: BTreeMap<(StackId, ThreadId, u64), Blocks> = BTreeMap::new();
    for ((stack, tid, age), (count, bytes)) in ages {
        let Some((stack, thread)) = name(stack, tid) else { continue };
        let bytes = Bytes(whole(bytes).cast_signed());
        *all.entry((stack, thread, age)).or_default() += Blocks { count: whole(count), bytes };
    }
    let blocks = all.into_iter().map(|((stack, thread, age), it)| (stack, thread, age, it));
    journal.put(Entry::Live(Live { space, at, blocks: blocks.collect() }));
}

/// Without the fraction.
const fn whole(weighted: u64) -> u64 {
    weighted / WEIGHT_ONE
}

/// As the kernel's `bpf_ktime_get_ns` has it.
fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}
