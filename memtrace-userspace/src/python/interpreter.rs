//! What discovery finds out about one process's interpreter.
//!
//! Plain data and a few questions to it; how it is found is `discover`'s.

use std::fmt;
use std::path::PathBuf;

use memtrace_common::layout::{FLAG_SLOT_MOVES, PyLayout, Slot};
use memtrace_common::memory::ReadMemory;

use super::likeness::Likeness;
use super::line_table::LineTableKind;
use super::offsets::Offsets;
use super::runtime::ThreadList;
use super::version::Version;

/// How an interpreter was built, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// In a library (`libpython3.N.so`), not in the program itself.
    pub shared: bool,
    /// Without `.symtab`.
    pub stripped: bool,
}

impl fmt::Display for Build {
    /// `static, stripped`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let linked = if self.shared { "shared" } else { "static" };
        let symbols = if self.stripped { "stripped" } else { "symbols" };
        write!(f, "{linked}, {symbols}")
    }
}

/// Where a uprobe goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbePoint {
    /// A path that *this* process can open and that leads to the mapped file, also when the
    /// target is in a container or the file has been deleted (`/proc/PID/map_files/…` then).
    pub path: PathBuf,
    /// Byte of the file.
    pub file_offset: u64,
}

/// A CPython that can be traced.
#[derive(Debug, Clone)]
pub struct Interpreter {
    /// Which.
    pub version: Version,
    /// As people write it: `3.12.1`, `3.14.0rc2`; `3.9` if no more is known.
    pub text: String,
    /// The file that holds the interpreter, as the kernel names it.
    pub image: PathBuf,
    /// How it was built.
    pub build: Build,
    /// For the kernel side and for [`memtrace_common::walk::walk`].
    pub layout: PyLayout,
    /// How its line tables are read.
    pub line_table: LineTableKind,
    /// The runtime is initialised: there are thread states, and they were looked at. If not,
    /// discover again when the process has come further.
    pub started: bool,
    /// The slot in `layout` held the thread state of every live thread. If not, it is
    /// `autoTSSkey`'s ([`Slot::KeyAt`]) or not known ([`Slot::Unknown`]): see
    /// [`Interpreter::layout_bound`].
    pub slot_confirmed: bool,
    /// `PyCode_Type.tp_dealloc`: hit once for each code object that dies, with the object as its
    /// first argument. `None` while the process has not relocated its data yet.
    pub code_dealloc: Option<ProbePoint>,
    /// `_PyEval_EvalFrameDefault`: its first argument is the thread state (the frame up to 3.8).
    pub eval_frame: Option<ProbePoint>,
    /// The JIT was asked for (`PYTHON_JIT`, 3.13 and newer): a hot line's growth may be charged to
    /// the line before.
    pub jit: bool,
    /// By what others of its file are known, where they can be.
    pub likeness: Option<Likeness>,
    /// Sentences for the user about what could not be found out.
    pub notes: Vec<String>,
    /// All offsets, for listing threads.
    pub offsets: Offsets,
    /// Address of `_PyRuntime`.
    pub runtime: u64,
}

impl Interpreter {
    /// The same layout for a kernel side that learns each thread's state from the
    /// frame-evaluation probe ([`Interpreter::eval_frame`]) because the slot is not known.
    #[must_use]
    pub fn layout_bound(&self) -> PyLayout {
        // `_PyEval_EvalFrameDefault(PyFrameObject *, int)` up to 3.8 (`Python/ceval.c`); 3.9 put
        // the thread state before it.
        let takes_frame = (self.version.major, self.version.minor) <= (3, 8);
        let holder = self.offsets.runtime.tstate_current.filter(|_| takes_frame);
        PyLayout {
            slot: Slot::Bound as u32,
            slot_first: 0,
            slot_second: 0,
            key_address: holder.map_or(0, |offset| self.runtime.wrapping_add(offset.into())),
            ..self.layout
        }
    }

    /// The same layout for a process in which a thread runs now this, now that interpreter.
    #[must_use]
    pub fn layout_of_several(&self) -> PyLayout {
        let mut layout = self.layout;
        layout.flags |= FLAG_SLOT_MOVES;
        // Up to 3.11 the slot stays on the thread's first interpreter.
        if let Some(offset) = self.offsets.runtime.tstate_current {
            layout.current_tstate_address = self.runtime.wrapping_add(offset.into());
        }
        layout
    }

    /// Whether there is a second interpreter at this moment.
    #[must_use]
    pub fn has_subinterpreters(&self, memory: &impl ReadMemory) -> bool {
        let runtime = &self.offsets.runtime;
        let field = |base: u64, offset: u32| memory.read_u64(base.wrapping_add(offset.into()));
        let first = field(self.runtime, runtime.interpreters_head).filter(|first| *first != 0);
        let second = first.and_then(|first| field(first, runtime.interpreter_next));
        second.is_some_and(|second| second != 0)
    }

    /// The interpreters and thread states of this moment.
    #[must_use]
    pub fn threads(&self, memory: &impl ReadMemory) -> ThreadList {
        ThreadList::read(memory, &self.offsets, self.runtime)
    }
}
