//! A moment of the ledger, resolved to names: the only thing that reports know.
//!
//! Pure data. It does not know where its figures came from (live trace, recording) and prints
//! nothing itself.

use std::sync::Arc;
use std::time::SystemTime;

pub use allocated::{Allocated, Blocks, Lens};
pub use counts::Counts;
pub use estimate::{Estimate, Estimated, Thinned, Unseen};
pub use lines::lines_of;
pub use memory::Memory;
pub use native::{NativeFigures, NativeFrame, NativeRow};
pub use native_call::NativeCall;
pub use sources::{SourceText, SourceTexts};

use crate::units::{Bytes, Nanos};

pub mod allocated;
mod counts;
mod estimate;
pub mod filter;
mod lines;
mod memory;
pub mod merge;
mod native;
mod native_call;
pub mod sampled;
mod sources;

/// What was traced, from the first attach to the last detach.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Wall-clock time of the first attach.
    pub started_at: SystemTime,
    /// How long it was traced.
    pub duration: Nanos,
    /// Kernel release, `6.18.0`.
    pub kernel: String,
    /// Whether the kernel's counters are exact at each event (6.2 and newer).
    pub exact: bool,
    /// One per address space: a process, or one of its lives when it called `exec`.
    pub processes: Vec<ProcessProfile>,
}

/// How a process's ledger ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It runs on.
    Running,
    /// The process ended.
    Exited,
    /// It called `exec`; what came next has a ledger of its own under the same pid.
    Execed,
}

/// One address space's figures.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessProfile {
    /// As the host sees it.
    pub pid: u32,
    /// Of which traced process it is a forked child.
    pub parent: Option<u32>,
    /// Its arguments; one element with its kernel name (`comm`) when they could not be read.
    pub command: Vec<String>,
    /// `3.12.1`; `None` for a followed process that is not Python.
    pub python: Option<String>,
    /// How it ended.
    pub ending: Ending,
    /// When its ledger began, since [`Profile::started_at`]: zero for what was attached at the start.
    pub began: Nanos,
    /// When its ledger ended, likewise; `None` while it runs.
    pub ended: Option<Nanos>,
    /// Before attach.
    pub before: Memory,
    /// RSS now (or at its end).
    pub after: Memory,
    /// Highest RSS seen.
    pub peak: Bytes,
    /// Threads that changed its RSS, in the order in which they were met.
    pub threads: Vec<Thread>,
    /// Per stack and thread. What lines show is summed up from these ([`lines_of`]).
    pub stacks: Vec<StackFigures>,
    /// Per line, largest net growth of its own first.
    pub lines: Vec<LineFigures>,
    /// The functions that the lines belong to, in the order of their files and first lines.
    pub functions: Vec<FunctionSpan>,
    /// What no line can answer for, by reason.
    pub unattributed: Vec<Unattributed>,
    /// RSS over time, oldest first; empty when nobody kept it.
    pub moments: Vec<Moment>,
    /// Changes recorded.
    pub events: u64,
    /// Records that didn't fit into the ring buffer.
    pub lost_events: u64,
    /// What they would have said, in bytes (net).
    pub lost_bytes: Bytes,
    /// What tracing it cost.
    pub overhead: Overhead,
    /// The allocator lens, where there was one.
    pub lens: Option<Lens>,
    /// Sentences for the reader: what limits these figures.
    pub notes: Vec<String>,
    /// How often lines ran and functions were evaluated, where that was counted.
    pub counts: Counts,
}

/// A line of source, by place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// `co_filename`, as the target has it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// `co_qualname` (`co_name` before 3.11).
    pub function: String,
    /// `co_firstlineno` of the function, which tells two of one name apart.
    pub function_line: u32,
}

/// A thread of a target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Thread {
    /// As the host sees it; 0 for all that came after [`crate::history::MAX_THREADS`] others.
    pub tid: u32,
    /// Its kernel name (`comm`) when it was first met; empty when it was gone by then.
    pub name: String,
}

/// What one stack did in one thread.
#[derive(Debug, Clone, PartialEq)]
pub struct StackFigures {
    /// Index into [`ProcessProfile::threads`].
    pub thread: usize,
    /// Leaf first, never empty: stacks without a line are unattributed.
    pub frames: Vec<Arc<Place>>,
    /// Native frames above those, leaf first; empty when they are not known or were not asked for.
    pub native: Vec<Arc<NativeFrame>>,
    /// Added by it.
    pub grown: Memory,
    /// Of what it had grown: given back, by whomever.
    pub returned: Memory,
    /// Of what it grew: still in RSS.
    pub resident: Bytes,
    /// Pages copied on write by it (no growth of RSS).
    pub copied: Bytes,
    /// Given back by it, whoever had grown it.
    pub released: Bytes,
    /// Changes booked on it.
    pub events: u64,
    /// Highest RSS seen at it.
    pub peak_rss: Bytes,
    /// What its net growth stands for beyond itself, where not every stack was walked.
    pub estimate: Estimate,
    /// Blocks, by the allocator lens.
    pub allocated: Allocated,
}

impl StackFigures {
    /// `grown - returned`.
    #[must_use]
    pub fn net(&self) -> Memory {
        self.grown - self.returned
    }
}

/// One moment of a process's life: the end of a window of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Since [`Profile::started_at`].
    pub at: Nanos,
    /// RSS at its end.
    pub rss: Memory,
    /// Highest RSS in it.
    pub peak: Bytes,
    /// Net growth by line in it, as `(index into [`ProcessProfile::lines`], bytes of its own)`.
    pub changes: Vec<(usize, Bytes)>,
}

