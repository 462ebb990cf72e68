//! Going from chunk to chunk through a piece of glibc's heap.
//!
//! A chunk says its own size and whether the one *before* it is in use (`malloc/malloc.c`,
//! "chunk representation"). Pure but for the reader that it is given; knows nothing of arenas.

use std::ops::Range;

/// Bits of a size that are flags.
pub(in super::super) const SIZE_BITS: u64 = 7;
/// `PREV_INUSE`
const PREVIOUS_IN_USE: u64 = 1;
/// `IS_MMAPPED`
const MAPPED: u64 = 2;
/// Bytes of a fencepost, the smallest thing with a header; and of a real chunk.
const FENCEPOST: u64 = 16;
const SMALLEST: u64 = 32;
/// Bytes that are gone through before what was seen of them counts.
const STRETCH: u64 = 256 << 10;
/// A stretch that makes no sense is gone through so often again.
const READ_AGAIN: usize = 8;

/// What a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Held by the program, or by a thread's cache, or on a fast bin.
    Used,
    /// In a bin.
    Free,
    /// The end of the heap.
    Top,
}

/// Whether this is the size word of a chunk with a mapping of its own.
#[must_use]
pub(in super::super) fn is_mapped_size(size: u64) -> bool {
    size & SIZE_BITS == MAPPED
}

/// Goes through `range`, which begins with a chunk, and shows each to `visit` once. `top` is where
/// the top is, if it is in the range. `word` answers what is asked of it.
///
/// # Errors
///
/// The address up to which the chunks made sense.
pub(super) fn walk(
    range: Range<u64>,
    top: Option<u64>,
    word: &mut dyn FnMut(Ask) -> Option<u64>,
    visit: &mut dyn FnMut(Range<u64>, Use),
) -> Result<(), u64> {
    let mut anchor = range.start;
    // Whether what is before the anchor has been shown, and what of it waits for its successor.
    let mut waiting: Option<u64> = None;
    let mut seen = Vec::new();
    let mut attempts = 0;
    loop {
        seen.clear();
        match stretch(anchor, waiting, &range, top, word, &mut seen) {
            Some(next) => {
                for (range, used) in seen.drain(..) {
                    visit(range, used);
                }
                attempts = 0;
                match next {
                    Next::End => return Ok(()),
                    Next::At { chunk, previous } => (anchor, waiting) = (chunk, Some(previous)),
                }
            }
            None if attempts < READ_AGAIN => {
                attempts += 1;
                word(Ask::Forget);
            }
            None => return Err(waiting.unwrap_or(anchor)),
        }
    }
}

/// What is asked of a reader.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ask {
    /// The word at an address.
    Word(u64),
    /// Nothing, but to read anew from now on.
    Forget,
}

enum Next {
    /// The range is done.
    End,
    /// A chunk that is still to be looked at, and the one before it, whose use it will tell.
    At { chunk: u64, previous: u64 },
}

