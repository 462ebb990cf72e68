//! What is in pymalloc's arenas: live blocks by size, and what is free where.
//!
//! The target may run meanwhile: pools that contradict themselves are read again, a bounded number
//! of times, and then counted as torn. Where the arenas are listed is `arena_table`'s business.

use memtrace_common::memory::ReadMemory;

use super::allocator;
use super::arena_table::{self, ARENA_OBJECT, ArenaObject, Counter, Symbols, Table};
use super::block_sizes::BlockSizes;
use super::claims::Claims;
use super::layout::Layout;
use super::picture::{Arenas, Fill, Kind, ObjectAllocator, SizeClass};
use super::pools::{Pool, divide, examine};
use super::residence::Residence;
use crate::python::{Interpreter, TargetMemory};
use crate::units::Bytes;

/// A pool that contradicts itself is read so often again before it counts as torn.
const READ_AGAIN: usize = 8;
/// Edges of the classes of fullness, in percent.
const FILL: [u32; 6] = [1, 10, 25, 50, 75, 100];

/// Reads all arenas: their figures, with the ranges they take up among the `claims`.
pub(super) fn read(
    memory: &TargetMemory,
    interpreter: &Interpreter,
    layout: &Layout,
    symbols: &Symbols<'_>,
    residence: &Residence,
    claims: &mut Claims,
    notes: &mut Vec<String>,
) -> (Arenas, BlockSizes) {
    let mut walk = Walk {
        memory,
        layout,
        residence,
        counts: vec![(0, 0); layout.classes()],
        fill: [(0, 0, 0); FILL.len()],
        sizes: BlockSizes::new(layout),
        arenas: Arenas::none(Bytes(layout.arena_size.cast_signed())),
    };
    let tables = arena_table::find(memory, interpreter, layout, symbols);
    walk.arenas.allocator = allocator::find(memory, interpreter, layout, symbols);
    let expects_arenas =
        !matches!(walk.arenas.allocator, ObjectAllocator::Malloc | ObjectAllocator::MallocDebug);
    if tables.is_empty() && expects_arenas && interpreter.started {
        notes.push(
            "the table of CPython's arenas was not found: they are among the memory of unknown use"
                .to_owned(),
        );
    }
    for table in &tables {
        walk.table(table, claims);
    }
    if walk.arenas.arenas == 0 && walk.arenas.allocator == ObjectAllocator::Pymalloc {
        let mimalloc = layout.allocators.is_some() && !tables.is_empty();
        walk.arenas.allocator =
            if mimalloc { ObjectAllocator::Mimalloc } else { ObjectAllocator::Unknown };
    }
    walk.count(memory, &tables);
    walk.finish()
}

/// The walk over all arenas, and what it has counted.
struct Walk<'a> {
    memory: &'a TargetMemory,
    layout: &'a Layout,
    residence: &'a Residence,
    /// Pools and live blocks by size class.
    counts: Vec<(u64, u64)>,
    /// Arenas, live bytes, resident bytes by fullness.
    fill: [(u64, u64, u64); FILL.len()],
    sizes: BlockSizes,
    arenas: Arenas,
}

