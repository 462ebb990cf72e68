//! Blocks of `malloc` that have a mapping of their own: numpy's arrays, large `bytes`, big lists.
//!
//! The kernel merges neighbouring mappings, so a block is told by the header that `malloc` writes
//! before it: its size, which makes whole pages, and the flag `IS_MMAPPED`. Blocks lie side by
//! side, each leads to the next. What is taken for one by chance would have to look like that.

use std::ops::Range;

use super::claims::Claims;
use super::heap::{SIZE_BITS, is_mapped_size};
use super::picture::{Block, Kind};
use super::residence::Residence;
use super::window::Window;
use crate::python::TargetMemory;
use crate::units::Bytes;

/// A block in the midst of other memory is believed from this size on: `malloc` gives smaller ones
/// no mapping unless it is told to (`M_MMAP_THRESHOLD`).
const LARGE: u64 = 128 << 10;

/// Bytes before a block that are its header.
const HEADER: u64 = 16;

/// Claims all blocks in unclaimed anonymous memory; the largest first.
pub(super) fn find(
    memory: &TargetMemory,
    mappings: &[Range<u64>],
    residence: &Residence,
    claims: &mut Claims,
) -> Vec<Block> {
    let page = procfs::page_size();
    let mut blocks = Vec::new();
    let gaps: Vec<_> = mappings.iter().flat_map(|mapping| claims.gaps(mapping)).collect();
    for gap in gaps {
        let mut at = gap.start.next_multiple_of(page);
        let mut chained = true;
        let mut window = Window::new(memory);
        while at < gap.end {
            let found = block(&mut window, at, gap.end, chained);
            let Some(length) = found else {
                chained = false;
                at += page;
                continue;
            };
            let range = at..at + length;
            claims.add_whole(range.clone(), Kind::LargeBlocks, residence);
            blocks.push(Block {
                address: at,
                mapped_bytes: Bytes(length.cast_signed()),
                rss_bytes: Bytes(residence.ram.within(&range).cast_signed()),
            });
            at += length;
            chained = true;
        }
    }
    blocks.sort_by_key(|block| (-block.mapped_bytes, block.address));
    blocks
}

/// Bytes of the block that begins with the page at `address`, and ends at `end` at most.
fn block(window: &mut Window<'_>, address: u64, end: u64, chained: bool) -> Option<u64> {
    let page = window.page_size();
    let length = block_length(window.page(address)?, page, end - address)?;
    if chained {
        return Some(length);
    }
    // Not where a block is due: it has to be large, and to lead to another or to the end.
    let next = address + length;
    let leads_on = length >= LARGE
        && (next == end
            || window.page(next).is_some_and(|it| block_length(it, page, end - next).is_some()));
    leads_on.then_some(length)
}

/// The length of the block whose first page this is. A block that had to be aligned begins behind
/// what was skipped, and says how much that is (`prev_size`; its lowest bit is a flag in 2.43).
/// glibc 2.43 leaves the header out of the size.
fn block_length(bytes: &[u8], page: u64, room: u64) -> Option<u64> {
    let word =
        |at: usize| bytes.get(at..at + 8).and_then(|it| it.try_into().ok()).map(u64::from_ne_bytes);
    (0..page).step_by(16).find_map(|skipped| {
        let size = word(skipped as usize + 8)?;
        let sound = word(skipped as usize)? & !1 == skipped && is_mapped_size(size);
        let length = skipped.checked_add(size & !SIZE_BITS).filter(|_| sound)?;
        [Some(length), length.checked_add(HEADER)]
            .into_iter()
            .flatten()
            .find(|it| it.is_multiple_of(page) && (1..=room).contains(it))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_page(skipped: usize, size: u64) -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        bytes[skipped..skipped + 8].copy_from_slice(&(skipped as u64).to_ne_bytes());
        bytes[skipped + 8..skipped + 16].copy_from_slice(&size.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_block_is_told_by_its_header() {
        let check = |bytes: &[u8], room, length| {
            assert_eq!(block_length(bytes, 4096, room), length);
        };
        check(&first_page(0, 0x21000 | 2), 1 << 20, Some(0x21000));
        check(&first_page(0, 0x21000 | 2), 0x21000, Some(0x21000));
        check(&first_page(0, 0x21000 | 2), 0x20000, None);
        check(&first_page(0, 0x21000 | 3), 1 << 20, None);
        check(&first_page(0, 0x21000), 1 << 20, None);
        check(&first_page(0, 0x21010 | 2), 1 << 20, None);
        // posix_memalign(64): 48 bytes are skipped, and taken off the size.
        check(&first_page(48, (0x21000 - 48) | 2), 1 << 20, Some(0x21000));
        // 2.43: without the header.
        check(&first_page(0, 0x20ff0 | 2), 1 << 20, Some(0x21000));
        check(&[0; 4096], 1 << 20, None);
    }
}