/// What one line did.
#[derive(Debug, Clone, PartialEq)]
pub struct LineFigures {
    /// Which line.
    pub place: Arc<Place>,
    /// Added while it was the leaf.
    pub self_grown: Bytes,
    /// Of what it had grown: given back.
    pub self_returned: Bytes,
    /// `self_grown - self_returned`, as the kernel splits it.
    pub self_net: Memory,
    /// Of what it grew: still in RSS.
    pub self_resident: Bytes,
    /// Net of the line and of what it called, each event once however deep the recursion.
    pub cumulative_net: Bytes,
    /// Resident, likewise.
    pub cumulative_resident: Bytes,
    /// Pages copied on write at the line, while it was the leaf (no growth of RSS).
    pub copied: Bytes,
    /// Bytes given back while this line was the leaf, whoever had grown them.
    pub released: Bytes,
    /// Highest RSS seen while the line was on the stack.
    pub peak_rss: Bytes,
    /// Events with the line anywhere on the stack, each counted once.
    pub events: u64,
    /// Events with the line as the leaf.
    pub self_events: u64,
    /// What `self_net` stands for beyond itself, where not every stack was walked.
    pub self_estimate: Estimate,
    /// What `cumulative_net` does.
    pub cumulative_estimate: Estimate,
    /// Blocks that it allocated itself, by the allocator lens.
    pub self_allocated: Allocated,
    /// Blocks that it or what it called allocated, likewise.
    pub cumulative_allocated: Allocated,
}

/// The extent of a function in its file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FunctionSpan {
    /// `co_filename`
    pub file: String,
    /// From `co_firstlineno`
    pub first_line: u32,
    /// to the last line that its line table names.
    pub last_line: u32,
    /// `co_qualname` or `co_name`
    pub function: String,
}

/// Why no line can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A thread without Python frames; the name is the thread's.
    NativeThread,
    /// The interpreter was starting or ending: no frames yet or no more.
    InterpreterStartup,
    /// A followed process that is not (or not yet known to be) Python; the name is its `comm`.
    NotPython,
    /// The kernel on its own (swap, reclaim, khugepaged); the name is the kernel thread's.
    Kernel,
    /// Another process changed it; the name is that process's.
    OtherProcess,
    /// Memory from before attach was given back.
    BeforeAttachReturned,
    /// Pages that a line grew left RSS without the program's doing (swap, reclaim).
    Reclaimed,
    /// The stack could not be read.
    StackUnreadable,
    /// A stack whose frames or names didn't fit into the ring buffer.
    StackLost,
    /// Changes that didn't fit into the ring buffer.
    Lost,
    /// A return that the kernel had begun to report and not finished at the end of a window of
    /// time; the next window takes it back.
    UnderWay,
    /// Lines that a filter leaves out.
    LeftOut,
    /// The kernel's counter moved between the last event and the end of tracing.
    Remainder,
    /// Lines of stacks beyond as many as may have names (`memtrace daemon`).
    BeyondLimit,
    /// Of several processes as one: what those that ended took with them.
    Ended,
    /// Of several processes as one: what those that began later had at their beginning.
    BeganLater,
    /// Growth whose stack was not walked, to keep to a budget.
    NotWalked,
}

impl Reason {
    /// As JSON and tables name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NativeThread => "native thread",
            Self::InterpreterStartup => "interpreter startup",
            Self::NotPython => "not Python",
            Self::Kernel => "kernel (swap, reclaim, khugepaged)",
            Self::OtherProcess => "other process",
            Self::BeforeAttachReturned => "before attach, returned",
            Self::Reclaimed => "reclaimed after growth",
            Self::StackUnreadable => "stack unreadable",
            Self::StackLost => "stack lost (ring buffer full)",
            Self::Lost => "lost (ring buffer full)",
            Self::UnderWay => "return under way",
            Self::LeftOut => "left out by a filter",
            Self::Remainder => "remainder",
            Self::BeyondLimit => "beyond the limit of stacks",
            Self::Ended => "ended processes",
            Self::BeganLater => "later processes",
            Self::NotWalked => "stack not walked, to keep to the budget",
        }
    }
}

/// A change that no line can answer for.
#[derive(Debug, Clone, PartialEq)]
pub struct Unattributed {
    /// Why.
    pub reason: Reason,
    /// Whose, where that has a name; empty otherwise.
    pub name: String,
    /// Signed change.
    pub net: Memory,
    /// Events in it.
    pub events: u64,
    /// What of it is known by native frames; the rest of it isn't.
    pub native: Vec<NativeRow>,
    /// Blocks, by the allocator lens.
    pub allocated: Allocated,
}

/// What tracing cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overhead {
    /// Time in probes, in the target's threads.
    pub probe: Nanos,
    /// memtrace's own CPU time, shared among the processes by their events.
    pub userspace_cpu: Nanos,
}

impl ProcessProfile {
    /// Sum of the lines' net growth.
    #[must_use]
    pub fn attributed(&self) -> Memory {
        self.lines.iter().map(|line| line.self_net).sum()
    }

    /// Sum of the unattributed rows.
    #[must_use]
    pub fn unattributed_net(&self) -> Memory {
        self.unattributed.iter().map(|row| row.net).sum()
    }

    /// What the allocator lens counted, of lines and of what no line answers for.
    #[must_use]
    pub fn allocated(&self) -> Allocated {
        let mut sum = Allocated::default();
        for stack in &self.stacks {
            sum += &stack.allocated;
        }
        for row in &self.unattributed {
            sum += &row.allocated;
        }
        sum
    }

    /// By how much the reconciliation law is broken: `after - (before + lines + unattributed)`.
    /// Zero unless something is wrong with memtrace itself.
    #[must_use]
    pub fn law_gap(&self) -> Memory {
        self.after - (self.before + self.attributed() + self.unattributed_net())
    }
}
