//! An interval map from pages to the stack that made them resident.
//!
//! Neighbouring pages of one stack and kind are one extent: a million pages grown in a loop by one
//! line cost one entry. Works in page numbers (address / 4096), knows nothing of bytes or names.

use std::collections::BTreeMap;

/// Pages `start..end` (page numbers) of one owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First page.
    pub start: u64,
    /// Behind the last page.
    pub end: u64,
    /// The owning stack.
    pub stack: u32,
    /// RSS counter, as in `memtrace_common::settings`.
    pub member: u8,
}

impl Extent {
    /// How many pages.
    #[must_use]
    pub fn pages(&self) -> i64 {
        (self.end - self.start) as i64
    }

    fn joins(&self, next: &Self) -> bool {
        self.end == next.start && self.stack == next.stack && self.member == next.member
    }
}

/// Who owns which page of one address space. Extents never overlap.
#[derive(Debug, Clone, Default)]
pub struct PageLedger {
    /// By first page: end, stack, member.
    extents: BTreeMap<u64, (u64, u32, u8)>,
}

impl PageLedger {
    /// All extents, in the order of their addresses.
    pub fn extents(&self) -> impl Iterator<Item = Extent> + '_ {
        self.extents.iter().map(|(&start, &(end, stack, member))| Extent {
            start,
            end,
            stack,
            member,
        })
    }

    /// Number of extents.
    #[must_use]
    pub fn len(&self) -> usize {
        self.extents.len()
    }

    /// Whether no page is owned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }

    /// Gives pages an owner. Pages that had one are taken from it and returned: they must have
    /// left RSS without a word, or they could not have been faulted in again.
    pub fn insert(&mut self, extent: Extent) -> Vec<Extent> {
        if extent.start >= extent.end {
            return Vec::new();
        }
        let last_before_end = self.extents.range(..extent.end).next_back();
        let displaced = match last_before_end {
            Some((_, &(end, ..))) if end > extent.start => self.remove(extent.start, extent.end),
            // Nearly always: pages that nobody owns.
            _ => Vec::new(),
        };
        self.put(extent);
        displaced
    }

    /// Gives an owner to `count` pages of `window` that have none, nearest to `page` first
    /// (`page` itself always): the kernel maps neighbours of a faulting file page along with it,
    /// and says only how many. Returns what `page` itself displaced.
    pub fn insert_around(
        &mut self,
        page: u64,
        count: u64,
        window: (u64, u64),
        (stack, member): (u32, u8),
    ) -> Vec<Extent> {
        let displaced = self.insert(Extent { start: page, end: page + 1, stack, member });
        let mut left = count.saturating_sub(1);
        let mut candidates: Vec<u64> =
            (window.0..window.1).filter(|other| !self.owns(*other)).collect();
        candidates.sort_by_key(|other| other.abs_diff(page));
        for other in candidates {
            if left == 0 {
                break;
            }
            self.put(Extent { start: other, end: other + 1, stack, member });
            left -= 1;
        }
        displaced
    }

    /// Whether the page has an owner.
    #[must_use]
    pub fn owns(&self, page: u64) -> bool {
        self.extents.range(..=page).next_back().is_some_and(|(_, &(end, ..))| page < end)
    }

    /// Takes `start..end` from its owners and returns what they had, cut to the range.
    pub fn remove(&mut self, start: u64, end: u64) -> Vec<Extent> {
        let mut removed = Vec::new();
        if start >= end {
            return removed;
        }
        self.split(start);
        self.split(end);
        while let Some((&at, &(until, stack, member))) = self.extents.range(start..end).next() {
            self.extents.remove(&at);
            removed.push(Extent { start: at, end: until, stack, member });
        }
        removed
    }

    /// Moves the pages of `from..from + length` to `to`; returns what stood in the way there.
    pub fn relocate(&mut self, from: u64, length: u64, to: u64) -> Vec<Extent> {
        let moving = self.remove(from, from.saturating_add(length));
        let mut displaced = Vec::new();
        for extent in moving {
            let start = to + (extent.start - from);
            displaced.extend(self.insert(Extent {
                start,
                end: start + (extent.end - extent.start),
                ..extent
            }));
        }
        displaced
    }

    /// Makes `page` the start of an extent if it lies inside one.
    fn split(&mut self, page: u64) {
        let Some((&start, &(end, stack, member))) = self.extents.range(..page).next_back() else {
            return;
        };
        if page < end {
            self.extents.insert(start, (page, stack, member));
            self.extents.insert(page, (end, stack, member));
        }
    }

    /// Puts an extent where nothing is, joining it with its neighbours.
    fn put(&mut self, mut extent: Extent) {
        if let Some(&(end, stack, member)) = self.extents.get(&extent.end) {
            let after = Extent { start: extent.end, end, stack, member };
            if extent.joins(&after) {
                self.extents.remove(&after.start);
                extent.end = end;
            }
        }
        if let Some((&start, owned)) = self.extents.range_mut(..extent.start).next_back() {
            let (end, stack, member) = *owned;
            if (Extent { start, end, stack, member }).joins(&extent) {
                owned.0 = extent.end;
                return;
            }
        }
        self.extents.insert(extent.start, (extent.end, extent.stack, extent.member));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(start: u64, end: u64, stack: u32) -> Extent {
        Extent { start, end, stack, member: 1 }
    }

    fn all(ledger: &PageLedger) -> Vec<Extent> {
        ledger.extents().collect()
    }

    #[test]
    fn a_million_pages_of_one_line_are_one_extent_whichever_way_it_grows() {
        let mut ledger = PageLedger::default();
        for page in 0..500_000 {
            assert!(ledger.insert(extent(1_000_000 + page, 1_000_001 + page, 7)).is_empty());
            ledger.insert(extent(999_999 - page, 1_000_000 - page, 7));
        }
        assert_eq!(all(&ledger), [extent(500_000, 1_500_000, 7)]);
    }

    #[test]
    fn a_range_taken_out_of_the_middle_leaves_both_ends_to_their_owner() {
        let mut ledger = PageLedger::default();
        ledger.insert(extent(10, 20, 1));
        ledger.insert(extent(20, 30, 2));
        assert_eq!(ledger.remove(15, 25), [extent(15, 20, 1), extent(20, 25, 2)]);
        assert_eq!(all(&ledger), [extent(10, 15, 1), extent(25, 30, 2)]);
        assert!(ledger.remove(15, 25).is_empty());
    }

    #[test]
    fn a_page_faulted_in_again_goes_to_the_new_owner() {
        let mut ledger = PageLedger::default();
        ledger.insert(extent(10, 20, 1));
        assert_eq!(ledger.insert(extent(12, 13, 2)), [extent(12, 13, 1)]);
        assert_eq!(all(&ledger), [extent(10, 12, 1), extent(12, 13, 2), extent(13, 20, 1)]);
    }

    #[test]
    fn moved_pages_keep_their_owners() {
        let mut ledger = PageLedger::default();
        ledger.insert(extent(10, 12, 1));
        ledger.insert(extent(14, 16, 2));
        ledger.insert(extent(101, 102, 3));
        // Pages 10..16 move to 100..106; the gap 12..14 had no owner and gets none.
        assert_eq!(ledger.relocate(10, 6, 100), [extent(101, 102, 3)]);
        assert_eq!(all(&ledger), [extent(100, 102, 1), extent(104, 106, 2)]);
    }

    #[test]
    fn pages_mapped_around_a_fault_stay_in_the_window_and_off_owned_pages() {
        let mut ledger = PageLedger::default();
        ledger.insert(extent(33, 34, 1));
        ledger.insert_around(34, 3, (32, 48), (2, 0));
        let owned: Vec<_> = all(&ledger).iter().map(|e| (e.start, e.end, e.stack)).collect();
        // The page itself, 35 beside it, then 32: 33 is another's, and 36 is as far but later.
        assert_eq!(owned, [(32, 33, 2), (33, 34, 1), (34, 36, 2)]);
    }

    #[test]
    fn random_operations_agree_with_an_array_of_pages() {
        let mut state = 12345u64;
        let mut next = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % bound
        };
        let mut ledger = PageLedger::default();
        let mut model = [0u32; 128];
        for _ in 0..20_000 {
            let (start, length, stack) = (next(100), 1 + next(20), 1 + next(3) as u32);
            if next(3) == 0 {
                ledger.remove(start, start + length);
                model[start as usize..(start + length) as usize].fill(0);
            } else {
                ledger.insert(extent(start, start + length, stack));
                model[start as usize..(start + length) as usize].fill(stack);
            }
            let mut seen = [0u32; 128];
            let mut last: Option<Extent> = None;
            for e in ledger.extents() {
                assert!(last.is_none_or(|l| l.end <= e.start && !l.joins(&e)), "{last:?} {e:?}");
                seen[e.start as usize..e.end as usize].fill(e.stack);
                last = Some(e);
            }
            assert_eq!(seen, model);
        }
    }
}
