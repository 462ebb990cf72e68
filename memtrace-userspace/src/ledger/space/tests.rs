//! The books on scripted events: each case says who must end up with what, and the law.

use memtrace_common::event::{Growth, Header, Moved, Returned, call, context};
use memtrace_common::settings::{ANON, FILE};

use super::*;

const HEADER: Header = Header { tag: 0, space: 1 };

/// Books, and the counters that the kernel would show.
struct Case {
    books: SpaceLedger,
    now: Pages,
}

impl Case {
    fn new(anon: i64) -> Self {
        let mut now = Pages::default();
        now[ANON] = anon;
        Self { books: SpaceLedger::new(now), now }
    }

    fn grow(&mut self, stack: u64, address: u64, pages: i32) {
        self.change(stack, address, pages, ANON, context::FAULT);
    }

    fn change(&mut self, stack: u64, address: u64, pages: i32, member: usize, context: u8) {
        self.change_thin((stack, 0), address, pages, member, context);
    }

    fn change_thin(
        &mut self,
        (stack, thin): (u64, u8),
        address: u64,
        pages: i32,
        member: usize,
        context: u8,
    ) {
        self.now[member] += i64::from(pages);
        let rss_pages = rss(&self.now) as u32;
        self.books.growth(&Growth {
            header: HEADER,
            tid: 1,
            pages,
            address,
            stack,
            rss_pages,
            member: member as u8,
            context,
            thin,
            reserved: 0,
        });
        self.holds();
    }

    fn give_back(&mut self, call: u16, stack: u64, start: u64, length: u64, pages: i32) {
        self.now[ANON] -= i64::from(pages);
        self.books.returned(&Returned {
            header: HEADER,
            tid: 1,
            pages: -pages,
            start,
            length,
            stack,
            rss_pages: rss(&self.now) as u32,
            member: ANON as u8,
            reserved: 0,
            call,
        });
        self.holds();
    }

    fn holds(&self) {
        assert_eq!(self.books.gap(self.now), Pages::default(), "the law");
    }

    fn account(&self, stack: u64) -> Account {
        *self.books.accounts.list().iter().find(|account| account.key == stack).unwrap()
    }

    fn row(&self, reason: Reason) -> i64 {
        let rows = self.books.accounts.rows().filter(|row| row.key == RowKey::Plain(reason));
        rows.map(|row| rss(&row.pages)).sum()
    }
}

#[test]
fn a_return_is_credited_to_who_grew_and_kept_beside_who_released() {
    let mut case = Case::new(10);
    for page in 0..8 {
        case.grow(100, 0x10000 + page * PAGE, 1);
    }
    case.give_back(call::MUNMAP, 200, 0x10000, 4 * PAGE, 4);
    case.books.settle_all();
    case.holds();
    assert_eq!(case.account(100).returned[ANON], 4);
    assert_eq!((case.account(200).released, case.account(200).returned[ANON]), (4, 0));
    assert_eq!(case.books.pages().extents().map(|e| e.pages()).sum::<i64>(), 4);
}

/// Of 64 pages every fourth has its stack walked; then each other page goes.
#[test]
fn pages_whose_stack_was_not_walked_are_owned_by_nobody_and_come_back_from_there() {
    let mut case = Case::new(0);
    for page in 0..64 {
        let stack = if page % 4 == 0 { 100 } else { NOT_WALKED };
        case.change_thin((stack, 2), 0x10000 + page * PAGE, 1, ANON, context::FAULT);
    }
    for page in (0..64).step_by(2) {
        case.give_back(call::MUNMAP, NOT_WALKED, 0x10000 + page * PAGE, PAGE, 1);
    }
    case.books.settle_all();
    case.holds();
    let (walked, rest) = (case.account(100), case.account(NOT_WALKED));
    assert_eq!((walked.grown[ANON], walked.returned[ANON], walked.thin), (16, 16, 2));
    assert_eq!(walked.squares, (16, 16));
    assert_eq!((rest.grown[ANON], rest.returned[ANON], rest.thin), (48, 16, 0));
}

#[test]
fn walks_that_stand_for_more_have_accounts_of_their_own() {
    let mut case = Case::new(0);
    for (page, thin) in [(0, 0), (1, 3), (2, 3), (3, 6)] {
        case.change_thin((100, thin), 0x10000 + page * PAGE, 1, ANON, context::FAULT);
    }
    let grown: Vec<_> =
        case.books.close_window().accounts.iter().map(|it| (it.thin, it.grown[ANON])).collect();
    assert_eq!(grown, [(0, 1), (3, 2), (6, 1)]);
    // Two changes of 4 and 12 pages: 160 squares, of which half goes with half of the pages.
    case.change_thin((200, 3), 0x40000, 4, FILE, context::FAULT);
    case.change_thin((200, 3), 0x80000, 12, ANON, context::FAULT);
    case.give_back(call::MUNMAP, 200, 0x80000, 8 * PAGE, 8);
    case.books.settle_all();
    assert_eq!(case.account(200).squares, (160, 80));
    case.holds();
}

