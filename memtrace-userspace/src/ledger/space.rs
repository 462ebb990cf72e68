//! One address space's books: per stack what it grew and gave back, per page who owns it, and
//! what nobody can answer for.
//!
//! Every change of a counter is booked exactly once, on a stack or on a row, so that
//! `before + accounts + rows` is the counter's last value whatever the target does. Figures leave
//! the books by windows of time ([`SpaceLedger::close_window`]).

use std::collections::HashMap;

use memtrace_common::event::{Growth, Moved, Returned, begins, call, context};
use memtrace_common::limits::MAX_THIN;
use memtrace_common::settings::{ANON, COUNTERS, NOT_WALKED};

use super::accounts::{Account, Accounts, Pages, Row, RowKey, rss, without_swap};
use super::pages::{Extent, PageLedger};
use crate::machine;
use crate::profile::Reason;
use crate::units::PAGE;

/// The kernel side's id of a stack (a hash).
pub type StackKey = u64;

/// The kernel maps up to this many neighbours along with a faulting file page
/// (`fault_around_bytes`, 64 KiB by default, aligned).
const FAULT_AROUND: u64 = 16;

/// Where `brk`'s heap can't reach.
const HEAP_CEILING: u64 = machine::HERE.heap_ceiling() / PAGE;

/// A window is closed at a peak, so that who held memory then is known, when the peak is higher
/// than the last such one by this part of it and so many pages. Peaks of a process that grows for
/// ever are a geometric series: few.
const PEAK_STEP: (i64, i64) = (64, 256);

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
    accounts: Accounts,
    pages: PageLedger,
    pending: HashMap<u32, Pending>,
    /// Pages grown at addresses that the kernel doesn't tell (`MAP_POPULATE`), newest last.
    unplaced: Vec<(u32, u8, i64)>,
    /// Highest RSS in the open window.
    peak_rss: u32,
    /// Changes in the open window.
    events: u64,
    /// RSS at which the next peak closes a window.
    next_peak: i64,
    /// Windows that were closed at peaks.
    at_peaks: Vec<WindowFigures>,
    /// What the last window booked for calls that were under way at its end.
    under_way: Pages,
}

/// What a window of time has come to, in pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowFigures {
    /// Counters at its end.
    pub counters: Pages,
    /// Highest RSS in it.
    pub peak_rss: u32,
    /// Accounts that changed.
    pub accounts: Vec<Account>,
    /// Rows that changed.
    pub rows: Vec<Row>,
}

impl SpaceLedger {
    /// Books that begin with `before` pages per counter.
    #[must_use]
    pub fn new(before: Pages) -> Self {
        let before = without_swap(before);
        let mut books = Self { before, peak_rss: rss(&before) as u32, ..Self::default() };
        books.expect_peak();
        books
    }

    /// Pages per counter at the beginning.
    #[must_use]
    pub fn before(&self) -> Pages {
        self.before
    }

    /// Who owns which page.
    #[must_use]
    pub fn pages(&self) -> &PageLedger {
        &self.pages
    }

