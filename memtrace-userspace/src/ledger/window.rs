//! From what the books say of a window of time to an entry of the history: ids for stacks and
//! threads, bytes for pages.

use std::collections::HashMap;

use memtrace_common::settings::{ANON, FILE, SHMEM};

use super::accounts::rss;
use super::{NameBook, Pages, RowKey, StackTable, WindowFigures};
use crate::history::entry::{Change, SpaceId, StackId, ThreadId, Window};
use crate::profile::{Memory, Unseen};
use crate::python::LineTableKind;
use crate::units::{Bytes, Nanos};

/// What the books don't know of a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Changes that were recorded or lost.
    pub events: u64,
    /// Records that didn't fit into the ring buffer.
    pub lost_events: u64,
    /// What they would have said (net).
    pub lost: Bytes,
    /// Time in probes.
    pub probe: Nanos,
    /// memtrace's own CPU time.
    pub userspace_cpu: Nanos,
}

/// Pages per counter as bytes.
#[must_use]
pub fn memory(pages: &Pages) -> Memory {
    Memory {
        anon: Bytes::from_pages(pages[ANON]),
        file: Bytes::from_pages(pages[FILE]),
        shmem: Bytes::from_pages(pages[SHMEM]),
    }
}

/// The entry for a window that ended at `at`. `thread` names a thread by its number on the host;
/// 0 is the process's first one.
pub fn window(
    space: SpaceId,
    at: Nanos,
    figures: &WindowFigures,
    counted: Counted,
    (stacks, kind): (&mut StackTable, Option<LineTableKind>),
    book: &mut NameBook,
    thread: &mut dyn FnMut(&mut NameBook, u32) -> ThreadId,
) -> Window {
    let mut changes: HashMap<(StackId, ThreadId), Change> = HashMap::new();
    for account in &figures.accounts {
        let owner = (stacks.name(account.key, kind, book), thread(book, account.tid));
        let change = changes.entry(owner).or_insert_with(|| Change::none(owner.0, owner.1));
        change.grown += memory(&account.grown);
        change.returned += memory(&account.returned);
        change.copied += Bytes::from_pages(account.copied);
        change.released += Bytes::from_pages(account.released);
        change.events += account.events;
        if account.thin != 0 {
            let pages = (rss(&account.grown), rss(&account.returned));
            change.unseen += Unseen::of(account.thin, pages, account.squares);
        }
        change.peak_rss = change.peak_rss.max(Bytes::from_pages(i64::from(account.peak_rss)));
    }
    for row in &figures.rows {
        let stack = match row.key {
            RowKey::Plain(reason) => book.row(reason, ""),
            RowKey::OfStack(reason, stack) => book.row(reason, &stacks.thread(stack)),
        };
        let owner = (stack, thread(book, 0));
        let change = changes.entry(owner).or_insert_with(|| Change::none(owner.0, owner.1));
        change.grown += memory(&row.pages);
        change.events += row.events;
    }
    stacks.close_window();
    let mut changes: Vec<Change> = changes.into_values().collect();
    changes.sort_by_key(|change| (change.stack, change.thread));
    Window {
        space,
        at,
        rss: memory(&figures.counters),
        peak: Bytes::from_pages(i64::from(figures.peak_rss).max(rss(&figures.counters))),
        events: counted.events,
        lost_events: counted.lost_events,
        lost: counted.lost,
        probe: counted.probe,
        userspace_cpu: counted.userspace_cpu,
        changes,
    }
}