impl Walk<'_> {
    fn table(&mut self, table: &Table, claims: &mut Claims) {
        /// Entries of one read.
        const AT_ONCE: u32 = 4096;
        for first in (0..table.length).step_by(AT_ONCE as usize) {
            let entries = AT_ONCE.min(table.length - first);
            let at = table.address.wrapping_add(u64::from(first) * ARENA_OBJECT);
            let Some(bytes) = self.memory.bytes(at, (u64::from(entries) * ARENA_OBJECT) as usize)
            else {
                self.arenas.unreadable += 1;
                continue;
            };
            for entry in bytes.chunks_exact(ARENA_OBJECT as usize) {
                match ArenaObject::decode(entry) {
                    Some(arena) if arena.address != 0 => self.arena(&arena, claims),
                    _ => {}
                }
            }
        }
    }

    fn arena(&mut self, arena: &ArenaObject, claims: &mut Claims) {
        let (arena_size, pool_size) = (self.layout.arena_size, self.layout.pool_size);
        let range = arena.address..arena.address.saturating_add(arena_size);
        let last = self.memory.mappings().at(range.end.saturating_sub(1));
        // An arena that is listed twice is walked once, or a table could keep us busy for hours.
        if !arena.address.is_multiple_of(4096) || last.is_none() || claims.overlaps(&range) {
            self.arenas.unreadable += 1;
            return;
        }
        let resident = self.residence.ram.within(&range);
        let mut parts = [0; 4];
        let [live, free, free_pools, overhead] = &mut parts;
        let mut live_here = 0;
        let first = arena.address.next_multiple_of(pool_size);
        let mut bytes = vec![0; pool_size as usize];
        for address in (first..range.end).step_by(pool_size as usize) {
            let pool = address..(address + pool_size).min(range.end);
            let in_ram = self.residence.ram.within(&pool);
            if address >= arena.next_pool || pool.end - pool.start < pool_size {
                *free_pools += in_ram;
                continue;
            }
            match self.pool(address, &mut bytes) {
                Some(Pool::Free) => {
                    self.arenas.pools_free += 1;
                    *free_pools += in_ram;
                }
                Some(Pool::Torn(None)) => {
                    self.arenas.pools_torn += 1;
                    *overhead += in_ram;
                }
                Some(pool @ (Pool::Used { .. } | Pool::Torn(Some(_)))) => {
                    let (class, blocks) = match pool {
                        Pool::Used { class, live, unchecked } => {
                            self.arenas.unreadable += u64::from(unchecked);
                            (class, live)
                        }
                        Pool::Torn(header) => {
                            self.arenas.pools_torn += 1;
                            header.unwrap_or_default()
                        }
                        Pool::Free => (0, 0),
                    };
                    let block = (u64::from(class) + 1) * self.layout.block_alignment;
                    if let Some(count) = self.counts.get_mut(usize::from(class)) {
                        *count = (count.0 + 1, count.1 + blocks);
                    }
                    self.sizes.add(address, class);
                    self.arenas.pools_in_use += 1;
                    live_here += blocks * block;
                    let divided = divide(pool_size, block, blocks, in_ram);
                    *live += divided.live;
                    *free += divided.free;
                    *overhead += divided.overhead;
                }
                None => {
                    self.arenas.unreadable += 1;
                    *overhead += in_ram;
                }
            }
        }
        // What alignment leaves before the first pool.
        *overhead += self.residence.ram.within(&(range.start..first.min(range.end)));
        let percent = (live_here * 100).div_ceil(arena_size);
        if let Some(at) = FILL.iter().position(|edge| percent <= u64::from(*edge)) {
            let fill = &mut self.fill[at];
            *fill = (fill.0 + 1, fill.1 + live_here, fill.2 + resident);
        }
        self.arenas.arenas += 1;
        self.arenas.held += u64::from(live_here > 0);
        self.arenas.resident_bytes += Bytes(resident.cast_signed());
        let kinds =
            [Kind::ArenaLive, Kind::ArenaFreeInPools, Kind::ArenaFreePools, Kind::ArenaOverhead];
        claims.add(range, kinds.into_iter().zip(parts).collect());
    }

    /// Reads a pool, again if it contradicts itself; `None` if its header isn't in RAM.
    fn pool(&self, address: u64, bytes: &mut [u8]) -> Option<Pool> {
        let (page, classes) = (procfs::page_size(), self.layout.classes());
        let mut torn = None;
        for _ in 0..READ_AGAIN {
            let read = self.memory.read_resident(address, bytes);
            if read & 1 == 0 {
                return None;
            }
            let readable = |at: u64| read & (1 << (at / page)) != 0;
            match examine(bytes, address, self.layout.block_alignment, classes, readable) {
                Pool::Torn(header) => torn = header,
                pool => return Some(pool),
            }
        }
        Some(Pool::Torn(torn))
    }

    /// `sys.getallocatedblocks()`
    fn count(&mut self, memory: &TargetMemory, tables: &[Table]) {
        let live: u64 = self.counts.iter().map(|(_, blocks)| blocks).sum();
        self.arenas.live_blocks = live;
        let live = live.cast_signed();
        let number = |at| memory.read_u64(at).map(u64::cast_signed);
        let large = tables.iter().map(|table| match table.counter {
            Counter::None => None,
            Counter::Raw(at) => number(at),
            Counter::All(at) => number(at).map(|all| all - live),
        });
        self.arenas.large_blocks =
            if tables.is_empty() { None } else { large.sum::<Option<i64>>() };
        self.arenas.allocated_blocks = self.arenas.large_blocks.map(|large| large + live);
    }

    fn finish(mut self) -> (Arenas, BlockSizes) {
        let (arena_size, pool_size) = (self.layout.arena_size, self.layout.pool_size);
        let bytes = |bytes: u64| Bytes(bytes.cast_signed());
        self.arenas.mapped_bytes = bytes(self.arenas.arenas * arena_size);
        for (class, (pools, live_blocks)) in (1..).zip(&self.counts) {
            let block = class * self.layout.block_alignment;
            let capacity = (pool_size - super::pools::POOL_OVERHEAD) / block;
            let free_blocks = (pools * capacity).saturating_sub(*live_blocks);
            self.arenas.live_bytes += bytes(live_blocks * block);
            self.arenas.classes.push(SizeClass {
                block_bytes: block as u32,
                pools: *pools,
                live_blocks: *live_blocks,
                live_bytes: bytes(live_blocks * block),
                free_blocks,
                free_bytes: bytes(free_blocks * block),
            });
        }
        let fill = FILL.iter().zip(self.fill).map(|(&up_to_percent, (arenas, live, resident))| {
            Fill { up_to_percent, arenas, live_bytes: bytes(live), resident_bytes: bytes(resident) }
        });
        self.arenas.fill = fill.collect();
        self.sizes.finish();
        (self.arenas, self.sizes)
    }
}
