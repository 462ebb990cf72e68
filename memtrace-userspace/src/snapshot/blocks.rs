//! Reading millions of small things: a target's memory in pieces of 16 pages, the newest kept.
//!
//! What is kept may be older than the target; whoever meets a contradiction forgets the piece and
//! reads again. Pages that aren't in RAM are asked of `TargetMemory`, which knows the files
//! behind them, and are never brought in.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use memtrace_common::memory::ReadMemory;

use crate::python::TargetMemory;

/// Bytes of one piece.
const PIECE: u64 = 64 << 10;
/// Pieces of each of the two generations that are kept: 128 MiB together.
const KEPT: usize = 1024;

struct Piece {
    bytes: Box<[u8]>,
    /// A bit a page.
    present: u64,
}

/// A target's memory, with what was last read of it.
pub(super) struct Blocks<'a> {
    memory: &'a TargetMemory,
    page: u64,
    last: RefCell<(u64, Option<Rc<Piece>>)>,
    young: RefCell<HashMap<u64, Rc<Piece>>>,
    old: RefCell<HashMap<u64, Rc<Piece>>>,
}

impl<'a> Blocks<'a> {
    #[must_use]
    pub(super) fn new(memory: &'a TargetMemory) -> Self {
        Self {
            memory,
            page: procfs::page_size(),
            last: RefCell::new((u64::MAX, None)),
            young: RefCell::default(),
            old: RefCell::default(),
        }
    }

    /// What was read near this address is to be read again.
    pub(super) fn forget(&self, address: u64) {
        let index = address / PIECE;
        *self.last.borrow_mut() = (u64::MAX, None);
        self.young.borrow_mut().remove(&index);
        self.old.borrow_mut().remove(&index);
    }

    fn piece(&self, index: u64) -> Rc<Piece> {
        if let (at, Some(piece)) = &*self.last.borrow()
            && *at == index
        {
            return Rc::clone(piece);
        }
        let mut young = self.young.borrow_mut();
        let known = young.get(&index).cloned().or_else(|| self.old.borrow_mut().remove(&index));
        let piece = known.unwrap_or_else(|| {
            let mut bytes = vec![0; PIECE as usize].into_boxed_slice();
            let present = self.memory.read_resident(index * PIECE, &mut bytes);
            Rc::new(Piece { bytes, present })
        });
        if young.len() >= KEPT {
            self.old.replace(std::mem::take(&mut young));
        }
        young.insert(index, Rc::clone(&piece));
        *self.last.borrow_mut() = (index, Some(Rc::clone(&piece)));
        piece
    }

    /// Fills `into`; `false` if not all of it can be read.
    #[must_use]
    pub(super) fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let (at, length) = ((address % PIECE) as usize, into.len());
        if at + length > PIECE as usize {
            return self.memory.read(address, into);
        }
        let piece = self.piece(address / PIECE);
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
        // SAFETY: the caller promises that `into` is valid for `length` bytes; they are made
        // initialised before a slice of them exists.
        let into = unsafe {
            into.write_bytes(0, length as usize);
            std::slice::from_raw_parts_mut(into, length as usize)
        };
        self.read(address, into)
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