    /// Pages that the kernel told no address for, with their owners.
    pub fn unplaced(&self) -> impl Iterator<Item = ((StackKey, u32), i64)> + '_ {
        self.unplaced.iter().map(|(account, _, pages)| (self.owner(*account), *pages))
    }

    /// Whose pages an extent of the page ledger has: stack and thread.
    #[must_use]
    pub fn owner(&self, account: u32) -> (StackKey, u32) {
        self.accounts.owner(account)
    }

    /// Counters' last values, as the books have them.
    #[must_use]
    pub fn balance(&self) -> Pages {
        let (booked, expected) = (self.accounts.booked(), self.expected());
        std::array::from_fn(|member| {
            // A call under way has its return booked at once, and expects it of the kernel yet.
            self.before[member] + booked[member] - self.under_way[member] + expected[member]
        })
    }

    /// What calls under way have booked as given back and the kernel has not reported yet.
    fn expected(&self) -> Pages {
        let mut sum = Pages::default();
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

    /// Books a change that no stack answers for.
    pub fn book_plain(&mut self, reason: Reason, pages: Pages, events: u64) {
        self.accounts.book_plain(reason, pages, events);
    }

    /// Takes out what the open window has come to, and opens the next. The law holds for each
    /// window: calls under way at its end have a row of their own, which the next one takes back.
    pub fn close_window(&mut self) -> WindowFigures {
        let expected = self.expected();
        let change: Pages = std::array::from_fn(|of| expected[of] - self.under_way[of]);
        self.accounts.book_plain(Reason::UnderWay, change, 0);
        self.under_way = expected;
        let counters = self.balance();
        let (accounts, rows) = self.accounts.close_window();
        self.events = 0;
        let peak_rss = std::mem::replace(&mut self.peak_rss, rss(&counters) as u32);
        WindowFigures { counters, peak_rss, accounts, rows }
    }

    /// Changes in the open window.
    #[must_use]
    pub fn open_events(&self) -> u64 {
        self.events
    }

    /// Windows that were closed at peaks since they were last taken, oldest first.
    pub fn take_peaks(&mut self) -> Vec<WindowFigures> {
        std::mem::take(&mut self.at_peaks)
    }

    /// RSS is about to shrink: closes the window if it is the highest by far.
    fn note_peak(&mut self) {
        if i64::from(self.peak_rss) < self.next_peak || rss(&self.balance()) < self.next_peak {
            return;
        }
        let window = self.close_window();
        self.at_peaks.push(window);
        self.expect_peak();
    }

    fn expect_peak(&mut self) {
        let (part, pages) = PEAK_STEP;
        let now = i64::from(self.peak_rss);
        self.next_peak = now + now / part + pages;
    }

    /// RSS changed.
    pub fn growth(&mut self, event: &Growth) {
        self.settle(event.tid);
        if event.pages < 0 {
            self.note_peak();
        }
        self.events += 1;
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
            self.accounts.book(RowKey::OfStack(reason, event.stack), member, pages, 1);
            return;
        }
        let stack = self.accounts.find(event.stack, event.tid, thin_of(event));
        self.accounts.grow(stack, member, pages);
        let account = self.accounts.at(stack);
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
            self.accounts.give_back(extent.stack, member, pages);
            self.accounts.book(RowKey::Plain(Reason::Reclaimed), member, pages, 0);
        }
    }

    /// RSS shrank because a thread of the target gave back a range (or part of one: the kernel
    /// reports a large call in pieces).
    pub fn returned(&mut self, event: &Returned) {
        self.note_peak();
        self.events += 1;
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
        let stack = self.accounts.find(event.stack, event.tid, 0);
        let account = self.accounts.at(stack);
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
            self.accounts.give_back(extent.stack, member, extent.pages());
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
                1.. => self.accounts.book(RowKey::Plain(Reason::Reclaimed), member, left, 0),
                _ => {
                    self.accounts.book(RowKey::Plain(Reason::BeforeAttachReturned), member, left, 0)
                }
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
                self.accounts.give_back(*stack, member, taken);
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
        let to = begins(event.to, event.area_length, event.new_length) / PAGE;
        let length = event.length.min(event.new_length).div_ceil(PAGE);
        let displaced = self.pages.relocate(event.from / PAGE, length, to);
        self.book_displaced(&displaced);
    }

    /// A page was copied on write.
    pub fn copied(&mut self, stack: StackKey, tid: u32) {
        let stack = self.accounts.find(stack, tid, 0);
        self.accounts.at(stack).copied += 1;
    }
}

/// What a change stands for, were its stack walked; one whose stack was not is nothing but itself.
fn thin_of(event: &Growth) -> u8 {
    match event.stack {
        NOT_WALKED => 0,
        _ => event.thin.min(MAX_THIN as u8),
    }
}

#[cfg(test)]
mod tests;
