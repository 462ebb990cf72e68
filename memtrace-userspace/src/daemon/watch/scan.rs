//! Looking for Python processes among all of the machine: those that were there before, and those that
//! load an interpreter long after their `exec`.
//!
//! A process that is no Python is looked at again when its address space has grown, as it does by
//! loading a library, and now and then.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use tracing::debug;

use super::{SharedBoard, lock};
use crate::daemon::config::{Config, Subject};
use crate::python::{Discovery, Images, discover, processes};
use crate::session::facts::Facts;
use crate::session::{Session, SessionError, Stranger};

/// Growth of an address space that an interpreter's library can't do without.
const LIBRARY: u64 = 1 << 20;

/// Between two looks at a process that has not grown.
const NOW_AND_THEN: Duration = Duration::from_secs(60);

/// What a process was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    NotPython,
    Refused,
    Unwanted,
    BeyondLimit,
    Attached,
    /// The kernel side has it and user space does not: its record is under way, or was lost. So often.
    UnderWay(u32),
}

/// Looks after which a record that is under way is taken for lost.
const LOST: u32 = 3;

#[derive(Debug)]
struct Seen {
    started: u64,
    address_space: u64,
    at: Instant,
    found: Found,
    /// The rules have changed since.
    is_in_doubt: bool,
}

/// What is known of the machine's processes.
#[derive(Default)]
pub(super) struct Scan {
    images: Option<Images>,
    seen: HashMap<u32, Seen>,
    /// Processes that were attached to and that nothing has come of yet, with their starts.
    attached: HashMap<u32, u64>,
    last: Option<Instant>,
}

impl Scan {
    pub(super) fn is_due(&self, every: Duration) -> bool {
        self.last.is_none_or(|last| last.elapsed() >= every)
    }

