//! What user space does with each record, on records made here, the same on every run: bytes → events →
//! books → entries → history → profile, each step a function of its own.
//!
//! `cargo xtask instructions` counts the instructions of these functions. By itself it only says
//! what came out, which shows that nothing was left out.

use std::hint::black_box;

use memtrace::history::Entry;
use memtrace::kernel::decode::Event;
use memtrace::profile::Profile;

mod books;
mod records;

use books::Books;

/// Pages that grow and are not given back, in [`records`].
const KEPT_PAGES: i64 = (records::GROWN - records::RETURNED) as i64;

#[inline(never)]
fn hot_decode(records: &[Vec<u8>]) -> Vec<Event<'_>> {
    records
        .iter()
        .map(|record| memtrace::kernel::decode::decode(record).expect("a record"))
        .collect()
}

#[inline(never)]
fn hot_ledger(books: &mut Books, events: &[Event<'_>]) {
    for event in events {
        books.take(event);
    }
}

#[inline(never)]
fn hot_entries(books: &mut Books) -> Vec<Entry> {
    books.close_window()
}

#[inline(never)]
fn hot_history(books: &mut Books, entries: &[Entry]) {
    for entry in entries {
        books.history.add(entry).expect("an entry that follows");
    }
}

#[inline(never)]
fn hot_profile(books: &Books) -> Profile {
    books.history.profile()
}

fn main() {
    let names = records::names();
    let mut books = Books::default();
    let named = hot_decode(&names);
    hot_ledger(&mut books, &named);
    let mut events = named.len();
    for window in 0..records::WINDOWS {
        let records = records::window(window);
        let decoded = hot_decode(&records);
        events += decoded.len();
        hot_ledger(&mut books, &decoded);
        let entries = hot_entries(&mut books);
        hot_history(&mut books, &entries);
    }
    let profile = black_box(hot_profile(&books));
    let process = &profile.processes[0];
    let kept: i64 = process.lines.iter().map(|line| line.self_net.anon.0).sum();
    println!("{events} events, {} lines, {} KiB kept", process.lines.len(), kept / 1024);
    assert_eq!(kept, KEPT_PAGES * 4096, "what was kept is on lines");
}
