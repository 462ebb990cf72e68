//! What a history is made of: names, beginnings, windows of time, ends.
//!
//! The ledger makes entries as windows close; a live trace adds them to its
//! [`History`](super::History) at once, a recording keeps them, and a reader of recordings adds
//! them to a history of its own. So live and recorded reports come the same way.
//!
//! Plain data. Ids are positions in tables that only grow ([`Names`]). How entries lie in a file is
//! the business of `recording`.

use std::collections::BTreeMap;

use crate::profile::{Blocks, Ending, Memory, Reason, Unseen};
use crate::units::{Bytes, Nanos};

/// The number of an address space; never reused in one trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpaceId(pub u32);

/// A position in the table of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextId(pub u32);

/// A position in the table of functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(pub u32);

/// A position in the table of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlaceId(pub u32);

/// A position in the table of stacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId(pub u32);

/// A position in the table of native frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NativeId(pub u32);

/// A position in the table of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadId(pub u32);

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// New names; they come before whatever uses them.
    Names(Names),
    /// A space's ledger begins.
    Began(Began),
    /// What became known of a space later.
    Known(Known),
    /// A space's window of time is over.
    Window(Window),
    /// A space's ledger ends, or the trace does.
    Ended(Ended),
    /// Source text of a function.
    Source(Source),
    /// What the allocator lens counted in a space's window of time.
    Allocations(Allocations),
    /// The live blocks of a space, where the allocator lens looked at them.
    Live(Live),
    /// How often lines ran, or functions were evaluated.
    Ran(Ran),
}

impl Entry {
    /// The time that it tells, where it does.
    #[must_use]
    pub fn at(&self) -> Option<Nanos> {
        match self {
            Self::Began(began) => Some(began.at),
            Self::Window(window) => Some(window.at),
            Self::Ended(ended) => Some(ended.at),
            Self::Allocations(counted) => Some(counted.at),
            Self::Live(live) => Some(live.at),
            Self::Ran(ran) => Some(ran.at),
            Self::Names(_) | Self::Known(_) | Self::Source(_) => None,
        }
    }
}

/// What a history is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Wall-clock time of the first attach. All times of entries are counted from it.
    pub started_at: std::time::SystemTime,
    /// Kernel release.
    pub kernel: String,
    /// Whether the kernel's counters are exact at each event.
    pub exact: bool,
}

/// Additions to the tables, in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// File names, function names, thread names.
    pub texts: Vec<String>,
    /// Functions.
    pub functions: Vec<Function>,
    /// Lines of functions.
    pub places: Vec<PlaceName>,
    /// Native frames.
    pub natives: Vec<NativeName>,
    /// Stacks.
    pub stacks: Vec<StackName>,
    /// Threads.
    pub threads: Vec<ThreadName>,
}

/// A function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Function {
    /// `co_filename`
    pub file: TextId,
    /// `co_qualname` or `co_name`
    pub name: TextId,
    /// `co_firstlineno`
    pub first_line: u32,
    /// The last line that its line table names.
    pub last_line: u32,
}

/// A line of a function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PlaceName {
    /// Its function.
    pub function: FunctionId,
    /// From 1.
    pub line: u32,
}

/// A frame of native code.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NativeName {
    /// The function.
    pub function: TextId,
    /// File name of its program or library.
    pub library: TextId,
    /// Its source file; an empty text when that isn't known.
    pub file: TextId,
    /// From 1; 0 when it isn't known.
    pub line: u32,
}

/// A stack: lines, or why there are none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StackName {
    /// Lines answer for what it does.
    Lines {
        /// Leaf first, never empty.
        frames: Vec<PlaceId>,
        /// Whether it was cut at the root.
        truncated: bool,
    },
    /// No line does.
    Unattributed {
        /// Why.
        reason: Reason,
        /// Whose, where that has a name; an empty text otherwise.
        name: TextId,
    },
    /// Another stack with native frames above it.
    Native {
        /// Leaf first, never empty.
        frames: Vec<NativeId>,
        /// One of the other kinds, named before.
        below: StackId,
    },
}

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ThreadName {
    /// Whose.
    pub space: SpaceId,
    /// As the host sees it; 0 for all that came after [`super::MAX_THREADS`] others.
    pub tid: u32,
    /// Its kernel name.
    pub name: TextId,
}

/// A space's ledger begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Began {
    /// Which.
    pub space: SpaceId,
    /// Since the start.
    pub at: Nanos,
    /// Process id as the host sees it.
    pub pid: u32,
    /// The traced process that forked it.
    pub parent: Option<u32>,
    /// RSS at this moment.
    pub before: Memory,
    /// Its arguments.
    pub command: Vec<String>,
}

/// What became known of a space later; it replaces what was known before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Which.
    pub space: SpaceId,
    /// Python's version.
    pub python: Option<String>,
    /// Its arguments.
    pub command: Vec<String>,
    /// Sentences for the reader.
    pub notes: Vec<String>,
}

/// What happened in a space since its last window. Figures are of this window alone, but for
/// `rss`, which is what it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Which.
    pub space: SpaceId,
    /// Its end, since the start.
    pub at: Nanos,
    /// RSS at its end: that of the window before, plus all `changes`' `net`.
    pub rss: Memory,
    /// Highest RSS in it.
    pub peak: Bytes,
    /// Changes that were recorded or lost.
    pub events: u64,
    /// Records that didn't fit into the ring buffer.
    pub lost_events: u64,
    /// What they would have said (net). It is among the changes, too.
    pub lost: Bytes,
    /// Time in probes.
    pub probe: Nanos,
    /// memtrace's own CPU time for it.
    pub userspace_cpu: Nanos,
    /// By stack and thread; each pair at most once.
    pub changes: Vec<Change>,
}

