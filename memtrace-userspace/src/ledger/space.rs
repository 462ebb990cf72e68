//! One address space's books: per stack what it grew and gave back, per page who owns it, and
//! what nobody can answer for.
//!
//! Every change of a counter is booked exactly once, on a stack or on a row, so that
//! `before + accounts + rows` is the counter's last value whatever the target does.

use std::collections::HashMap;

use memtrace_common::event::{Growth, Moved, Returned, call, context};
use memtrace_common::settings::{ANON, COUNTERS, SWAP};

use super::pages::{Extent, PageLedger};
use crate::profile::Reason;
use crate::units::PAGE;

/// The kernel side's id of a stack (a hash).
pub type StackKey = u64;

/// Pages per RSS counter, in the kernel's order. The swap slot stays zero.
type Pages = [i64; COUNTERS];

/// The kernel maps up to this many neighbours along with a faulting file page
/// (`fault_around_bytes`, 64 KiB by default, aligned).
const FAULT_AROUND: u64 = 16;

/// Where `brk`'s heap can't reach: the region of `mmap` on x86-64.
const HEAP_CEILING: u64 = 0x7000_0000_0000 / PAGE;

/// What one stack did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// Pages added by it.
    pub grown: Pages,
    /// Of those, pages given back, by whomever.
    pub returned: Pages,
    /// Pages given back by it, whoever had grown them.
    pub released: i64,
    /// Pages copied on write by it.
    pub copied: i64,
    /// Changes booked on it.
    pub events: u64,
    /// Highest RSS seen at it, in pages.
    pub peak_rss: u32,
    /// The id that its frames are known by.
    pub key: StackKey,
}

/// Who or what an unattributed change is booked on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowKey {
    /// A reason without a name.
    Plain(Reason),
    /// A reason whose name is that of the stack's thread.
    OfStack(Reason, StackKey),
}

/// A row of change that no line can answer for.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    pages: Pages,
    events: u64,
}

/// A call that gives back a range, while the kernel reports it piece by piece.
#[derive(Debug)]
struct Pending {
    call: u16,
    start: u64,
    length: u64,
    /// Pages that the ledger had there and the kernel has not reported yet.
    expected: Pages,
}

/// The books of one address space.
#[derive(Debug, Default)]
pub struct SpaceLedger {
    before: Pages,
    accounts: Vec<Account>,
    by_key: HashMap<StackKey, u32>,
    rows: HashMap<RowKey, Row>,
    pages: PageLedger,
    pending: HashMap<u32, Pending>,
    /// Pages grown at addresses that the kernel doesn't tell (`MAP_POPULATE`), newest last.
    unplaced: Vec<(u32, u8, i64)>,
    peak_rss: u32,
}

impl SpaceLedger {
    /// Books that begin with `before` pages per counter.
    #[must_use]
    pub fn new(before: Pages) -> Self {
        let peak_rss = rss(&before) as u32;
        Self { before: without_swap(before), peak_rss, ..Self::default() }
    }

    /// Pages per counter at the beginning.
    #[must_use]
    pub fn before(&self) -> Pages {
        self.before
    }

    /// Highest RSS seen, in pages.
    #[must_use]
    pub fn peak_rss(&self) -> u32 {
        self.peak_rss
    }

    /// Per stack, in the order in which they were met.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Unattributed changes: pages per counter and events.
    pub fn rows(&self) -> impl Iterator<Item = (&RowKey, Pages, u64)> {
        self.rows.iter().map(|(key, row)| (key, row.pages, row.events))
    }

    /// Who owns which page.
    #[must_use]
    pub fn pages(&self) -> &PageLedger {
        &self.pages
    }

