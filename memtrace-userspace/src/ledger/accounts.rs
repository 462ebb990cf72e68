//! Per stack and thread: what was grown and given back in the window of time that is open. Rows of
//! change that no stack answers for stand beside them.
//!
//! When a window closes, its figures are taken out and every account begins anew; one that owns no
//! page any more is dropped. So what is kept does not grow with time. It knows no pages'
//! addresses and no names.

use std::collections::{HashMap, HashSet};

use memtrace_common::settings::{ANON, COUNTERS, SWAP};

use super::StackKey;
use crate::history::{MAX_THREADS, OTHER_THREADS};
use crate::profile::Reason;

/// Pages per RSS counter, in the kernel's order. The swap slot stays zero.
pub type Pages = [i64; COUNTERS];

/// What one stack did in one thread since the last window.
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
    /// Its thread, as the host sees it, or [`OTHER_THREADS`].
    pub tid: u32,
    /// Pages that it has grown and nobody has given back, in all windows.
    held: i64,
}

impl Account {
    fn is_idle(&self) -> bool {
        let counts = [self.released, self.copied, self.events as i64];
        self.grown == Pages::default() && self.returned == Pages::default() && counts == [0; 3]
    }
}

/// Who or what an unattributed change is booked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowKey {
    /// A reason without a name.
    Plain(Reason),
    /// A reason whose name is that of the stack's thread.
    OfStack(Reason, StackKey),
}

/// A row of change that no line can answer for, since the last window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Why, whose.
    pub key: RowKey,
    /// Change in pages.
    pub pages: Pages,
    /// Changes booked on it.
    pub events: u64,
}

/// The accounts and rows of one space.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    list: Vec<Account>,
    by_key: HashMap<(StackKey, u32), u32>,
    /// The account that was last found: the next event is nearly always the same stack's.
    last: Option<((StackKey, u32), u32)>,
    /// Threads that are told apart.
    threads: HashSet<u32>,
    /// Places in `list` that nobody uses.
    free: Vec<u32>,
    rows: HashMap<RowKey, (Pages, u64)>,
    /// Sum of all that was ever booked.
    booked: Pages,
}

impl Accounts {
    /// The account of a stack in a thread, made when there is none.
    pub(super) fn find(&mut self, key: StackKey, tid: u32) -> u32 {
        match self.last {
            Some((last, index)) if last == (key, tid) => return index,
            _ => {}
        }
        let index = self.look_up(key, tid);
        self.last = Some(((key, tid), index));
        index
    }

    fn look_up(&mut self, key: StackKey, tid: u32) -> u32 {
        if let Some(index) = self.by_key.get(&(key, tid)) {
            return *index;
        }
        let tid = self.told_apart(tid);
        if let Some(index) = self.by_key.get(&(key, tid)) {
            return *index;
        }
        let account = Account { key, tid, ..Account::default() };
        let index = match self.free.pop() {
            Some(index) => {
                self.list[index as usize] = account;
                index
            }
            None => {
                self.list.push(account);
                self.list.len() as u32 - 1
            }
        };
        self.by_key.insert((key, tid), index);
        index
    }

    /// The thread, or what stands for those beyond the bound: room for the process's first thread is
    /// kept.
    fn told_apart(&mut self, tid: u32) -> u32 {
        if self.threads.contains(&tid) {
            return tid;
        }
        if self.threads.len() + 1 >= MAX_THREADS {
            return OTHER_THREADS;
        }
        self.threads.insert(tid);
        tid
    }

    /// An account, for figures that change no sum.
    pub(super) fn at(&mut self, index: u32) -> &mut Account {
        &mut self.list[index as usize]
    }

    pub(super) fn grow(&mut self, index: u32, member: usize, pages: i64) {
        let account = self.at(index);
        account.grown[member] += pages;
        account.held += pages;
        self.booked[member] += pages;
    }

    pub(super) fn give_back(&mut self, index: u32, member: usize, pages: i64) {
        let account = self.at(index);
        account.returned[member] += pages;
        account.held -= pages;
        self.booked[member] -= pages;
    }

    pub(super) fn book(&mut self, key: RowKey, member: usize, pages: i64, events: u64) {
        let row = self.rows.entry(key).or_default();
        row.0[member] += pages;
        row.1 += events;
        self.booked[member] += pages;
    }

    /// As [`Accounts::book`], for all counters at once.
    pub(super) fn book_plain(&mut self, reason: Reason, pages: Pages, events: u64) {
        for (member, pages) in without_swap(pages).into_iter().enumerate() {
            if pages != 0 {
                self.book(RowKey::Plain(reason), member, pages, 0);
            }
        }
        if events != 0 {
            self.book(RowKey::Plain(reason), ANON, 0, events);
        }
    }

    pub(super) fn booked(&self) -> Pages {
        self.booked
    }

    /// Accounts in use; those without a change since the last window among them.
    #[cfg(test)]
    pub(super) fn list(&self) -> &[Account] {
        &self.list
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row> {
        self.rows.iter().map(|(key, (pages, events))| Row {
            key: *key,
            pages: *pages,
            events: *events,
        })
    }

    /// Which stack and thread an account is of.
    pub(super) fn owner(&self, index: u32) -> (StackKey, u32) {
        let account = &self.list[index as usize];
        (account.key, account.tid)
    }

    /// Takes out what the open window has come to; the next one is open.
    pub(super) fn close_window(&mut self) -> (Vec<Account>, Vec<Row>) {
        self.last = None;
        let mut closed = Vec::new();
        for (index, account) in self.list.iter_mut().enumerate() {
            let (key, tid, held) = (account.key, account.tid, account.held);
            if !account.is_idle() {
                closed.push(*account);
                *account = Account { key, tid, held, ..Account::default() };
            }
            if held == 0 && self.by_key.get(&(key, tid)) == Some(&(index as u32)) {
                self.by_key.remove(&(key, tid));
                self.free.push(index as u32);
            }
        }
        let rows = self.rows().collect();
        self.rows.clear();
        (closed, rows)
    }
}

pub(super) fn without_swap(mut pages: Pages) -> Pages {
    pages[SWAP] = 0;
    pages
}

/// RSS of these counters.
pub(super) fn rss(pages: &Pages) -> i64 {
    without_swap(*pages).iter().sum()
}
