//! What is known of the machine at this moment: written by the loop, read by the web server.
//!
//! Whoever reads it takes a picture ([`Store::kept`](super::store::Store::kept)) and lets go of it before
//! any report is made, so that tracing never waits for a reader.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::container::{self, Names};
use super::figures::{Figures, Key};
use super::group::{GroupId, Groups, Labels};
use super::push::Metered;
use super::store::{Slot, Store};
use super::windows::RssBefore;
use crate::history::Entry;
use crate::history::entry::SpaceId;
use crate::profile::{Ending, Memory};
use crate::program;
use crate::session::Stranger;
use crate::session::facts::Facts;
use crate::source::TargetFiles;
use crate::units::{Bytes, Nanos};

/// Groups without processes whose files are kept open. Of others the source can't be shown any more.
const MOST_ENDED_FILES: usize = 64;

/// Python processes that can't be traced, as many as are shown.
const MOST_STRANGERS: usize = 200;

/// A process.
#[derive(Debug, Clone)]
pub struct Process {
    /// As the host sees it.
    pub pid: u32,
    /// The traced process that forked it.
    pub parent: Option<u32>,
    /// Clock ticks from boot to its start.
    pub started: u64,
    /// Its arguments.
    pub command: Vec<String>,
    /// Python's version.
    pub python: String,
    /// Sentences about it.
    pub notes: Vec<String>,
    /// Its group.
    pub group: GroupId,
    /// When its ledger began.
    pub began: Nanos,
    /// When and how it ended.
    pub ended: Option<(Nanos, Ending)>,
    /// RSS at the end of its last window.
    pub rss: Memory,
    /// Highest RSS seen.
    pub peak: Bytes,
}

/// A group.
#[derive(Debug, Clone)]
pub struct Group {
    /// What it is called.
    pub labels: Labels,
    /// The first of its processes that was met.
    pub root: u32,
    /// That one's arguments.
    pub command: Vec<String>,
    /// The files of one of them.
    pub files: Option<Arc<TargetFiles>>,
    /// Its processes that run.
    pub live: usize,
}

/// Processes that are not traced, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Not wanted by the rules.
    pub by_rules: u64,
    /// There were as many as there may be.
    pub by_limit: u64,
    /// The kernel side had no room, or the process was gone.
    pub by_kernel: u64,
}

/// All of it.
#[derive(Debug)]
pub struct Board {
    /// Windows.
    pub store: Store,
    /// Sums for metrics.
    pub figures: Figures,
    /// Who belongs together.
    groups: Groups,
    processes: BTreeMap<SpaceId, Process>,
    infos: BTreeMap<GroupId, Group>,
    /// Groups whose last process has ended, the latest last.
    ended_groups: VecDeque<GroupId>,
    /// Python processes that can't be traced.
    pub strangers: VecDeque<Stranger>,
    /// How many were left out so far.
    pub left_out: LeftOut,
    /// Whether names for stacks have run out.
    pub full_of_stacks: bool,
    /// Windows closed so far.
    pub windows: u64,
    /// When the last one was.
    pub last_window: Instant,
    /// How often the configuration was read again.
    pub reloads: u64,
    /// Stores that windows are pushed to.
    pub stores: Vec<Metered>,
    names: Names,
}

/// A process that is traced from now on.
#[derive(Debug)]
pub struct Newcomer {
    /// Its space.
    pub space: SpaceId,
    /// What `/proc` says.
    pub facts: Facts,
    /// What it is called.
    pub labels: Labels,
    /// Its files.
    pub files: Option<Arc<TargetFiles>>,
    /// Its arguments.
    pub command: Vec<String>,
    /// Which traced process forked it.
    pub parent: Option<u32>,
}

impl Board {
    /// An empty one.
    #[must_use]
    pub fn new(store: Store, names: Names) -> Self {
        Self {
            store,
            figures: Figures::default(),
            groups: Groups::default(),
            processes: BTreeMap::new(),
            infos: BTreeMap::new(),
            ended_groups: VecDeque::new(),
            strangers: VecDeque::new(),
            left_out: LeftOut::default(),
            full_of_stacks: false,
            windows: 0,
            last_window: Instant::now(),
            reloads: 0,
            stores: Vec::new(),
            names,
        }
    }

    /// What a process is called.
    pub fn labels(&mut self, facts: &Facts, command: &[String], python: &str) -> Labels {
        let cgroup = container::path(&facts.cgroup);
        let container = container::of_path(cgroup);
        let named = container.as_ref().map(|container| self.names.of(container));
        Labels {
            name: program::name(command),
            python: python.to_owned(),
            user: facts.user.clone(),
            cgroup: cgroup.to_owned(),
            container,
            named: named.unwrap_or_default(),
        }
    }

