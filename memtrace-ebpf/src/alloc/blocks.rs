//! The books of the allocator lens: live blocks, and sums by stack and thread.

use memtrace_common::lens::{Block, BlockKey, Lens, Owner, Sums};

use super::maps::{BLOCKS, SUMS};
use crate::atomic;

/// One more.
#[inline(always)]
pub fn count(word: &mut u64) {
    add(word, 1);
}

/// More.
#[inline(always)]
pub fn add(word: &mut u64, value: u64) {
    // SAFETY: a word of map memory.
    unsafe { atomic::fetch_add(word, value) };
}

/// Takes a live block out.
#[inline(always)]
pub fn take(key: &BlockKey) -> Option<Block> {
    // SAFETY: a copy of map memory that only this thread changes: it owns the block.
    let block = unsafe { BLOCKS.get(key) }.copied()?;
    let _ = BLOCKS.remove(key);
    Some(block)
}

/// Books a new block. What was at its address is gone, whether or not that was seen.
#[inline(always)]
pub fn born(space: u32, lens: &mut Lens, address: u64, block: &Block) {
    let key = BlockKey { address, space: u64::from(space) };
    if let Some(before) = take(&key) {
        count(&mut lens.unseen);
        // Nobody knows when: not at once.
        died(space, &before, None);
    }
    let owner = Owner { stack: block.stack, space, tid: block.tid };
    let Some(sums) = sums(&owner) else { return lose(lens, block) };
    if BLOCKS.insert(key, block, 0).is_err() {
        return lose(lens, block);
    }
    add(&mut sums.allocations, block.weight);
    add(&mut sums.bytes, block.size * block.weight);
}

#[inline(always)]
fn lose(lens: &mut Lens, block: &Block) {
    count(&mut lens.lost);
    add(&mut lens.lost_bytes, block.size);
}

/// Puts a block back whose `realloc` failed.
#[inline(always)]
pub fn restore(space: u32, address: u64, block: &Block) {
    let _ = BLOCKS.insert(BlockKey { address, space: u64::from(space) }, block, 0);
}

/// Books the end of a block. `by` is the thread that frees it, with its number of allocations.
#[inline(always)]
pub fn died(space: u32, block: &Block, by: Option<(u32, u32)>) {
    let Some(sums) = sums(&Owner { stack: block.stack, space, tid: block.tid }) else { return };
    add(&mut sums.freed, block.weight);
    add(&mut sums.freed_bytes, block.size * block.weight);
    let Some((tid, order)) = by else { return };
    if tid == block.tid && order.wrapping_sub(block.order) <= 1 {
        add(&mut sums.temporary, block.weight);
        add(&mut sums.temporary_bytes, block.size * block.weight);
    }
}

#[inline(always)]
fn sums(owner: &Owner) -> Option<&'static mut Sums> {
    const NOTHING: Sums = Sums {
        allocations: 0,
        bytes: 0,
        freed: 0,
        freed_bytes: 0,
        temporary: 0,
        temporary_bytes: 0,
    };
    if let Some(sums) = SUMS.get_ptr_mut(owner) {
        // SAFETY: map memory; its words are added to only.
        return Some(unsafe { &mut *sums });
    }
    // Another thread of the same number can't be there; user space may be taking it out.
    let _ = SUMS.insert(owner, NOTHING, 0);
    // SAFETY: as above.
    SUMS.get_ptr_mut(owner).map(|sums| unsafe { &mut *sums })
}