#[test]
fn a_large_return_reported_in_pieces_is_one_return() {
    let mut case = Case::new(0);
    case.grow(100, 0x20_0000, 512);
    case.grow(100, 0x40_0000, 512);
    case.give_back(call::MUNMAP, 100, 0x20_0000, 0x40_0000, 512);
    case.give_back(call::MUNMAP, 100, 0x20_0000, 0x40_0000, 512);
    case.books.settle_all();
    case.holds();
    assert_eq!(case.account(100).returned[ANON], 1024);
    assert_eq!(case.books.accounts.rows().count(), 0, "nothing left for any row");
}

#[test]
fn what_was_there_before_attach_has_a_row_when_it_goes() {
    let mut case = Case::new(100);
    case.grow(100, 0x10000, 1);
    case.give_back(call::MUNMAP, 100, 0x10000, 64 * PAGE, 31);
    case.books.settle_all();
    case.holds();
    assert_eq!(case.account(100).returned[ANON], 1);
    assert_eq!(case.row(Reason::BeforeAttachReturned), -30);
}

#[test]
fn reclaimed_pages_are_not_counted_as_returned_twice() {
    let mut case = Case::new(0);
    for page in 0..10 {
        case.grow(100, 0x10000 + page * PAGE, 1);
    }
    // kswapd takes four; later the program unmaps all ten, of which six are still there.
    case.change(900, 0, -4, ANON, context::KERNEL);
    case.give_back(call::MUNMAP, 100, 0x10000, 10 * PAGE, 6);
    case.books.settle_all();
    case.holds();
    assert_eq!(case.account(100).returned[ANON], 10);
    assert_eq!(case.row(Reason::Reclaimed), 4);
}

#[test]
fn a_moved_buffer_stays_its_growers() {
    let mut case = Case::new(0);
    case.grow(100, 0x7f00_0000_0000, 1);
    let moved = Moved {
        header: HEADER,
        from: 0x7f00_0000_0000,
        length: PAGE,
        to: 0x7e00_0000_0000,
        new_length: 2 * PAGE,
        area_length: 2 * PAGE,
    };
    case.books.moved(&moved);
    case.give_back(call::MUNMAP, 200, 0x7e00_0000_0000, 2 * PAGE, 1);
    case.books.settle_all();
    case.holds();
    assert_eq!(case.account(100).returned[ANON], 1);
}

#[test]
fn the_heaps_break_takes_everything_above_it() {
    let mut case = Case::new(0);
    case.grow(100, 0x5555_0000_0000, 1);
    case.grow(100, 0x5555_0000_5000, 1);
    case.grow(100, 0x7f00_0000_0000, 1);
    case.give_back(call::BRK, 100, 0x5555_0000_1000, 0, 1);
    case.books.settle_all();
    case.holds();
    let left: Vec<_> = case.books.pages().extents().map(|extent| extent.start * PAGE).collect();
    assert_eq!(left, [0x5555_0000_0000, 0x7f00_0000_0000]);
}

#[test]
fn pages_at_untold_addresses_are_given_back_before_those_from_before_attach() {
    let mut case = Case::new(50);
    case.change(100, 0, 20, ANON, context::SYSCALL);
    case.give_back(call::MUNMAP, 100, 0x10000, 20 * PAGE, 20);
    case.books.settle_all();
    case.holds();
    assert_eq!(case.account(100).returned[ANON], 20);
    assert_eq!(case.row(Reason::BeforeAttachReturned), 0);
}

#[test]
fn a_file_fault_owns_as_many_pages_as_the_kernel_mapped() {
    let mut case = Case::new(0);
    case.change(100, 0x7f00_0000_5000, 11, FILE, context::FAULT);
    case.change(200, 0x7f00_0000_f000, 5, FILE, context::FAULT);
    let owned = |stack: u64| {
        let index = case.books.accounts.list().iter().position(|a| a.key == stack).unwrap() as u32;
        case.books.pages().extents().filter(|e| e.stack == index).map(|e| e.pages()).sum::<i64>()
    };
    assert_eq!((owned(100), owned(200)), (11, 5), "no page has two owners");
}