    /// A process is traced from now on.
    pub fn welcome(&mut self, new: Newcomer) {
        let Newcomer { space, facts, labels, files, command, parent } = new;
        let (id, fresh) = self.groups.join(space, &facts, parent);
        let info = self.infos.entry(id).or_insert_with(|| Group {
            labels: labels.clone(),
            root: facts.pid,
            command: command.clone(),
            files: None,
            live: 0,
        });
        info.live += 1;
        if files.is_some() && (fresh || info.files.is_none()) {
            info.files = files;
        }
        self.ended_groups.retain(|other| *other != id);
        self.processes.insert(
            space,
            Process {
                pid: facts.pid,
                parent,
                started: facts.started,
                command,
                python: labels.python.clone(),
                notes: Vec::new(),
                group: id,
                began: Nanos(0),
                ended: None,
                rss: Memory::ZERO,
                peak: Bytes::ZERO,
            },
        );
    }

    /// Adds what a window brought: entries of processes that were welcomed, and names. Gives the window
    /// as it is kept, and RSS before it.
    pub fn add(&mut self, at: Nanos, entries: Vec<Entry>) -> (Arc<Slot>, RssBefore) {
        let mut before = RssBefore::new();
        let (slot, forgotten) = self.store.add(at, entries);
        self.figures.begin_window();
        for entry in &slot.entries {
            self.note(entry, &mut before);
        }
        for space in forgotten {
            self.forget(space);
        }
        self.windows += 1;
        self.last_window = Instant::now();
        (slot, before)
    }

    fn note(&mut self, entry: &Entry, before: &mut RssBefore) {
        let tables = Arc::clone(self.store.tables());
        match entry {
            Entry::Began(began) => {
                let Some(process) = self.processes.get_mut(&began.space) else { return };
                process.began = began.at;
                process.rss = began.before;
                process.peak = began.before.total();
                let Some(info) = self.infos.get(&process.group) else { return };
                self.figures.begin(began.space, &Key::of(&info.labels), began.before);
            }
            Entry::Known(known) => {
                let Some(process) = self.processes.get_mut(&known.space) else { return };
                process.command.clone_from(&known.command);
                process.notes.clone_from(&known.notes);
                if let Some(python) = &known.python {
                    process.python.clone_from(python);
                    // The full version shows a moment after the start.
                    if let Some(info) = self.infos.get_mut(&process.group) {
                        info.labels.python.clone_from(python);
                    }
                }
            }
            Entry::Window(window) => {
                let Some(process) = self.processes.get_mut(&window.space) else { return };
                before.entry(window.space).or_insert(process.rss);
                process.rss = window.rss;
                process.peak = process.peak.max(window.peak);
                self.figures.window(window, &tables);
            }
            Entry::Ended(ended) => {
                let Some(process) = self.processes.get_mut(&ended.space) else { return };
                process.ended = Some((ended.at, ended.ending));
                let id = process.group;
                self.figures.end(ended.space, ended.at);
                let Some(info) = self.infos.get_mut(&id) else { return };
                info.live = info.live.saturating_sub(1);
                if info.live == 0 {
                    self.ended_groups.push_back(id);
                    self.close_files();
                }
            }
            Entry::Names(_)
            | Entry::Source(_)
            | Entry::Allocations(_)
            | Entry::Live(_)
            | Entry::Ran(_) => {}
        }
    }

    fn close_files(&mut self) {
        while self.ended_groups.len() > MOST_ENDED_FILES {
            let Some(oldest) = self.ended_groups.pop_front() else { return };
            if let Some(info) = self.infos.get_mut(&oldest) {
                info.files = None;
            }
        }
    }

    /// The last window of a process is gone.
    fn forget(&mut self, space: SpaceId) {
        let Some(process) = self.processes.remove(&space) else { return };
        self.groups.leave(space, process.pid);
        let id = process.group;
        if !self.processes.values().any(|other| other.group == id) {
            self.infos.remove(&id);
            self.ended_groups.retain(|other| *other != id);
        }
    }

    /// A Python process that can't be traced.
    pub fn refuse(&mut self, stranger: Stranger) {
        self.strangers.retain(|known| known.pid != stranger.pid);
        self.strangers.push_back(stranger);
        while self.strangers.len() > MOST_STRANGERS {
            self.strangers.pop_front();
        }
    }

    /// A process that is traced, or whose windows are kept.
    #[must_use]
    pub fn process(&self, space: SpaceId) -> Option<&Process> {
        self.processes.get(&space)
    }

    /// All of them.
    #[must_use]
    pub fn processes(&self) -> &BTreeMap<SpaceId, Process> {
        &self.processes
    }

    /// Those that are traced now.
    #[must_use]
    pub fn live(&self) -> usize {
        self.processes.values().filter(|process| process.ended.is_none()).count()
    }

    /// A group.
    #[must_use]
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.infos.get(&id)
    }

    /// All groups.
    #[must_use]
    pub fn groups(&self) -> &BTreeMap<GroupId, Group> {
        &self.infos
    }
}

#[cfg(test)]
mod tests;