/// Goes through one stretch; `None` where something can't be a chunk.
fn stretch(
    anchor: u64,
    waiting: Option<u64>,
    range: &Range<u64>,
    top: Option<u64>,
    word: &mut dyn FnMut(Ask) -> Option<u64>,
    seen: &mut Vec<(Range<u64>, Use)>,
) -> Option<Next> {
    let (mut at, mut previous) = (anchor, waiting);
    loop {
        if at == range.end {
            // Without a top, and without a fencepost that closes it.
            seen.extend(previous.map(|it| (it..at, Use::Used)));
            return Some(Next::End);
        }
        if at >= anchor + STRETCH
            && let Some(previous) = previous
        {
            return Some(Next::At { chunk: at, previous });
        }
        let head = word(Ask::Word(at.checked_add(8)?))?;
        let size = head & !SIZE_BITS;
        if let Some(previous) = previous {
            let used = if head & PREVIOUS_IN_USE == 0 { Use::Free } else { Use::Used };
            seen.push((previous..at, used));
        }
        if Some(at) == top {
            seen.push((at..range.end, Use::Top));
            return Some(Next::End);
        }
        if size == 0 && top.is_none() {
            // The last fencepost of a heap that another has followed.
            seen.push((at..range.end, Use::Used));
            return Some(Next::End);
        }
        let next = at.checked_add(size)?;
        let sound = (size >= SMALLEST || size == FENCEPOST)
            && size.is_multiple_of(16)
            && head & MAPPED == 0
            && next <= range.end;
        if !sound {
            return None;
        }
        (at, previous) = (next, Some(at));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A heap at 0x1000 of chunks of these sizes with these flags, the last of them the top.
    fn heap(sizes: &[(u64, u64)]) -> (HashMap<u64, u64>, u64, u64) {
        let mut at = 0x1000;
        let mut words = HashMap::new();
        let mut top = at;
        for (size, flags) in sizes {
            words.insert(at + 8, size | flags);
            top = at;
            at += size;
        }
        (words, top, at)
    }

    type Seen = Vec<(u64, u64, Use)>;

    fn walked(
        words: &HashMap<u64, u64>,
        range: Range<u64>,
        top: Option<u64>,
    ) -> (Result<(), u64>, Seen) {
        let mut seen = Vec::new();
        let end = walk(
            range,
            top,
            &mut |ask| match ask {
                Ask::Word(at) => words.get(&at).copied(),
                Ask::Forget => None,
            },
            &mut |range, used| seen.push((range.start, range.end - range.start, used)),
        );
        (end, seen)
    }

    #[test]
    fn a_chunk_is_free_when_the_next_one_says_so() {
        let (words, top, end) = heap(&[(0x290, 1), (0x40, 1), (0x500, 1), (0x30, 0), (0x1000, 1)]);
        let (result, seen) = walked(&words, 0x1000..end, Some(top));
        assert_eq!(result, Ok(()));
        let expected = [
            (0x1000, 0x290, Use::Used),
            (0x1290, 0x40, Use::Used),
            (0x12d0, 0x500, Use::Free),
            (0x17d0, 0x30, Use::Used),
            (0x1800, 0x1000, Use::Top),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn every_chunk_is_shown_once_across_stretches() {
        let sizes: Vec<_> = (0..5000).map(|number| (0x20 + number % 7 * 0x10, 1)).collect();
        let (words, top, end) = heap(&sizes);
        let (result, seen) = walked(&words, 0x1000..end, Some(top));
        assert_eq!((result, seen.len()), (Ok(()), 5000));
        assert_eq!(seen.iter().map(|(_, size, _)| size).sum::<u64>(), end - 0x1000);
        assert!(end - 0x1000 > STRETCH, "one stretch proves nothing");
    }

    #[test]
    fn a_heap_that_was_followed_by_another_ends_with_its_fenceposts() {
        let (mut words, _, end) = heap(&[(0x100, 5), (0x200, 5), (0x10, 1)]);
        words.insert(end + 8, 1);
        let (result, seen) = walked(&words, 0x1000..end + 0x10, None);
        assert_eq!(result, Ok(()));
        assert_eq!(seen.iter().map(|(_, size, _)| size).sum::<u64>(), end + 0x10 - 0x1000);
    }

    #[test]
    fn what_can_not_be_a_chunk_ends_the_walk_where_sense_ended() {
        let ok = [(0x290, 1), (0x40, 1)];
        for bad in [(0x40, 2), (0x18, 1), (0x1_0000_0000, 1), (0x10_0008, 1)] {
            let (words, _, _) = heap(&[ok[0], ok[1], bad]);
            let (result, seen) = walked(&words, 0x1000..0x10_0000, Some(0x9_0000));
            assert_eq!(result, Err(0x1000), "{bad:?}");
            assert!(seen.is_empty());
        }
    }
}
