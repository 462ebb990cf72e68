//! Finding glibc's `main_arena` in a libc without symbols, and the arenas behind it.
//!
//! Told by structure: 127 pairs of list heads, of which an empty one points at itself, then a bit
//! map, then a ring of arenas that leads back. That holds for glibc 2.26 to 2.43; what stands
//! before the pairs differs (2.43 has no fast bins), and with the wrong one the ring leads nowhere.
//! Fields: `struct malloc_state` in `malloc/malloc.c`.

use memtrace_common::memory::ReadMemory;

use super::super::smaps::Counted;
use crate::python::TargetMemory;

/// Heaps of arenas beside the main one begin at multiples of this (`HEAP_MAX_SIZE`).
pub(super) const HEAP_ALIGN: u64 = 64 << 20;
/// `NBINS - 1`
const PAIRS: u64 = 127;
/// From the pairs to `next`: the pairs, and `binmap`.
const NEXT: u64 = PAIRS * 16 + 16;
/// From the pairs to `attached_threads`.
const THREADS: u64 = NEXT + 16;
/// From the pairs to `system_mem`.
const SYSTEM: u64 = NEXT + 24;
/// From the pairs to the end of the structure.
const END: u64 = NEXT + 40;
/// From the beginning of the structure to the pairs, where there are ten fast bins (up to 2.42):
/// `mutex`, `flags`, `have_fastchunks`, the bins, `top`, `last_remainder`.
const PAIRS_AFTER_FAST_BINS: u64 = 112;
/// The same without (2.43): `mutex`, `flags`, `top`, `last_remainder`.
const PAIRS_WITHOUT: u64 = 24;
/// Where the fast bins begin.
const FAST_BINS: u64 = 16;
/// `NFASTBINS`
const FAST_BINS_COUNT: u64 = 10;
/// Pairs that may be in the middle of a change.
const TORN_PAIRS: usize = 4;
/// Arenas that are followed: glibc makes eight a CPU at most.
const ARENAS_LIMIT: usize = 16_384;
/// Bytes of a library's data that are searched.
const DATA_LIMIT: u64 = 4 << 20;

/// A `malloc_state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arena {
    /// Its address.
    pub(super) address: u64,
    /// Its bytes.
    pub(super) size: u64,
    /// `main_arena`
    pub(super) main: bool,
    /// `top`
    pub(super) top: u64,
    /// `attached_threads`
    pub(super) threads: u64,
    /// `system_mem`
    pub(super) system_bytes: u64,
    /// Heads of the lists of fast chunks, smallest first.
    pub(super) fast_bins: Vec<u64>,
}

/// All arenas, the main one first; `None` if there is no glibc, or it has not allocated yet.
#[must_use]
pub(super) fn find(memory: &TargetMemory, mappings: &[Counted]) -> Option<Vec<Arena>> {
    let is_libc = |it: &&Counted| {
        let name = it.mapping.file_name();
        name == "libc.so.6" || (name.starts_with("libc-2.") && name.ends_with(".so"))
    };
    // Linked into the program, it is somewhere in its data.
    let program = std::fs::read_link(format!("/proc/{}/exe", memory.pid())).ok();
    let is_program = |it: &&Counted| Some(&it.mapping.path) == program.as_ref();
    let writable = |it: &&Counted| it.mapping.writable && it.mapping.is_file();
    let libc: Vec<_> = mappings.iter().filter(is_libc).filter(writable).collect();
    let searched = match libc.is_empty() {
        false => libc,
        true => mappings.iter().filter(is_program).filter(writable).collect(),
    };
    for Counted { mapping, .. } in searched {
        let length = (mapping.end - mapping.start).min(DATA_LIMIT);
        let Some(data) = memory.bytes(mapping.start, length as usize) else { continue };
        let words: Vec<u64> = data
            .chunks_exact(8)
            .filter_map(|word| word.try_into().ok().map(u64::from_ne_bytes))
            .collect();
        for (index, _) in words.iter().enumerate() {
            if !begins_pairs(&words[index..], mapping.start + 8 * index as u64, memory) {
                continue;
            }
            if let Some(arenas) = ring(memory, mapping.start + 8 * index as u64) {
                return Some(arenas);
            }
        }
    }
    None
}

/// Whether the words that stand at `address` begin with 127 heads of lists. A head is known by
/// the chunk that it would be: two words before it.
fn begins_pairs(words: &[u64], address: u64, memory: &TargetMemory) -> bool {
    let Some(words) = words.get(..2 * PAIRS as usize) else { return false };
    let head = |pair: usize| address.wrapping_add(16 * pair as u64).wrapping_sub(16);
    let pairs = || words.chunks_exact(2).enumerate();
    let plausible = |word: u64| word.is_multiple_of(8) && word > 0xffff && word < 1 << 47;
    // Cheap first: almost everything is refused by this.
    if !words.iter().all(|&word| plausible(word)) {
        return false;
    }
    let torn = pairs()
        .filter(|(at, pair)| {
            if pair[0] == head(*at) && pair[1] == head(*at) {
                return false;
            }
            let back = memory.read_u64(pair[0].wrapping_add(24)) == Some(head(*at));
            let forth = memory.read_u64(pair[1].wrapping_add(16)) == Some(head(*at));
            !(back && forth)
        })
        .count();
    torn <= TORN_PAIRS
}

/// The arenas of the ring that the main arena, whose pairs are at `pairs`, is in. With or without
/// fast bins: the right one leads back to the beginning of the main arena.
fn ring(memory: &TargetMemory, pairs: u64) -> Option<Vec<Arena>> {
    [PAIRS_AFTER_FAST_BINS, PAIRS_WITHOUT].into_iter().find_map(|head| {
        let main = pairs.checked_sub(head)?;
        let mut others = Vec::new();
        let mut at = memory.read_u64(pairs.wrapping_add(NEXT))?;
        while at != main {
            if others.len() >= ARENAS_LIMIT || at == 0 {
                return None;
            }
            others.push(at);
            at = memory.read_u64(at.wrapping_add(head + NEXT))?;
        }
        let mut arenas = vec![arena(memory, main, head, true)?];
        for address in others {
            // An arena that was just made has no top yet, or can't be read: it is small.
            arenas.extend(arena(memory, address, head, false));
        }
        Some(arenas)
    })
}

fn arena(memory: &TargetMemory, address: u64, head: u64, main: bool) -> Option<Arena> {
    let pairs = address.wrapping_add(head);
    let field = |offset: u64| memory.read_u64(pairs.wrapping_add(offset));
    let fast = if head == PAIRS_AFTER_FAST_BINS { FAST_BINS_COUNT } else { 0 };
    let arena = Arena {
        address,
        size: head + END,
        main,
        // `top` and `last_remainder` stand before the pairs.
        top: memory.read_u64(pairs.wrapping_sub(16))?,
        threads: field(THREADS)?,
        system_bytes: field(SYSTEM)?,
        fast_bins: (0..fast)
            .map(|bin| memory.read_u64(address.wrapping_add(FAST_BINS + 8 * bin)).unwrap_or(0))
            .collect(),
    };
    // Its top is in a heap that says whose it is.
    let heap = arena.top & !(HEAP_ALIGN - 1);
    (main || memory.read_u64(heap) == Some(address)).then_some(arena)
}
