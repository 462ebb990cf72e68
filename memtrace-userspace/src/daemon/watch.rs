//! The daemon's part in the loop: at each closed window it says who is wanted, books what came, looks
//! for processes that were missed, and hands windows on.
//!
//! A caller of [`Session::step`], which reads the ring buffer; nothing here waits for anybody.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::board::{Board, Newcomer};
use super::config::{Config, Subject};
use super::store::{Bounds, space_of};
use super::windows::{WindowSink, closed};
use crate::history::Entry;
use crate::history::entry::{Known, SpaceId};
use crate::kernel::descriptors;
use crate::session::facts::Facts;
use crate::session::{Session, SessionError};
use crate::units::Nanos;
use scan::Scan;

mod scan;

/// What the loop and the server share.
pub type SharedBoard = Arc<Mutex<Board>>;

/// The board, also after a reader has panicked: what it says stays true.
pub fn lock(board: &SharedBoard) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The loop's memory.
pub struct Watch {
    config: Config,
    board: SharedBoard,
    /// Entries of processes that nobody has decided on yet.
    undecided: HashMap<SpaceId, Vec<Entry>>,
    /// Processes that are traced, with their pids and starts.
    wanted: HashMap<SpaceId, (u32, u64)>,
    scan: Scan,
    /// Of these the version is not known in full yet: what is known, and the windows that they waited.
    put_off: HashMap<SpaceId, (Facts, u32)>,
    /// Decided on and not on the board yet.
    newcomers: Vec<Newcomer>,
    sinks: Vec<Box<dyn WindowSink>>,
    started: Instant,
    /// Out of file descriptors.
    is_short: bool,
    /// The end of the last window.
    last: Nanos,
}

