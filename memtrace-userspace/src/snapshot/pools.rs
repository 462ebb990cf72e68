//! One pool of pymalloc, decoded and checked by its own invariant.
//!
//! Pure. A pool's header counts its live blocks; so do the blocks that were carved from it less
//! those on its list of free ones. A pool that was written to while it was read says two numbers
//! (`Objects/obmalloc.c`, the same in 3.8 to 3.15; layout: `docs/cpython.md`, 6.4).

/// Bytes of `struct pool_header`, rounded up.
pub(super) const POOL_OVERHEAD: u64 = 48;

/// What a pool holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    /// No block in use.
    Free,
    /// Blocks of one size.
    Used {
        /// Index of the size class.
        class: u8,
        /// Blocks in use.
        live: u64,
        /// The list of free blocks ran into a page that isn't in RAM: the header was believed.
        unchecked: bool,
    },
    /// It contradicts itself. Its header alone may still make sense: a class and live blocks.
    Torn(Option<(u8, u64)>),
}

/// Decodes the pool that stands at `address`, all of it. `readable` says whether the page of a
/// byte of the pool was read.
#[must_use]
pub(super) fn examine(
    pool: &[u8],
    address: u64,
    alignment: u64,
    classes: usize,
    readable: impl Fn(u64) -> bool,
) -> Pool {
    let word = |at: u64| {
        let at = usize::try_from(at).ok()?;
        Some(u64::from_ne_bytes(pool.get(at..at + 8)?.try_into().ok()?))
    };
    let half = |at: u64| word(at & !7).map(|it| (it >> (8 * (at & 4))) & 0xffff_ffff);
    let decoded = || {
        let (count, class) = (half(0)?, half(36)?);
        if count == 0 {
            return Some(Pool::Free);
        }
        let class = u8::try_from(class).ok().filter(|&it| usize::from(it) < classes)?;
        let size = (u64::from(class) + 1) * alignment;
        let carved_bytes = half(40)?.checked_sub(POOL_OVERHEAD)?;
        let capacity = (pool.len() as u64).checked_sub(POOL_OVERHEAD)? / size;
        let carved = carved_bytes / size;
        if carved_bytes % size != 0 || carved > capacity || count > carved {
            return None;
        }
        let mut free = 0;
        let mut next = word(8)?;
        let mut unchecked = false;
        while next != 0 {
            let at = next.checked_sub(address)?.checked_sub(POOL_OVERHEAD)?;
            if at % size != 0 || at / size >= carved || free >= carved {
                return None;
            }
            if !readable(at + POOL_OVERHEAD) {
                unchecked = true;
                break;
            }
            free += 1;
            next = word(at + POOL_OVERHEAD)?;
        }
        let agrees = unchecked || carved - free == count;
        agrees.then_some(Pool::Used { class, live: count, unchecked })
    };
    let header = || {
        let (live, class) = (half(0)?, u8::try_from(half(36)?).ok()?);
        let size = (u64::from(class) + 1) * alignment;
        let capacity = (pool.len() as u64).checked_sub(POOL_OVERHEAD)? / size;
        (usize::from(class) < classes && live <= capacity).then_some((class, live))
    };
    decoded().unwrap_or_else(|| Pool::Torn(header()))
}

/// A pool's bytes by what they are for; of each, what is resident.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) live: u64,
    pub(super) free: u64,
    pub(super) overhead: u64,
}

/// Divides the `resident` bytes of a pool in use. A pool is carved from its beginning, so what
/// was never touched is first of all free; only what is swapped can be more than that.
#[must_use]
pub(super) fn divide(pool_size: u64, block: u64, live_blocks: u64, resident: u64) -> Parts {
    let capacity = pool_size.saturating_sub(POOL_OVERHEAD) / block.max(1);
    let live = live_blocks.min(capacity) * block;
    let overhead = pool_size - capacity * block;
    let free = pool_size - overhead - live;
    let mut missing = pool_size.saturating_sub(resident);
    let mut take = |part: u64| {
        let taken = part.min(missing);
        missing -= taken;
        part - taken
    };
    let free = take(free);
    let live = take(live);
    Parts { free, live, overhead: take(overhead) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: u64 = 0x7f00_0000_4000;

    /// A pool of 4 KiB for blocks of 64 bytes: 10 carved, of which `free` are free in this order.
    fn pool(count: u32, free: &[u64]) -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        let mut put = |at: u64, value: u64, width: usize| {
            let at = at as usize;
            bytes[at..at + width].copy_from_slice(&value.to_ne_bytes()[..width]);
        };
        put(0, count.into(), 4);
        put(36, 3, 4);
        put(40, 48 + 10 * 64, 4);
        let mut link = 8;
        for block in free {
            put(link, ADDRESS + 48 + block * 64, 8);
            link = 48 + block * 64;
        }
        put(link, 0, 8);
        bytes
    }

    fn decode(bytes: &[u8]) -> Pool {
        examine(bytes, ADDRESS, 16, 32, |_| true)
    }

    #[test]
    fn a_pool_that_agrees_with_itself_is_believed() {
        let used = |live| Pool::Used { class: 3, live, unchecked: false };
        assert_eq!(decode(&pool(10, &[])), used(10));
        assert_eq!(decode(&pool(7, &[3, 9, 0])), used(7));
        assert_eq!(decode(&pool(0, &[])), Pool::Free);
    }

    #[test]
    fn a_pool_that_contradicts_itself_is_torn() {
        let torn = |live| Pool::Torn(Some((3, live)));
        assert_eq!(decode(&pool(9, &[])), torn(9), "ten carved, none free, nine live");
        assert_eq!(decode(&pool(7, &[3, 9])), torn(7));
        assert_eq!(decode(&pool(9, &[10])), torn(9), "a free block that was never carved");
        let mut crooked = pool(9, &[1]);
        crooked[8] += 8;
        assert_eq!(decode(&crooked), torn(9));
        let mut circle = pool(8, &[1, 2]);
        let first = ADDRESS + 48 + 64;
        circle[48 + 128..48 + 136].copy_from_slice(&first.to_ne_bytes());
        assert_eq!(decode(&circle), torn(8));
        let mut class = pool(10, &[]);
        class[36] = 32;
        assert_eq!(decode(&class), Pool::Torn(None));
        assert_eq!(decode(&pool(70, &[])), Pool::Torn(None), "63 blocks of 64 bytes fit");
        assert_eq!(decode(&[]), Pool::Torn(None));
    }

    #[test]
    fn a_list_that_leaves_ram_is_not_followed() {
        let bytes = pool(7, &[3, 9, 0]);
        let decoded = examine(&bytes, ADDRESS, 16, 32, |at| at < 500);
        assert_eq!(decoded, Pool::Used { class: 3, live: 7, unchecked: true });
    }

    #[test]
    fn what_is_resident_of_a_pool_is_divided_without_remainder() {
        let check = |block, live, resident, parts: (u64, u64, u64)| {
            let (live_bytes, free, overhead) = parts;
            let divided = divide(16384, block, live, resident);
            assert_eq!(divided, Parts { live: live_bytes, free, overhead });
            assert_eq!(live_bytes + free + overhead, resident);
        };
        // 510 blocks of 32 fill 16320 of the 16336 bytes behind the header.
        check(32, 510, 16384, (16320, 0, 64));
        check(32, 10, 16384, (320, 16000, 64));
        // Only the first page was ever touched.
        check(32, 10, 4096, (320, 3712, 64));
        // Two pages of a full pool are in swap.
        check(32, 510, 8192, (8128, 0, 64));
        check(512, 31, 0, (0, 0, 0));
    }
}
