//! Reading millions of small things: a target's memory in pieces of 16 pages that are kept for a while.
//!
//! What is kept may be older than the target; whoever meets a contradiction forgets the piece and
//! reads again. Pages that aren't in RAM are asked of `TargetMemory`, which knows the files
//! behind them, and are never brought in.

use std::cell::RefCell;

use memtrace_common::memory::ReadMemory;

use crate::python::{TargetMemory, zeroed};

/// Bytes of one piece.
const PIECE: u64 = 64 << 10;
/// Pieces that are kept: 128 MiB. Each has one place, by its address, and gives way to the next
/// one there: no search, and no order to keep, in what is asked tens of millions of times.
const PLACES: usize = 2048;

struct Piece {
    /// Which: its address in pieces.
    index: u64,
    bytes: Box<[u8]>,
    /// A bit a page.
    present: u64,
}

/// A target's memory, with what was last read of it.
pub(super) struct Blocks<'a> {
    memory: &'a TargetMemory,
    page: u64,
    places: RefCell<Vec<Option<Piece>>>,
}

impl<'a> Blocks<'a> {
    #[must_use]
    pub(super) fn new(memory: &'a TargetMemory) -> Self {
        let places = std::iter::repeat_with(|| None).take(PLACES).collect();
        Self { memory, page: procfs::page_size(), places: RefCell::new(places) }
    }

    /// What was read near this address is to be read again.
    pub(super) fn forget(&self, address: u64) {
        let index = address / PIECE;
        if let Some(Some(piece)) = self.places.borrow_mut().get_mut(index as usize % PLACES)
            && piece.index == index
        {
            piece.present = 0;
            piece.index = u64::MAX;
        }
    }

    /// Fills `into`; `false` if not all of it can be read.
    #[must_use]
    pub(super) fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let (at, length) = ((address % PIECE) as usize, into.len());
        if at + length > PIECE as usize {
            return self.memory.read(address, into);
        }
        let index = address / PIECE;
        let mut places = self.places.borrow_mut();
        let Some(place) = places.get_mut(index as usize % PLACES) else { return false };
        let piece = place.get_or_insert_with(|| Piece {
            index: u64::MAX,
            bytes: vec![0; PIECE as usize].into_boxed_slice(),
            present: 0,
        });
        if piece.index != index {
            piece.present = self.memory.read_resident(index * PIECE, &mut piece.bytes);
            piece.index = index;
        }
        let first = at as u64 / self.page;
        let last = (at + length).saturating_sub(1) as u64 / self.page;
        if (first..=last).any(|page| piece.present & 1 << page == 0) {
            return self.memory.read(address, into);
        }
        into.copy_from_slice(&piece.bytes[at..at + length]);
        true
    }
}

impl ReadMemory for Blocks<'_> {
    unsafe fn read_raw(&self, address: u64, into: *mut u8, length: u32) -> bool {
        // SAFETY: the caller promises the same.
        self.read(address, unsafe { zeroed(into, length) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_kept_until_it_is_forgotten() {
        let mut there = vec![7_u64; 64 << 10];
        let memory = TargetMemory::open(std::process::id()).unwrap();
        let blocks = Blocks::new(&memory);
        let address = there.as_ptr() as u64 + 8 * 40_000;
        assert_eq!(blocks.read_u64(address), Some(7));
        there[40_000] = 8;
        std::hint::black_box(&there);
        assert_eq!(blocks.read_u64(address), Some(7));
        blocks.forget(address);
        assert_eq!(blocks.read_u64(address), Some(8));
        assert_eq!(blocks.read_u64(8), None);
        // Every piece of half a MiB, and across their borders.
        for at in 0..there.len() {
            assert!(blocks.read_u64(there.as_ptr() as u64 + 8 * at as u64).is_some());
        }
    }
}
