//! One traced address space in user space: its books, its stacks, what is known of its process.

use std::sync::Arc;
use std::time::Instant;

use memtrace_common::recognise::Program;
use memtrace_common::settings::{COUNTERS, Tally};

use super::calls::Calls;
use crate::kernel::ProcessProbe;
use crate::ledger::{SpaceLedger, StackTable};
use crate::native::NativeProcess;
use crate::profile::Ending;
use crate::python::{LineTableKind, ProbePoint};
use crate::source::TargetFiles;

/// What is known of the interpreter.
#[derive(Debug, Clone)]
pub struct Known {
    /// `3.12.1`
    pub version: String,
    /// How its line tables are read.
    pub line_table: LineTableKind,
}

/// When to look again for an interpreter, and how long to wait after that.
#[derive(Debug, Clone, Copy)]
pub struct Recognition {
    /// Next look.
    pub due: Instant,
    /// Looks so far.
    pub looks: u32,
}

impl Recognition {
    /// Looks at a new program, each a millisecond after the other: a loader takes about ten.
    pub(super) const QUICK_LOOKS: u32 = 100;

    /// Whether the ring buffer fills as it does when a program begins, or the program is to be looked at
    /// before it goes on.
    pub(super) fn is_pressing(&self) -> bool {
        self.looks <= Self::QUICK_LOOKS
    }
}

/// A traced address space: a process, or one of its lives between two `exec`s.
pub struct Target {
    /// As the host sees it.
    pub pid: u32,
    /// Of which target's process it is a fork.
    pub parent: Option<u32>,
    /// Key of its space in the kernel side's map.
    pub mm: u64,
    /// Number of its space.
    pub space: u32,
    /// Its books.
    pub books: SpaceLedger,
    /// Its stacks.
    pub stacks: StackTable,
    /// Its interpreter, once recognised.
    pub python: Option<Known>,
    /// Still to be recognised, or to be looked at again.
    pub recognition: Option<Recognition>,
    /// Its arguments.
    pub command: Vec<String>,
    /// What the kernel side told of its program.
    pub(super) program: Option<Program>,
    /// Its root and directory, for source text; forked children share their parent's.
    pub files: Option<Arc<TargetFiles>>,
    /// Its code, once native frames of it were met.
    pub native: Option<NativeProcess>,
    /// How it ended.
    pub ending: Ending,
    /// The kernel side's last word.
    pub tally: Tally,
    /// As much of it as windows have told.
    pub told: Tally,
    /// Sentences for the reader.
    pub notes: Vec<String>,
    /// Likewise, of the allocator lens.
    pub lens_notes: Vec<String>,
    /// Where a uprobe on the death of code objects goes, until it is there.
    pub code_dealloc: Option<ProbePoint>,
    /// That uprobe.
    pub code_probe: Option<ProcessProbe>,
    /// Uprobe on frame evaluation, while threads are being bound.
    pub eval_probe: Option<ProcessProbe>,
    /// Its evaluations, where they are counted.
    pub(super) calls: Option<Calls>,
}

impl Target {
    /// A target that begins with `pages` per counter.
    #[must_use]
    pub fn new(pid: u32, space: u32, mm: u64, pages: [i64; COUNTERS]) -> Self {
        Self { command: command_line(pid), ..Self::unread(pid, space, mm, pages) }
    }

    /// The same, without asking the process for its arguments.
    pub(super) fn unread(pid: u32, space: u32, mm: u64, pages: [i64; COUNTERS]) -> Self {
        Self {
            pid,
            parent: None,
            mm,
            space,
            books: SpaceLedger::new(pages),
            stacks: StackTable::default(),
            python: None,
            recognition: None,
            command: Vec::new(),
            program: None,
            files: None,
            native: None,
            ending: Ending::Running,
            tally: Tally { pages, ..Tally::default() },
            told: Tally::default(),
            notes: Vec::new(),
            lens_notes: Vec::new(),
            code_dealloc: None,
            code_probe: None,
            eval_probe: None,
            calls: None,
        }
    }

    /// Whether it is still traced.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.ending == Ending::Running
    }

    /// Lets go of what only a living target needs; its books were closed.
    pub fn let_go(&mut self) {
        if self.python.is_none() {
            // No line of it will be shown. Descriptors are few, and children may be many.
            self.files = None;
        }
        self.recognition = None;
        self.native = None;
        self.books = SpaceLedger::default();
        self.stacks = StackTable::default();
        for probe in [self.code_probe.take(), self.eval_probe.take()].into_iter().flatten() {
            probe.close_in_background();
        }
    }
}

/// A process's arguments; its `comm` when they are empty; nothing when it is gone.
#[must_use]
pub(super) fn command_line(pid: u32) -> Vec<String> {
    let arguments = procfs::process::Process::new(pid.cast_signed())
        .and_then(|process| process.cmdline())
        .unwrap_or_default();
    if arguments.is_empty() { comm(pid).into_iter().collect() } else { arguments }
}

/// A process's kernel name.
#[must_use]
pub(super) fn comm(pid: u32) -> Option<String> {
    let name = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(&name).trim_end().to_owned())
}
