//! Finding the allocator that a process uses: which functions of which mapped files allocate and free
//! its memory, and what their arguments are.
//!
//! Reads only, as [`python`](crate::python) does, and knows no eBPF: the result is where probes go.

mod cpython;
mod entry;
mod libraries;
mod yardsticks;

use crate::python::ProbePoint;
use memtrace_common::lens::Reads;

pub use cpython::{Objects, arenas, objects};
pub use libraries::{Library, SeenFiles, libraries, own_libc};
pub use yardsticks::{Yardstick, yardsticks};

/// One function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// `malloc`
    pub name: &'static str,
    /// Where it is.
    pub point: ProbePoint,
    /// What its arguments are.
    pub reads: Reads,
    /// Whether a breakpoint there is cheap: the kernel emulates the instruction behind it.
    pub emulated: bool,
}

impl Function {
    /// Whether it returns a block; otherwise it only takes one back.
    #[must_use]
    pub fn allocates(&self) -> bool {
        self.reads.size_at() != 0
    }
}
