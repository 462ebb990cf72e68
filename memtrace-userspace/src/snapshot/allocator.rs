//! Which allocator stands behind `PyObject_Malloc`: told by the table of functions that it calls.
//!
//! `PYTHONMALLOC` in the environment would not do: an embedding program sets its allocator by
//! call, and tracemalloc hooks itself in whenever it is started.

use memtrace_common::memory::ReadMemory;

use super::arena_table::Symbols;
use super::layout::Layout;
use super::operands::operands;
use super::picture::ObjectAllocator;
use crate::python::{Interpreter, TargetMemory};

/// `PyMemAllocatorEx`: who it works for, and its `malloc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Table {
    context: u64,
    malloc: u64,
}

impl Table {
    fn read(memory: &TargetMemory, address: u64) -> Option<Self> {
        let malloc = memory.read_u64(address.wrapping_add(8))?;
        Some(Self { context: memory.read_u64(address)?, malloc })
    }

    /// What stands below the checks of `PYTHONMALLOC=debug`, whose context is a
    /// `debug_alloc_api_t`: a letter for the domain, then the table that it hands on to
    /// (`Objects/obmalloc.c`).
    fn below_debug(&self, memory: &TargetMemory, letter: u8) -> Option<Self> {
        let named = memory.read_u64(self.context)? as u8 == letter;
        let below = Self::read(memory, self.context.wrapping_add(8))?;
        (named && is_code(memory, below.malloc)).then_some(below)
    }
}

fn is_code(memory: &TargetMemory, address: u64) -> bool {
    memory.mappings().at(address).is_some_and(|mapping| mapping.executable)
}

/// Tells it; pymalloc where the allocator is CPython's, with or without arenas.
#[must_use]
pub(super) fn find(
    memory: &TargetMemory,
    interpreter: &Interpreter,
    layout: &Layout,
    symbols: &Symbols<'_>,
) -> ObjectAllocator {
    let tables = match &layout.allocators {
        Some(places) => {
            let at = |offset| Table::read(memory, interpreter.runtime.wrapping_add(offset));
            at(places.obj).zip(at(places.raw))
        }
        None => {
            let called = |name| symbols(name).and_then(|function| called_table(memory, function));
            called("PyObject_Malloc").zip(called("PyMem_RawMalloc"))
        }
    };
    tables.map_or(ObjectAllocator::Unknown, |(object, raw)| judge(memory, object, raw))
}

fn judge(memory: &TargetMemory, object: Table, raw: Table) -> ObjectAllocator {
    if !is_code(memory, object.malloc) {
        return ObjectAllocator::Unknown;
    }
    if object.context == 0 {
        return match object.malloc == raw.malloc {
            true => ObjectAllocator::Malloc,
            false => ObjectAllocator::Pymalloc,
        };
    }
    match (object.below_debug(memory, b'o'), raw.below_debug(memory, b'r')) {
        (Some(object), Some(raw)) if object.malloc == raw.malloc => ObjectAllocator::MallocDebug,
        (Some(_), _) => ObjectAllocator::PymallocDebug,
        (None, _) => ObjectAllocator::Hooked,
    }
}

/// The table that `PyObject_Malloc` and its like call through: the lowest static of the function
/// whose neighbour, eight bytes on, it reads as well and is a function.
fn called_table(memory: &TargetMemory, function: u64) -> Option<Table> {
    /// Bytes of the function until it has read its table.
    const BEGINNING: usize = 64;
    let code = memory.bytes(function, BEGINNING)?;
    let statics = operands(&code, function);
    let wide = |address| statics.iter().any(|it| it.wide && it.address == address);
    let table = statics.iter().map(|it| it.address).find(|&it| wide(it) && wide(it + 8))?;
    Table::read(memory, table).filter(|table| is_code(memory, table.malloc))
}