    /// Looks at all processes that are not traced, and attaches to those that are wanted, as far as
    /// there is room.
    pub(super) fn run(
        &mut self,
        session: &mut Session,
        config: &Config,
        board: &SharedBoard,
        mut room: usize,
    ) -> Result<(), SessionError> {
        self.last = Some(Instant::now());
        let traced = session.pids();
        let Ok(processes) = std::fs::read_dir("/proc") else { return Ok(()) };
        let pids = processes.flatten().filter_map(|it| it.file_name().to_str()?.parse().ok());
        let pids: HashSet<u32> = pids.collect();
        self.seen.retain(|pid, _| pids.contains(pid));
        lock(board).strangers.retain(|stranger| pids.contains(&stranger.pid));
        let mut fresh: Vec<u32> = pids.into_iter().filter(|pid| !traced.contains(pid)).collect();
        fresh.sort_unstable();
        for pid in fresh {
            let Some((started, address_space)) = extent(pid) else { continue };
            let seen = self.seen.get(&pid);
            if seen.is_some_and(|seen| !seen.is_to_be_seen_again(started, address_space, room)) {
                continue;
            }
            let known = seen.filter(|seen| seen.started == started).map(|seen| seen.found);
            let found = match (self.look_at(pid, session, config, board, room)?, known) {
                (Found::UnderWay(_), Some(Found::UnderWay(looks))) => {
                    if looks >= LOST {
                        session.disown(pid);
                    }
                    Found::UnderWay(looks + 1)
                }
                (found, _) => found,
            };
            if found == Found::Attached {
                room -= 1;
                self.attached.insert(pid, started);
            }
            if self.remember(pid, started, address_space, found) {
                match found {
                    Found::Unwanted => lock(board).left_out.by_rules += 1,
                    Found::BeyondLimit => lock(board).left_out.by_limit += 1,
                    Found::UnderWay(LOST) => lock(board).left_out.by_kernel += 1,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn look_at(
        &mut self,
        pid: u32,
        session: &mut Session,
        config: &Config,
        board: &SharedBoard,
        room: usize,
    ) -> Result<Found, SessionError> {
        let images = self.images.get_or_insert_with(Images::new);
        let interpreter = match discover(pid, images) {
            Ok(Discovery::Python(interpreter)) => interpreter,
            Ok(Discovery::NotPython) => return Ok(Found::NotPython),
            Ok(Discovery::Refused(refusal)) => {
                let command = processes::command(pid).unwrap_or_default();
                lock(board).refuse(Stranger { pid, command, why: refusal.to_string() });
                return Ok(Found::Refused);
            }
            Err(error) => {
                debug!("process {pid}: {error}");
                return Ok(Found::NotPython);
            }
        };
        let command = processes::command(pid).unwrap_or_default();
        let labels = lock(board).labels(&Facts::of(pid), &command, &interpreter.text);
        if !config.wants(&Subject { command: &command, labels: &labels }) {
            return Ok(Found::Unwanted);
        }
        if room == 0 {
            return Ok(Found::BeyondLimit);
        }
        match session.attach(pid, *interpreter) {
            Ok(_) => Ok(Found::Attached),
            Err(error @ SessionError::Kernel(_)) => Err(error),
            Err(error) => {
                debug!("process {pid}: {error}");
                Ok(Found::UnderWay(0))
            }
        }
    }

    /// A process that the rules don't want need not be looked at again.
    pub(super) fn remember_unwanted(&mut self, pid: u32, started: u64) {
        self.remember(pid, started, u64::MAX, Found::Unwanted);
    }

    /// Nor one for which there was no room, until there is.
    pub(super) fn remember_beyond_limit(&mut self, pid: u32, started: u64) {
        self.remember(pid, started, u64::MAX, Found::BeyondLimit);
    }

    /// Whether it is news.
    fn remember(&mut self, pid: u32, started: u64, address_space: u64, found: Found) -> bool {
        let (at, is_in_doubt) = (Instant::now(), false);
        let seen = Seen { started, address_space, at, found, is_in_doubt };
        let before = self.seen.insert(pid, seen);
        before.is_none_or(|before| before.started != started || before.found != found)
    }

    /// The rules have changed: whom they left out is asked again, and not counted twice.
    pub(super) fn ask_again(&mut self) {
        for seen in self.seen.values_mut() {
            seen.is_in_doubt = matches!(seen.found, Found::Unwanted | Found::BeyondLimit);
        }
    }

    /// Whether the process that has this pid is the one that was looked at before it was attached to.
    pub(super) fn is_the_one(&mut self, pid: u32, started: u64) -> bool {
        // One that has ended by now has no start to compare.
        self.attached.remove(&pid).is_none_or(|expected| started == 0 || expected == started)
    }
}

impl Seen {
    fn is_to_be_seen_again(&self, started: u64, address_space: u64, room: usize) -> bool {
        if started != self.started || self.is_in_doubt {
            return true;
        }
        match self.found {
            Found::NotPython => {
                address_space >= self.address_space.saturating_add(LIBRARY)
                    || self.at.elapsed() >= NOW_AND_THEN
            }
            // Attached: it was traced and is not any more, or is about to end.
            Found::Attached | Found::UnderWay(_) => true,
            Found::BeyondLimit => room > 0,
            Found::Refused | Found::Unwanted => false,
        }
    }
}

/// The start of a process in clock ticks since boot, and the size of its address space. Of all processes, every
/// few seconds: so nothing else of `stat` is looked at.
fn extent(pid: u32) -> Option<(u64, u64)> {
    /// Fields 22 and 23 of `proc_pid_stat(5)`; the name, which may hold anything, is field 2.
    const STARTED: usize = 22 - 3;
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(&stat[end_of_name + 1..]).ok()?;
    let mut fields = fields.split_ascii_whitespace().skip(STARTED);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extent_of_a_process_is_what_proc_says() {
        let stat = procfs::process::Process::myself().unwrap().stat().unwrap();
        let (started, address_space) = extent(std::process::id()).unwrap();
        assert_eq!(started, stat.starttime);
        assert!(address_space.abs_diff(stat.vsize) < 64 << 20);
        assert_eq!(extent(u32::MAX), None);
    }

    #[test]
    fn other_rules_ask_again_whom_they_left_out_and_count_nobody_twice() {
        let mut scan = Scan::default();
        assert!(scan.remember(10, 1, 0, Found::Unwanted));
        assert!(scan.remember(11, 1, 0, Found::NotPython));
        // One that was let go of, and counted where that was done.
        scan.remember_unwanted(12, 1);
        let asked = |scan: &Scan, pid: u32| scan.seen[&pid].is_to_be_seen_again(1, 0, 1);
        assert_eq!([10, 11, 12].map(|pid| asked(&scan, pid)), [false, false, false]);
        scan.ask_again();
        assert_eq!([10, 11, 12].map(|pid| asked(&scan, pid)), [true, false, true]);
        assert!(!scan.remember(10, 1, 0, Found::Unwanted));
        assert!(!asked(&scan, 10));
        // Wanted now, and not again: that is news, as is another process of its pid.
        assert!(scan.remember(12, 1, 0, Found::Attached));
        assert!(scan.remember(12, 1, 0, Found::Unwanted));
        assert!(scan.remember(10, 2, 0, Found::Unwanted));
    }
}
