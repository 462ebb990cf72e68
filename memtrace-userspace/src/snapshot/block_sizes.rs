//! How large the block of pymalloc is that an address lies in.
//!
//! Pure. The census asks for every object, so the answer is one look into a table where the
//! arenas lie close enough together, as they mostly do.

use super::layout::Layout;

/// Pools that the table covers at most: 256 GiB of address space in pools of 16 KiB.
const TABLE_LIMIT: u64 = 1 << 24;
/// No class.
const NO_CLASS: u8 = u8::MAX;

/// Which size class the blocks of each pool in use have.
#[derive(Debug)]
pub(super) struct BlockSizes {
    pool_size: u64,
    alignment: u64,
    /// Numbers of pools (address by size), and their classes; sorted when all are there.
    pools: Vec<(u64, u8)>,
    /// The classes from the first pool on, if it is not too long.
    table: Option<Vec<u8>>,
}

impl BlockSizes {
    #[must_use]
    pub(super) fn new(layout: &Layout) -> Self {
        let (pool_size, alignment) = (layout.pool_size, layout.block_alignment);
        Self { pool_size, alignment, pools: Vec::new(), table: None }
    }

    /// The blocks of the pool at this address are of this class.
    pub(super) fn add(&mut self, address: u64, class: u8) {
        self.pools.push((address / self.pool_size, class));
    }

    /// All pools are known.
    pub(super) fn finish(&mut self) {
        self.pools.sort_unstable();
        let (Some((first, _)), Some((last, _))) = (self.pools.first(), self.pools.last()) else {
            return;
        };
        if last - first < TABLE_LIMIT {
            let mut table = vec![NO_CLASS; (last - first + 1) as usize];
            for (pool, class) in &self.pools {
                if let Some(entry) = table.get_mut((pool - first) as usize) {
                    *entry = *class;
                }
            }
            self.table = Some(table);
        }
    }

    /// Bytes of the block that this address is in, if it is in a pool in use.
    #[must_use]
    pub(super) fn of(&self, address: u64) -> Option<u64> {
        let pool = address / self.pool_size;
        let class = match &self.table {
            Some(table) => {
                let at = pool.checked_sub(self.pools.first()?.0)?;
                *table.get(usize::try_from(at).ok()?)?
            }
            None => {
                let at = self.pools.binary_search_by_key(&pool, |(pool, _)| *pool).ok()?;
                self.pools.get(at)?.1
            }
        };
        (class != NO_CLASS).then_some((u64::from(class) + 1) * self.alignment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_block_of_its_pool_or_in_none() {
        for far in [0x7f00_0010_0000_u64, 0x7fff_0000_0000] {
            let mut sizes =
                BlockSizes { pool_size: 16384, alignment: 16, pools: Vec::new(), table: None };
            sizes.add(far, 31);
            sizes.add(0x7f00_0000_0000, 0);
            sizes.add(0x7f00_0000_8000, 2);
            sizes.finish();
            assert_eq!(sizes.table.is_some(), far < 0x7f01_0000_0000);
            let check = |address, size| assert_eq!(sizes.of(address), size, "{address:#x}");
            check(0x7f00_0000_0000, Some(16));
            check(0x7f00_0000_3fff, Some(16));
            check(0x7f00_0000_4000, None);
            check(0x7f00_0000_8030, Some(48));
            check(far + 100, Some(512));
            check(far + 16384, None);
            check(0x7e00_0000_0000, None);
            check(0, None);
        }
    }
}
