//! glibc's `malloc`: its arenas, what is in use and free in each, and what trimming would return.
//!
//! Found without symbols, told by structure, walked chunk by chunk. The meanings are those of
//! `mallinfo2`: what a thread's cache (tcache) holds counts as in use. A target that runs changes
//! its heap meanwhile; a chunk that can't be one is read again, and then the rest of its heap is
//! left to the row of unknown use, and told.

use std::collections::HashSet;
use std::ops::Range;

use memtrace_common::memory::ReadMemory;

use super::claims::Claims;
use super::picture::{self, Kind};
use super::residence::Residence;
use super::smaps::Counted;
use super::window::Window;
use crate::python::TargetMemory;
use crate::units::Bytes;

mod chunks;
mod state;

use self::chunks::{Ask, Use};
pub(super) use self::chunks::{SIZE_BITS, is_mapped_size};
use self::state::{Arena, HEAP_ALIGN};

/// `sizeof (struct malloc_chunk)`: what trimming leaves of a free chunk.
const FREE_HEADER: u64 = 48;
/// `MINSIZE`: what trimming leaves of the top, and a byte.
const LEAST_TOP: u64 = 32 + 1;
/// Heaps of one arena: 64 GiB.
const HEAPS_LIMIT: usize = 1024;
/// Chunks in fast bins that are followed.
const FAST_LIMIT: usize = 1 << 22;

/// Reads all arenas and claims their memory; `None` when glibc's `malloc` was not found, or has
/// never been asked for anything (another allocator is loaded in its stead).
pub(super) fn read(
    memory: &TargetMemory,
    mappings: &[Counted],
    residence: &Residence,
    claims: &mut Claims,
    notes: &mut Vec<String>,
) -> Option<picture::Heap> {
    let arenas = state::find(memory, mappings)?;
    if arenas.iter().all(|arena| arena.system_bytes == 0) {
        return None;
    }
    let mut heap = picture::Heap {
        arenas: Vec::new(),
        mapped_blocks: 0,
        mapped_bytes: Bytes::ZERO,
        trim_bytes: Bytes::ZERO,
    };
    for arena in &arenas {
        let read = Reading { memory, residence, arena, fast: fast_chunks(memory, arena) };
        let row = read.arena(mappings, claims);
        heap.trim_bytes += row.trim_bytes;
        heap.arenas.push(row);
    }
    let torn = heap.arenas.iter().filter(|arena| arena.torn).count();
    if torn > 0 {
        notes.push(format!(
            "{torn} of {} arenas of glibc's malloc could not be walked to their ends: what is \
             behind is among the memory of unknown use (--freeze holds the process still)",
            arenas.len()
        ));
    }
    Some(heap)
}

/// Chunks on an arena's fast bins: free, but marked as in use. Newer glibc (2.43) has none.
fn fast_chunks(memory: &TargetMemory, arena: &Arena) -> HashSet<u64> {
    let mut found = HashSet::new();
    for (index, first) in (0..).zip(&arena.fast_bins) {
        let size = (index + 2) * 16;
        let mut at = *first;
        while at != 0 && found.len() < FAST_LIMIT {
            let head = memory.read_u64(at.wrapping_add(8));
            let sound = head.is_some_and(|it| it & !SIZE_BITS == size);
            let Some(link) = memory.read_u64(at.wrapping_add(16)).filter(|_| sound) else { break };
            if !found.insert(at) {
                break;
            }
            // From 2.32 on, links are mixed with the address that they stand at.
            let mixed = link ^ (at.wrapping_add(16) >> 12);
            let is_chunk = |it: u64| {
                it.is_multiple_of(16)
                    && memory.read_u64(it.wrapping_add(8)).is_some_and(|it| it & !SIZE_BITS == size)
            };
            at = match link {
                _ if mixed == 0 || link == 0 => 0,
                _ if is_chunk(mixed) => mixed,
                _ => link,
            };
        }
    }
    found
}

/// One arena that is being read.
struct Reading<'a> {
    memory: &'a TargetMemory,
    residence: &'a Residence,
    arena: &'a Arena,
    fast: HashSet<u64>,
}

/// What the chunks of one piece of an arena add up to.
#[derive(Debug, Default)]
struct Sums {
    free: u64,
    free_resident: u64,
    free_chunks: u64,
    top: u64,
    top_resident: u64,
    trim: u64,
    /// Free chunks side by side, which trimming first makes one.
    run: Option<Range<u64>>,
}