/// Net change of a window: accounts and rows.
fn net(window: &WindowFigures) -> i64 {
    let accounts = window.accounts.iter().map(|a| rss(&a.grown) - rss(&a.returned)).sum::<i64>();
    accounts + window.rows.iter().map(|row| rss(&row.pages)).sum::<i64>()
}

#[test]
fn each_window_obeys_the_law_though_a_call_is_under_way_at_its_end() {
    let mut case = Case::new(50);
    case.grow(100, 0x20_0000, 200);
    // The kernel reports the first half of a large call, the window closes, then comes the rest.
    case.give_back(call::MUNMAP, 100, 0x20_0000, 200 * PAGE, 120);
    let first = case.books.close_window();
    assert_eq!((net(&first), rss(&first.counters)), (80, 130));
    let under_way = |window: &WindowFigures| {
        let row = window.rows.iter().find(|row| row.key == RowKey::Plain(Reason::UnderWay));
        row.map(|row| rss(&row.pages))
    };
    assert_eq!(under_way(&first), Some(80));
    case.give_back(call::MUNMAP, 100, 0x20_0000, 200 * PAGE, 80);
    case.books.settle_all();
    case.holds();
    let second = case.books.close_window();
    assert_eq!((net(&second), rss(&second.counters)), (-80, 50));
    assert_eq!(under_way(&second), Some(-80));
    let returned: i64 = [&first, &second]
        .iter()
        .flat_map(|window| &window.accounts)
        .map(|account| account.returned[ANON])
        .sum();
    assert_eq!(returned, 200);
}

#[test]
fn a_window_closes_at_a_high_peak_so_that_who_held_it_is_known() {
    let mut case = Case::new(0);
    case.grow(100, 0x10_0000, 300);
    case.grow(200, 0x40_0000, 500);
    case.give_back(call::MUNMAP, 200, 0x40_0000, 500 * PAGE, 500);
    let peaks = case.books.take_peaks();
    let held: Vec<_> = peaks[0].accounts.iter().map(|a| (a.key, a.grown[ANON])).collect();
    assert_eq!((peaks.len(), held), (1, vec![(100, 300), (200, 500)]));
    assert_eq!((peaks[0].peak_rss, rss(&peaks[0].counters)), (800, 800));
    // As high again is no new peak.
    case.grow(200, 0x40_0000, 500);
    case.give_back(call::MUNMAP, 200, 0x40_0000, 500 * PAGE, 500);
    assert!(case.books.take_peaks().is_empty());
}

#[test]
fn an_account_that_owns_nothing_goes_and_its_place_does_not_mix_up_owners() {
    let mut case = Case::new(0);
    case.grow(100, 0x1_0000, 1);
    case.grow(200, 0x2_0000, 1);
    case.give_back(call::MUNMAP, 100, 0x1_0000, PAGE, 1);
    case.books.close_window();
    case.grow(300, 0x3_0000, 1);
    case.give_back(call::MUNMAP, 100, 0x2_0000, 2 * 16 * PAGE, 2);
    case.books.settle_all();
    case.holds();
    let window = case.books.close_window();
    let returned = |key| window.accounts.iter().find(|a| a.key == key).unwrap().returned[ANON];
    assert_eq!((returned(200), returned(300)), (1, 1));
    for key in 0..1000 {
        case.grow(key, 0x10_0000, 1);
        case.give_back(call::MUNMAP, key, 0x10_0000, PAGE, 1);
        case.books.settle_all();
        case.books.close_window();
    }
    assert!(case.books.accounts.list().len() < 10, "{}", case.books.accounts.list().len());
}

#[test]
fn a_thread_for_each_request_does_not_make_an_account_for_each() {
    let mut case = Case::new(0);
    for tid in 1..=5000u32 {
        let address = 0x10_0000 + u64::from(tid) * PAGE;
        case.books.growth(&growth(tid, 100, address));
        case.now[ANON] += 1;
    }
    case.holds();
    let window = case.books.close_window();
    assert_eq!(net(&window), 5000);
    let threads = crate::history::MAX_THREADS;
    assert!(case.books.accounts.list().len() <= threads, "{}", case.books.accounts.list().len());
    let others = window.accounts.iter().find(|a| a.tid == crate::history::OTHER_THREADS).unwrap();
    assert_eq!(others.grown[ANON], 5000 - (threads as i64 - 1));
}

fn growth(tid: u32, stack: u64, address: u64) -> Growth {
    let (member, context) = (ANON as u8, context::FAULT);
    Growth {
        header: HEADER,
        tid,
        pages: 1,
        address,
        stack,
        rss_pages: 0,
        member,
        context,
        thin: 0,
        reserved: 0,
    }
}