    /// Pages of each account that the kernel told no address for.
    pub fn unplaced(&self) -> impl Iterator<Item = (u32, i64)> + '_ {
        self.unplaced.iter().map(|(account, _, pages)| (*account, *pages))
    }

    /// Counter's last value, as the books have it.
    #[must_use]
    pub fn balance(&self) -> Pages {
        let mut sum = self.before;
        for account in &self.accounts {
            for (member, total) in sum.iter_mut().enumerate() {
                *total += account.grown[member] - account.returned[member];
            }
        }
        for row in self.rows.values() {
            for (member, total) in sum.iter_mut().enumerate() {
                *total += row.pages[member];
            }
        }
        // What a call under way was expected to give back and hasn't yet is booked as returned.
        for pending in self.pending.values() {
            for (member, total) in sum.iter_mut().enumerate() {
                *total += pending.expected[member];
            }
        }
        sum
    }

    /// The law: by how much the books miss `now`.
    #[must_use]
    pub fn gap(&self, now: Pages) -> Pages {
        let (now, balance) = (without_swap(now), self.balance());
        std::array::from_fn(|member| now[member] - balance[member])
    }

    fn account(&mut self, key: StackKey) -> u32 {
        *self.by_key.entry(key).or_insert_with(|| {
            self.accounts.push(Account { key, ..Account::default() });
            self.accounts.len() as u32 - 1
        })
    }

    fn book(&mut self, key: RowKey, member: usize, pages: i64, events: u64) {
        let row = self.rows.entry(key).or_default();
        row.pages[member] += pages;
        row.events += events;
    }

    /// Books a change that no stack answers for.
    pub fn book_plain(&mut self, reason: Reason, pages: Pages, events: u64) {
        for (member, pages) in without_swap(pages).into_iter().enumerate() {
            if pages != 0 {
                self.book(RowKey::Plain(reason), member, pages, 0);
            }
        }
        if events != 0 {
            self.book(RowKey::Plain(reason), ANON, 0, events);
        }
    }

    /// RSS changed.
    pub fn growth(&mut self, event: &Growth) {
        self.settle(event.tid);
        self.peak_rss = self.peak_rss.max(event.rss_pages);
        let (member, pages) = (event.member as usize % COUNTERS, i64::from(event.pages));
        let reason = match event.context {
            context::KERNEL => Some(Reason::Kernel),
            context::REMOTE => Some(Reason::OtherProcess),
            // Shrunk without a range: truncation, direct reclaim.
            _ if pages < 0 => Some(Reason::Kernel),
            _ => None,
        };
        if let Some(reason) = reason {
            self.book(RowKey::OfStack(reason, event.stack), member, pages, 1);
            return;
        }
        let stack = self.account(event.stack);
        let account = &mut self.accounts[stack as usize];
        account.grown[member] += pages;
        account.events += 1;
        account.peak_rss = account.peak_rss.max(event.rss_pages);
        self.place(event.address / PAGE, pages, stack, member);
    }

    /// Notes where grown pages are.
    fn place(&mut self, page: u64, pages: i64, stack: u32, member: usize) {
        let member_number = member as u8;
        let count = pages as u64;
        let displaced = if page == 0 {
            match self.unplaced.last_mut() {
                Some((last, of, there)) if (*last, *of) == (stack, member_number) => {
                    *there += pages;
                }
                _ => self.unplaced.push((stack, member_number, pages)),
            }
            Vec::new()
        } else if count.is_power_of_two() && (member == ANON || count == 1 || count > FAULT_AROUND)
        {
            // A large folio is aligned to its size.
            let start = page & !(count - 1);
            self.pages.insert(Extent { start, end: start + count, stack, member: member_number })
        } else {
            let window = count.next_power_of_two().max(FAULT_AROUND);
            let start = page & !(window - 1);
            self.pages.insert_around(page, count, (start, start + window), (stack, member_number))
        };
        self.book_displaced(&displaced);
    }

    /// Pages that were faulted in a second time had left RSS before, without the ledger's knowing:
    /// that change is on some row already, and is taken from there to their owner.
    fn book_displaced(&mut self, displaced: &[Extent]) {
        for extent in displaced {
            let (member, pages) = (extent.member as usize, extent.pages());
            self.accounts[extent.stack as usize].returned[member] += pages;
            self.book(RowKey::Plain(Reason::Reclaimed), member, pages, 0);
        }
    }

    /// RSS shrank because a thread of the target gave back a range (or part of one: the kernel
    /// reports a large call in pieces).
    pub fn returned(&mut self, event: &Returned) {
        self.peak_rss = self.peak_rss.max(event.rss_pages);
        let member = event.member as usize % COUNTERS;
        let continues = self.pending.get(&event.tid).is_some_and(|pending| {
            (pending.call, pending.start, pending.length) == (event.call, event.start, event.length)
        });
        if !continues {
            self.settle(event.tid);
            let expected = self.take_back(event);
            self.pending.insert(
                event.tid,
                Pending { call: event.call, start: event.start, length: event.length, expected },
            );
        }
        let pages = i64::from(event.pages);
        if let Some(pending) = self.pending.get_mut(&event.tid) {
            pending.expected[member] += pages;
        }
        let stack = self.account(event.stack);
        let account = &mut self.accounts[stack as usize];
        account.released -= pages;
        account.events += 1;
        account.peak_rss = account.peak_rss.max(event.rss_pages);
    }

    /// Takes the call's range from its owners; returns how many pages per counter they had there.
    fn take_back(&mut self, event: &Returned) -> Pages {
        let start = event.start.div_ceil(PAGE);
        let end = match event.call {
            call::BRK => HEAP_CEILING,
            _ => event.start.saturating_add(event.length).div_ceil(PAGE),
        };
        let mut expected = Pages::default();
        for extent in self.pages.remove(start, end) {
            let member = extent.member as usize;
            self.accounts[extent.stack as usize].returned[member] += extent.pages();
            expected[member] += extent.pages();
        }
        expected
    }

    /// Ends the thread's call under way: what the kernel gave back beyond the ledger's knowledge
    /// was there before attach; what it did not give back had left RSS before.
    fn settle(&mut self, tid: u32) {
        let Some(pending) = self.pending.remove(&tid) else { return };
        for (member, mut left) in pending.expected.into_iter().enumerate() {
            if left < 0 {
                left += self.take_unplaced(member, -left);
            }
            match left {
                0 => {}
                1.. => self.book(RowKey::Plain(Reason::Reclaimed), member, left, 0),
                _ => self.book(RowKey::Plain(Reason::BeforeAttachReturned), member, left, 0),
            }
        }
    }

    /// Credits up to `pages` of a return to pages grown at untold addresses, newest first.
    fn take_unplaced(&mut self, member: usize, pages: i64) -> i64 {
        let mut left = pages;
        for (stack, of_member, there) in self.unplaced.iter_mut().rev() {
            if *of_member as usize == member {
                let taken = left.min(*there);
                *there -= taken;
                left -= taken;
                self.accounts[*stack as usize].returned[member] += taken;
            }
        }
        self.unplaced.retain(|(.., there)| *there > 0);
        pages - left
    }

    /// Ends all calls under way; the books are then complete.
    pub fn settle_all(&mut self) {
        let tids: Vec<u32> = self.pending.keys().copied().collect();
        for tid in tids {
            self.settle(tid);
        }
    }

    /// `mremap` moved a range: pages keep their owners.
    pub fn moved(&mut self, event: &Moved) {
        let to = aligned_for_huge_pages(event) / PAGE;
        let length = event.length.min(event.new_length).div_ceil(PAGE);
        let displaced = self.pages.relocate(event.from / PAGE, length, to);
        self.book_displaced(&displaced);
    }

    /// A page was copied on write.
    pub fn copied(&mut self, stack: StackKey) {
        let stack = self.account(stack);
        self.accounts[stack as usize].copied += 1;
    }
}

/// Where a moved mapping begins. The kernel announces the gap that it found; for mappings that
/// huge pages could serve it looks for one a huge page longer and aligns within it
/// (`__thp_get_unmapped_area`, `mm/huge_memory.c`, with offset 0 for anonymous memory).
fn aligned_for_huge_pages(event: &Moved) -> u64 {
    const HUGE: u64 = 2 << 20;
    let length = event.new_length.next_multiple_of(PAGE);
    if event.area_length != length + HUGE {
        return event.to;
    }
    match event.to % HUGE {
        0 => event.to + HUGE,
        past => event.to + (HUGE - past),
    }
}

fn without_swap(mut pages: Pages) -> Pages {
    pages[SWAP] = 0;
    pages
}

fn rss(pages: &Pages) -> i64 {
    without_swap(*pages).iter().sum()
}

#[cfg(test)]
mod tests;