impl Watch {
    /// Begins with what the configuration says. The time is counted from now.
    #[must_use]
    pub fn new(config: Config, board: SharedBoard, sinks: Vec<Box<dyn WindowSink>>) -> Self {
        Self {
            config,
            board,
            undecided: HashMap::new(),
            wanted: HashMap::new(),
            scan: Scan::default(),
            put_off: HashMap::new(),
            newcomers: Vec::new(),
            sinks,
            started: Instant::now(),
            is_short: false,
            last: Nanos(0),
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }

    /// Looks for Python processes that run already, or that have become Python without an `exec`.
    ///
    /// # Errors
    ///
    /// When the kernel side fails. One process that can't be traced is no error.
    pub fn look_around(&mut self, session: &mut Session) -> Result<(), SessionError> {
        let room = self.config.limits.processes.saturating_sub(self.wanted.len());
        let mut scan = std::mem::take(&mut self.scan);
        let done = scan.run(session, &self.config, &self.board, room);
        self.scan = scan;
        done
    }

    /// A window has closed.
    ///
    /// # Errors
    ///
    /// When the kernel side fails.
    pub fn window(&mut self, session: &mut Session) -> Result<(), SessionError> {
        let entries = session.take_entries();
        let (mut booked, unwanted) = self.sort(session, entries);
        // What an unwanted process did is not told; its end is, to forget it.
        session.let_go(&unwanted)?;
        booked.extend(self.only_known(session.take_entries()));
        session.forget_ended();
        self.book(session, booked);
        self.tell_shortage();
        if self.scan.is_due(self.config.trace.scan.0) {
            self.look_around(session)?;
        }
        Ok(())
    }

    /// Says that no file can be opened, once for each time that it comes to that: processes are not found then.
    fn tell_shortage(&mut self) {
        let short = descriptors::are_out();
        if short && !self.is_short {
            warn!(
                "out of file descriptors: new processes are not looked at until there are some; raise \
                 LimitNOFILE in the unit, or `ulimit -n`"
            );
        }
        self.is_short = short;
    }

    /// The entries of a window that are to be booked, and the processes that are not wanted.
    fn sort(&mut self, session: &mut Session, entries: Vec<Entry>) -> (Vec<Entry>, Vec<SpaceId>) {
        let mut booked = Vec::new();
        let mut ended = HashSet::new();
        for entry in entries {
            let Some(space) = space_of(&entry) else {
                booked.push(entry);
                continue;
            };
            if self.wanted.contains_key(&space) {
                booked.push(entry);
                continue;
            }
            if matches!(entry, Entry::Ended(_)) {
                ended.insert(space);
            }
            if matches!(entry, Entry::Began(_)) || self.undecided.contains_key(&space) {
                self.undecided.entry(space).or_default().push(entry);
            }
        }
        let mut unwanted = Vec::new();
        let mut facts = std::mem::take(&mut self.put_off);
        for (space, new) in session.take_facts() {
            facts.entry(space).or_insert((new, 0));
        }
        for (space, (facts, waited)) in facts {
            let known = self.undecided.get(&space).is_some_and(|entries| has_full_version(entries));
            if !known && waited < PATIENCE && !ended.contains(&space) {
                self.put_off.insert(space, (facts, waited + 1));
                continue;
            }
            if let Some(mut entries) = self.undecided.remove(&space) {
                self.tell_parent(&mut entries, facts.parent);
                if self.welcome(session, space, facts, &entries) {
                    booked.extend(entries);
                } else {
                    unwanted.push(space);
                }
            }
        }
        self.undecided.retain(|space, _| !ended.contains(space));
        for stranger in session.take_strangers() {
            self.board().refuse(stranger);
        }
        (booked, unwanted)
    }

    /// A process that was forked before it was traced has a parent, too.
    fn tell_parent(&self, entries: &mut [Entry], parent: u32) {
        let is_traced = self.wanted.values().any(|(pid, _)| *pid == parent);
        for entry in entries {
            if let Entry::Began(began) = entry
                && is_traced
            {
                began.parent = began.parent.or(Some(parent));
            }
        }
    }

    fn only_known(&self, entries: Vec<Entry>) -> Vec<Entry> {
        let known =
            |entry: &Entry| space_of(entry).is_none_or(|space| self.wanted.contains_key(&space));
        entries.into_iter().filter(known).collect()
    }

    /// Decides on a process that turned out to be Python.
    fn welcome(
        &mut self,
        session: &Session,
        space: SpaceId,
        facts: Facts,
        entries: &[Entry],
    ) -> bool {
        let known = entries.iter().rev().find_map(|entry| match entry {
            Entry::Known(known) => Some(known),
            _ => None,
        });
        let began = entries.iter().find_map(|entry| match entry {
            Entry::Began(began) => Some(began),
            _ => None,
        });
        let (Some(Known { python, command, .. }), Some(began)) = (known, began) else {
            return false;
        };
        let mut board = lock(&self.board);
        let labels = board.labels(&facts, command, python.as_deref().unwrap_or_default());
        if !self.config.wants(&Subject { command, labels: &labels }) {
            board.left_out.by_rules += 1;
            self.scan.remember_unwanted(began.pid, facts.started);
            return false;
        }
        if self.wanted.len() >= self.config.limits.processes {
            board.left_out.by_limit += 1;
            self.scan.remember_beyond_limit(began.pid, facts.started);
            return false;
        }
        if !self.scan.is_the_one(began.pid, facts.started) {
            // The pid was another process's when it was looked at.
            return false;
        }
        debug!("process {}: {}", began.pid, labels.name);
        self.wanted.insert(space, (began.pid, facts.started));
        let files = session.files_of(space);
        let facts = Facts { pid: began.pid, ..facts };
        let (command, parent) = (command.clone(), began.parent);
        drop(board);
        self.newcomers.push(Newcomer { space, facts, labels, files, command, parent });
        true
    }

    fn book(&mut self, session: &Session, entries: Vec<Entry>) {
        for entry in &entries {
            if let Entry::Ended(ended) = entry {
                self.wanted.remove(&ended.space);
            }
        }
        let at = Nanos(self.started.elapsed().as_nanos() as u64).max(latest(&entries));
        let from = std::mem::replace(&mut self.last, at);
        let mut board = lock(&self.board);
        self.newcomers.drain(..).for_each(|new| board.welcome(new));
        let (slot, before) = board.add(at, entries);
        board.full_of_stacks = session.is_full_of_stacks();
        let stale = self.config.metrics.stale.0.as_nanos() as u64;
        board.figures.forget(Nanos(at.0.saturating_sub(stale)));
        if self.sinks.is_empty() {
            return;
        }
        let windows = closed(&board, &slot, from, &before);
        drop(board);
        if !windows.is_empty() {
            self.sinks.iter_mut().for_each(|sink| sink.closed(&windows));
        }
    }

    /// Goes on with another configuration: who is not wanted any more is let go of, who is now is looked
    /// for. Nothing that was booked is lost.
    ///
    /// # Errors
    ///
    /// When the kernel side fails.
    pub fn reload(&mut self, session: &mut Session, config: Config) -> Result<(), SessionError> {
        self.window(session)?;
        self.config = config;
        session.set_window(self.config.trace.window.0);
        session.set_most_stacks(self.config.limits.stacks);
        let mut unwanted = Vec::new();
        self.scan.ask_again();
        {
            let mut board = lock(&self.board);
            board.store.set_bounds(bounds(&self.config));
            board.reloads += 1;
            for (space, (pid, started)) in &self.wanted {
                let Some(process) = board.process(*space) else { continue };
                let Some(group) = board.group(process.group) else { continue };
                let subject = Subject { command: &process.command, labels: &group.labels };
                if !self.config.wants(&subject) {
                    unwanted.push(*space);
                    // Counted here, and not once more by the scan.
                    self.scan.remember_unwanted(*pid, *started);
                }
            }
            board.left_out.by_rules += unwanted.len() as u64;
        }
        session.let_go(&unwanted)?;
        let entries = self.only_known(session.take_entries());
        self.book(session, entries);
        self.look_around(session)
    }

    /// Ends: the last window is booked and handed on, and whoever has windows queued may send them.
    ///
    /// # Errors
    ///
    /// When the kernel side fails.
    pub fn finish(mut self, mut session: Session, within: Duration) -> Result<(), SessionError> {
        let begun = Instant::now();
        let first = session.take_entries();
        let (mut booked, _) = self.sort(&mut session, first);
        let full = session.is_full_of_stacks();
        let traced = session.finish()?;
        booked.extend(self.only_known(traced.entries));
        let at = Nanos(self.started.elapsed().as_nanos() as u64).max(latest(&booked));
        let from = self.last;
        let mut board = lock(&self.board);
        self.newcomers.drain(..).for_each(|new| board.welcome(new));
        let (slot, before) = board.add(at, booked);
        board.full_of_stacks = full;
        let windows =
            if self.sinks.is_empty() { Vec::new() } else { closed(&board, &slot, from, &before) };
        drop(board);
        for sink in &mut self.sinks {
            if !windows.is_empty() {
                sink.closed(&windows);
            }
            sink.drain(within.saturating_sub(begun.elapsed()));
        }
        if begun.elapsed() > within {
            warn!("ending took {:?}", begun.elapsed());
        }
        Ok(())
    }
}

/// Windows for which a process is not decided on because its version is not known in full.
const PATIENCE: u32 = 2;

/// `3.12.1` and not `3.12`, as it is in the first moments of some.
fn has_full_version(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| match entry {
        Entry::Known(Known { python: Some(python), .. }) => python.matches('.').count() >= 2,
        _ => false,
    })
}

/// What the store keeps by a configuration.
#[must_use]
pub fn bounds(config: &Config) -> Bounds {
    let bytes = usize::try_from(config.limits.memory.0).unwrap_or(usize::MAX);
    Bounds { time: config.trace.keep.0, bytes }
}

fn latest(entries: &[Entry]) -> Nanos {
    let at = |entry: &Entry| match entry {
        Entry::Began(began) => began.at,
        Entry::Window(window) => window.at,
        Entry::Ended(ended) => ended.at,
        _ => Nanos(0),
    };
    entries.iter().map(at).max().unwrap_or(Nanos(0))
}