/// What one stack did in one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The stack.
    pub stack: StackId,
    /// The thread.
    pub thread: ThreadId,
    /// Added. What no line answers for may shrink here.
    pub grown: Memory,
    /// Of what it had grown: given back, by whomever.
    pub returned: Memory,
    /// Copied on write.
    pub copied: Bytes,
    /// Given back by it, whoever had grown it.
    pub released: Bytes,
    /// Events.
    pub events: u64,
    /// Highest RSS at it.
    pub peak_rss: Bytes,
    /// What it stands for beyond itself, where not every stack was walked.
    pub unseen: Unseen,
}

impl Change {
    /// A change that has not happened yet.
    #[must_use]
    pub fn none(stack: StackId, thread: ThreadId) -> Self {
        Self {
            stack,
            thread,
            grown: Memory::ZERO,
            returned: Memory::ZERO,
            copied: Bytes::ZERO,
            released: Bytes::ZERO,
            events: 0,
            peak_rss: Bytes::ZERO,
            unseen: Unseen::default(),
        }
    }

    /// `grown - returned`
    #[must_use]
    pub fn net(&self) -> Memory {
        self.grown - self.returned
    }

    /// The same stack and thread went on so.
    pub fn add(&mut self, next: &Self) {
        self.grown += next.grown;
        self.returned += next.returned;
        self.copied += next.copied;
        self.released += next.released;
        self.events += next.events;
        self.peak_rss = self.peak_rss.max(next.peak_rss);
        self.unseen += next.unseen;
    }
}

impl Window {
    /// The same process went on so; `changes` are left alone.
    pub fn add_all_but_changes(&mut self, next: &Self) {
        self.at = next.at;
        self.rss = next.rss;
        self.peak = self.peak.max(next.peak);
        self.events += next.events;
        self.lost_events += next.lost_events;
        self.lost += next.lost;
        self.probe.0 += next.probe.0;
        self.userspace_cpu.0 += next.userspace_cpu.0;
    }
}

/// A space's ledger ends, or the trace does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub space: SpaceId,
    /// Since the start.
    pub at: Nanos,
    /// How. [`Ending::Running`]: the trace ended, the process runs on.
    pub ending: Ending,
    /// What of each stack's growth was found present in memory, where somebody looked and it
    /// differs from what the windows come to.
    pub present: Vec<(StackId, ThreadId, Bytes)>,
}

/// Source text of a function, as the target saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Whose target's.
    pub space: SpaceId,
    /// `co_filename`
    pub file: TextId,
    /// Number of the first of `lines`.
    pub first_line: u32,
    /// Its lines without their ends.
    pub lines: Vec<String>,
    /// Whether the file was changed after the program had started.
    pub changed: bool,
    /// Why there are no lines, as the end of a sentence.
    pub unreadable: Option<String>,
}

/// What the allocator lens counted in a space since the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocations {
    /// Whose.
    pub space: SpaceId,
    /// The end of the stretch of time, since the start.
    pub at: Nanos,
    /// How long that is.
    pub time: Nanos,
    /// Time of it in which allocations were recorded. What is counted stands for all of the time.
    pub recorded: Nanos,
    /// By how much longer that would have been, had the target been as slow all the time as where its
    /// progress was measured: nothing where a function's calls were counted all the time.
    pub slowed: Nanos,
    /// Time of it in which frees were seen.
    pub frees_seen: Nanos,
    /// Allocations for which there was no room.
    pub lost: u64,
    /// Their bytes.
    pub lost_bytes: Bytes,
    /// Frees of blocks that were not recorded.
    pub unknown_frees: u64,
    /// Hits of probes.
    pub hits: u64,
    /// What they cost the target.
    pub cost: Nanos,
    /// Parts of the time, by the function whose calls measured it. How much the rest was worth was told
    /// by what probes cost, where it was not all recorded.
    pub measured: Vec<(String, Nanos)>,
    /// By stack and thread; each pair at most once.
    pub changes: Vec<AllocationChange>,
}

/// What one stack did with blocks in one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllocationChange {
    /// The stack.
    pub stack: StackId,
    /// The thread.
    pub thread: ThreadId,
    /// Allocated.
    pub all: Blocks,
    /// Of what it had allocated: freed.
    pub freed: Blocks,
    /// Of the freed ones: at once.
    pub temporary: Blocks,
}

/// The live blocks of a space, by age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Whose.
    pub space: SpaceId,
    /// When somebody looked, since the start.
    pub at: Nanos,
    /// By stack, thread and age in milliseconds ([`crate::profile::allocated::cut`]).
    pub blocks: Vec<(StackId, ThreadId, u64, Blocks)>,
}

/// How often places of a space ran since the last such entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Which.
    pub space: SpaceId,
    /// Since the start.
    pub at: Nanos,
    /// What was counted.
    pub counted: Counted,
    /// By place; a function's is its first line.
    pub counts: Vec<(PlaceId, u64)>,
}

impl Ran {
    /// Adds what was counted of the same process later.
    pub fn append(&mut self, next: &Self) {
        self.at = next.at;
        let mut sums: BTreeMap<PlaceId, u64> = BTreeMap::new();
        for (place, count) in self.counts.iter().chain(&next.counts) {
            let sum = sums.entry(*place).or_default();
            *sum = sum.saturating_add(*count);
        }
        self.counts = sums.into_iter().collect();
    }
}

/// What somebody counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Executions of lines.
    Lines,
    /// Evaluations of functions.
    Functions,
}
