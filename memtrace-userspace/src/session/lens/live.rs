//! The live blocks of targets, by stack, thread and age.

use std::collections::{BTreeMap, HashMap};

use memtrace_common::lens::WEIGHT_ONE;

use super::{Lenses, named};
use crate::history::Entry;
use crate::history::entry::{Live, SpaceId, StackId, ThreadId};
use crate::kernel::{KernelError, Probes};
use crate::profile::Blocks;
use crate::profile::allocated::cut;
use crate::session::journal::Journal;
use crate::session::target::Target;
use crate::units::{Bytes, Nanos};

/// By stack, thread and age: how many blocks and bytes, weighted.
type Ages = BTreeMap<(u64, u32, u64), (u64, u64)>;

impl Lenses {
    /// Tells the live blocks of targets by age.
    pub(super) fn tell_live(
        &self,
        targets: &mut [&mut Target],
        at: Nanos,
        probes: &mut Probes,
        journal: &mut Journal,
    ) -> Result<(), KernelError> {
        let Some(maps) = probes.lens() else { return Ok(()) };
        let now = monotonic();
        let mut ages: HashMap<u32, Ages> =
            targets.iter().map(|target| (target.space, BTreeMap::new())).collect();
        maps.each_block(|key, block| {
            if let Some(ages) = ages.get_mut(&(key.space as u32)) {
                let age = cut(now.saturating_sub(block.born) / 1_000_000);
                let (count, bytes) = ages.entry((block.stack, block.tid, age)).or_default();
                *count += block.weight;
                *bytes += block.weight * block.size;
            }
        })?;
        for target in targets {
            let mut all: BTreeMap<(StackId, ThreadId, u64), Blocks> = BTreeMap::new();
            for ((stack, tid, age), (count, bytes)) in
                ages.remove(&target.space).unwrap_or_default()
            {
                let (stack, thread) = named(target, stack, tid, journal);
                let bytes = Bytes(whole(bytes).cast_signed());
                *all.entry((stack, thread, age)).or_default() +=
                    Blocks { count: whole(count), bytes };
            }
            let blocks = all.into_iter().map(|((stack, thread, age), it)| (stack, thread, age, it));
            let space = SpaceId(target.space);
            journal.put(Entry::Live(Live { space, at, blocks: blocks.collect() }));
        }
        Ok(())
    }
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
