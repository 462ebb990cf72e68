//! Where the entries of a trace go as they are made: into its history, and, when somebody wants to
//! keep them, onto a heap until they are fetched.

use std::time::{Instant, SystemTime};

use tracing::warn;

use crate::history::entry::{Names, SpaceId, ThreadId};
use crate::history::{Entry, Head, History, WHOLE};
use crate::kernel::support;
use crate::ledger::NameBook;
use crate::units::Nanos;

/// The entries of a trace.
pub(super) struct Journal {
    pub(super) book: NameBook,
    history: History,
    /// Entries that were not fetched yet; nothing is kept unless `keeps`.
    entries: Vec<Entry>,
    keeps: bool,
    /// Whether the history is kept, too.
    remembers: bool,
    started: Instant,
    /// memtrace's CPU time, as far as it was looked at, and what of it no space has got yet.
    cpu_seen: Nanos,
    cpu_unshared: Nanos,
}

impl Journal {
    pub(super) fn new(keeps: bool, remembers: bool) -> Self {
        let kernel = procfs::sys::kernel::Version::current()
            .map(|v| format!("{}.{}.{}", v.major, v.minor, v.patch))
            .unwrap_or_default();
        let head = Head { started_at: SystemTime::now(), kernel, exact: support::counts_at_once() };
        Self {
            book: NameBook::default(),
            history: History::new(head, WHOLE),
            entries: Vec::new(),
            keeps,
            remembers,
            started: Instant::now(),
            cpu_seen: Nanos(0),
            cpu_unshared: Nanos(0),
        }
    }

    /// The time since the start.
    pub(super) fn now(&self) -> Nanos {
        Nanos(self.started.elapsed().as_nanos() as u64)
    }

    /// Puts an entry in, after the names that it may use.
    pub(super) fn put(&mut self, entry: Entry) {
        let names = self.book.take_fresh();
        if names != Names::default() {
            self.keep(Entry::Names(names));
        }
        self.keep(entry);
    }

    fn keep(&mut self, entry: Entry) {
        if self.remembers
            && let Err(error) = self.history.add(&entry)
        {
            warn!("an entry of our own is inconsistent: {error}");
            return;
        }
        if self.keeps {
            self.entries.push(entry);
        }
    }

    pub(super) fn take_entries(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }

    pub(super) fn into_history(self) -> (History, Vec<Entry>) {
        (self.history, self.entries)
    }

    /// A share of memtrace's own CPU time since the last shares: `part` of `all`.
    pub(super) fn share_of_cpu(&mut self, part: u64, all: u64) -> Nanos {
        let seen = own_cpu();
        self.cpu_unshared.0 += seen.0.saturating_sub(self.cpu_seen.0);
        self.cpu_seen = seen;
        if all == 0 {
            return Nanos(0);
        }
        let share = u128::from(self.cpu_unshared.0) * u128::from(part.min(all)) / u128::from(all);
        let share = Nanos(share as u64);
        self.cpu_unshared.0 -= share.0;
        share
    }
}

/// Names a thread by its kernel name. 0 is the process's first thread.
pub(super) fn thread_id(book: &mut NameBook, space: SpaceId, pid: u32, tid: u32) -> ThreadId {
    let tid = if tid == 0 { pid } else { tid };
    if let Some(known) = book.known_thread(space, tid) {
        return known;
    }
    let name = std::fs::read(format!("/proc/{pid}/task/{tid}/comm")).unwrap_or_default();
    book.thread(space, tid, String::from_utf8_lossy(&name).trim_end())
}

/// memtrace's own CPU time so far.
fn own_cpu() -> Nanos {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Nanos(usage.tv_sec as u64 * 1_000_000_000 + usage.tv_nsec as u64)
}
