//! Requests that wait, in a folder of files, so that a restart finds them again.
//!
//! Bounded by size, number and age: the oldest go first, and are counted. A file is written under
//! another name, synced and renamed, so what is there by its name is whole. One process has the folder
//! at a time. It sends nothing and takes no clock.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;

use super::Request;

/// How much may wait, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Bytes of all files.
    pub bytes: u64,
    /// Age of the oldest.
    pub age: Duration,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { bytes: 64 << 20, age: Duration::from_secs(24 * 3600) }
    }
}

/// Files in the folder, whatever their size: file systems run out of inodes too.
const MOST_FILES: usize = 10_000;

/// The ending of a request's file.
const ENDING: &str = "request";
/// The ending of one that is being written.
const UNFINISHED: &str = "part";

/// The folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Another process has it.
    #[error("another memtrace uses the queue {0}; give each a folder of its own")]
    Taken(PathBuf),
    /// It can't be made, listed or locked.
    #[error("can't use {0} for the queue: {1}")]
    Folder(PathBuf, #[source] io::Error),
}

/// What the queue let go without it being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Dropped {
    /// To make room.
    pub(super) full: u64,
    /// Too old.
    pub(super) expired: u64,
    /// Not readable when their turn came.
    pub(super) damaged: u64,
    /// Could not be written.
    pub(super) unwritable: u64,
}

/// A request's number in the order of its coming.
type Number = u64;

#[derive(Debug, Clone, Copy)]
struct Waiting {
    number: Number,
    bytes: u64,
    created: SystemTime,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    folder: PathBuf,
    limits: QueueLimits,
    /// Oldest first.
    waiting: VecDeque<Waiting>,
    bytes: u64,
    next: Number,
    /// Being sent: not dropped until that is decided.
    under_way: Option<Number>,
    pub(super) dropped: Dropped,
    /// Held for as long as the queue is.
    _lock: File,
}

impl Queue {
    /// The queue in a folder, with what an earlier process has left there.
    pub(super) fn open(folder: &Path, limits: QueueLimits) -> Result<Self, QueueError> {
        let failed = |error: io::Error| QueueError::Folder(folder.to_owned(), error);
        // Command lines and names of functions are nobody else's business.
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let mut options = File::options();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(folder.join("lock")).map_err(failed)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(QueueError::Taken(folder.to_owned())),
            Err(error) => return Err(failed(error.into())),
        }
        let mut queue = Self {
            folder: folder.to_owned(),
            limits,
            waiting: VecDeque::new(),
            bytes: 0,
            next: 0,
            under_way: None,
            dropped: Dropped::default(),
            _lock: lock,
        };
        queue.list().map_err(failed)?;
        Ok(queue)
    }

    fn list(&mut self) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            if ending == Some(UNFINISHED) {
                fs::remove_file(&path)?;
            }
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<Number>().ok());
            if let (Some(ENDING), Some(number)) = (ending, number) {
                let metadata = fs::metadata(&path)?;
                let created = metadata.modified()?;
                found.push(Waiting { number, bytes: metadata.len(), created });
            }
        }
        found.sort_by_key(|waiting| waiting.number);
        self.next = found.last().map_or(0, |last| last.number + 1);
        self.bytes = found.iter().map(|waiting| waiting.bytes).sum();
        self.waiting = found.into();
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn limits(&self) -> QueueLimits {
        self.limits
    }

    /// Puts a request at the end, and lets the oldest go where there is no room. The error is that of
    /// writing; the request is counted then, and gone.
    pub(super) fn add(&mut self, request: &Request, now: SystemTime) -> io::Result<()> {
        self.expire(now);
        let file = request.to_file();
        let bytes = file.len() as u64;
        if bytes > self.limits.bytes {
            self.dropped.full += 1;
            return Ok(());
        }
        while self.bytes + bytes > self.limits.bytes || self.waiting.len() >= MOST_FILES {
            if !self.drop_oldest() {
                self.dropped.full += 1;
                return Ok(());
            }
            self.dropped.full += 1;
        }
        let number = self.next;
        self.next += 1;
        match self.write(number, &file) {
            Ok(()) => {
                self.waiting.push_back(Waiting { number, bytes, created: now });
                self.bytes += bytes;
                Ok(())
            }
            Err(error) => {
                self.dropped.unwritable += 1;
                let _ = fs::remove_file(self.path(number, UNFINISHED));
                Err(error)
            }
        }
    }

    fn write(&self, number: Number, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.path(number, UNFINISHED);
        let mut options = File::options();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&unfinished, self.path(number, ENDING))?;
        File::open(&self.folder)?.sync_all()
    }

    /// The oldest request, which stays until [`Queue::done`].
    pub(super) fn front(&mut self, now: SystemTime) -> Option<Request> {
        self.expire(now);
        while let Some(oldest) = self.waiting.front().copied() {
            let file = fs::read(self.path(oldest.number, ENDING));
            if let Ok(request) = file
                .map(|file| Request::of_file(&file))
                .unwrap_or_else(|_| Err(super::request::Damaged))
            {
                self.under_way = Some(oldest.number);
                return Some(request);
            }
            self.dropped.damaged += 1;
            self.remove_front();
        }
        None
    }

    /// The oldest was sent, or refused for good.
    pub(super) fn done(&mut self) {
        if self.under_way.take().is_some() {
            self.remove_front();
        }
    }

    /// The oldest could not be sent now.
    pub(super) fn put_back(&mut self) {
        self.under_way = None;
    }

    fn expire(&mut self, now: SystemTime) {
        let age = self.limits.age;
        let is_old =
            |oldest: &Waiting| now.duration_since(oldest.created).is_ok_and(|waited| waited > age);
        while self.under_way.is_none() && self.waiting.front().is_some_and(is_old) {
            self.remove_front();
            self.dropped.expired += 1;
        }
    }

    /// Drops the oldest that is not under way; `false` when there is none.
    fn drop_oldest(&mut self) -> bool {
        let first = usize::from(self.under_way.is_some());
        let Some(waiting) = self.waiting.remove(first) else { return false };
        self.forget(waiting);
        true
    }

    fn remove_front(&mut self) {
        if let Some(waiting) = self.waiting.pop_front() {
            self.forget(waiting);
        }
    }

    fn forget(&mut self, waiting: Waiting) {
        self.bytes -= waiting.bytes;
        // What can't be removed now comes a second time after a restart, which stores bear.
        let _ = fs::remove_file(self.path(waiting.number, ENDING));
    }

    fn path(&self, number: Number, ending: &str) -> PathBuf {
        self.folder.join(format!("{number:020}.{ending}"))
    }
}

#[cfg(test)]
mod tests;