impl Reading<'_> {
    fn arena(&self, mappings: &[Counted], claims: &mut Claims) -> picture::HeapArena {
        let mut sums = Sums::default();
        let mut torn = false;
        let mut resident = 0;
        let mut walked = 0;
        let pieces = if self.arena.main { self.main(mappings) } else { self.heaps() };
        torn |= pieces.is_empty() && self.arena.system_bytes > 0;
        for piece in pieces {
            let before = (sums.free_resident, sums.top_resident);
            let mut window = Window::new(self.memory);
            let end = chunks::walk(
                piece.first..piece.range.end,
                piece.top,
                &mut |ask| match ask {
                    Ask::Word(at) => window.word(at),
                    Ask::Forget => {
                        window.forget();
                        None
                    }
                },
                &mut |range, used| self.chunk(&mut sums, range, used),
            );
            sums.end_run(self.residence);
            let range = match end {
                Ok(()) => piece.range,
                Err(at) => {
                    torn = true;
                    piece.range.start..at
                }
            };
            let (free, top) = (sums.free_resident - before.0, sums.top_resident - before.1);
            let all = self.residence.ram.within(&range);
            let in_use = all.saturating_sub(free + top);
            resident += all;
            walked += range.end - range.start;
            let parts =
                vec![(Kind::HeapInUse, in_use), (Kind::HeapFree, free), (Kind::HeapTop, top)];
            torn |= !claims.add(range, parts);
        }
        let bytes = |bytes: u64| Bytes(bytes.cast_signed());
        picture::HeapArena {
            address: self.arena.address,
            main: self.arena.main,
            threads: self.arena.threads,
            system_bytes: bytes(self.arena.system_bytes),
            resident_bytes: bytes(resident),
            in_use_bytes: bytes(walked.saturating_sub(sums.free + sums.top)),
            free_bytes: bytes(sums.free),
            free_resident_bytes: bytes(sums.free_resident),
            free_chunks: sums.free_chunks,
            top_bytes: bytes(sums.top),
            trim_bytes: bytes(sums.trim),
            torn,
        }
    }

    fn chunk(&self, sums: &mut Sums, range: Range<u64>, used: Use) {
        let page = procfs::page_size();
        let length = range.end - range.start;
        match used {
            Use::Used if !self.fast.contains(&range.start) => sums.end_run(self.residence),
            Use::Used | Use::Free => {
                sums.free += length;
                sums.free_resident += self.residence.ram.within(&range);
                sums.free_chunks += 1;
                match &mut sums.run {
                    Some(run) if run.end == range.start => run.end = range.end,
                    _ => {
                        sums.end_run(self.residence);
                        sums.run = Some(range);
                    }
                }
            }
            Use::Top => {
                sums.end_run(self.residence);
                sums.top += length;
                sums.top_resident += self.residence.ram.within(&range);
                // `systrim` moves the main arena's end only.
                if self.arena.main && length > LEAST_TOP {
                    let given = (length - LEAST_TOP) / page * page;
                    sums.trim += self.residence.ram.within(&(range.end - given..range.end));
                }
            }
        }
    }

    /// The main arena's one piece, from the beginning of the `brk` heap to the end of its top.
    fn main(&self, mappings: &[Counted]) -> Vec<Piece> {
        let heap = mappings.iter().filter(|it| it.mapping.path.as_os_str() == "[heap]");
        let (mut start, mut end) = (u64::MAX, 0);
        for Counted { mapping, .. } in heap {
            (start, end) = (start.min(mapping.start), end.max(mapping.end));
        }
        let begin = procfs::process::Process::new(self.memory.pid().cast_signed())
            .and_then(|process| process.stat())
            .ok()
            .and_then(|stat| stat.start_brk);
        // Where the kernel says nothing, the mapping begins where the heap does.
        let first = begin.filter(|it| (start..end).contains(it)).unwrap_or(start);
        let first = first.checked_next_multiple_of(16).unwrap_or(u64::MAX);
        let top = self.arena.top;
        let size = self.memory.read_u64(top.wrapping_add(8)).unwrap_or(0) & !SIZE_BITS;
        let top_end = top.saturating_add(size);
        if !(first..end).contains(&top) || top_end > end {
            return Vec::new();
        }
        vec![Piece { range: first..top_end, first, top: Some(top) }]
    }

    /// The heaps of another arena: the one that its top is in, and those before it.
    fn heaps(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let header = self.arena.address % HEAP_ALIGN;
        let mut heap = self.arena.top & !(HEAP_ALIGN - 1);
        while heap != 0 && pieces.len() < HEAPS_LIMIT {
            let field = |offset: u64| self.memory.read_u64(heap.wrapping_add(offset));
            // `ar_ptr`, `prev`, `size` of `heap_info` (`malloc/arena.c`).
            let (Some(owner), Some(before), Some(size)) = (field(0), field(8), field(16)) else {
                break;
            };
            if owner != self.arena.address || size > HEAP_ALIGN {
                break;
            }
            let within = if heap + header == self.arena.address { self.arena.size } else { 0 };
            let first = (heap + header + within).next_multiple_of(16);
            let range = heap..heap + size;
            let top = range.contains(&self.arena.top).then_some(self.arena.top);
            pieces.push(Piece { range, first, top });
            heap = before;
        }
        pieces
    }
}

/// Memory of an arena that lies together.
struct Piece {
    /// All of it.
    range: Range<u64>,
    /// Its first chunk.
    first: u64,
    /// The top, if it is in here.
    top: Option<u64>,
}

impl Sums {
    /// What trimming gives back of the free chunks that lie together: whole pages behind what it
    /// leaves (`mtrim` in `malloc/malloc.c`).
    fn end_run(&mut self, residence: &Residence) {
        let Some(run) = self.run.take() else { return };
        let page = procfs::page_size();
        let start = (run.start + FREE_HEADER).next_multiple_of(page);
        let end = run.end / page * page;
        if start < end {
            self.trim += residence.ram.within(&(start..end));
        }
    }
}
