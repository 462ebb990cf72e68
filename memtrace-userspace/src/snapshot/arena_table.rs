//! Where CPython keeps the table of its arenas.
//!
//! Up to 3.11 the table's address and length are statics that no symbol of a stripped build
//! names; the code of the allocator does. From 3.12 on they are in the interpreter's state. Either
//! way what is found is checked against what a table looks like. What is in the arenas is
//! `arenas`' business. Facts: `docs/cpython.md`, 6.4.

use memtrace_common::memory::ReadMemory;

use super::layout::{Layout, ObmallocState};
use super::operands::operands;
use crate::python::{Interpreter, TargetMemory};

/// Bytes of `struct arena_object`.
pub(super) const ARENA_OBJECT: u64 = 48;
/// `INITIAL_ARENA_OBJECTS`; the table doubles from there.
const FIRST_TABLE: u32 = 16;
/// Largest table that is believed: 16 TiB in arenas of 1 MiB.
const LARGEST_TABLE: u32 = 1 << 24;
/// Bytes of code before and after a function of the allocator that are searched.
const CODE_REACH: u64 = 16 << 10;
/// The two statics lie side by side: so many bytes apart at most.
const APART: u64 = 64;
/// Bytes by which an unknown patch release may have moved `obmalloc`.
const MOVED: u64 = 1024;
/// A table of arenas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Table {
    /// `arenas`
    pub(super) address: u64,
    /// `maxarenas`
    pub(super) length: u32,
    /// What counts blocks beyond the arenas.
    pub(super) counter: Counter,
}

/// Who counts the blocks that went to `malloc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counter {
    /// Nobody that is known.
    None,
    /// `raw_allocated_blocks`, at this address.
    Raw(u64),
    /// `_Py_AllocatedBlocks` (3.8), which counts all.
    All(u64),
}

/// Symbols of the interpreter, as addresses in the process.
pub(super) type Symbols<'a> = dyn Fn(&str) -> Option<u64> + 'a;

/// All tables of a process.
#[must_use]
pub(super) fn find(
    memory: &TargetMemory,
    interpreter: &Interpreter,
    layout: &Layout,
    symbols: &Symbols<'_>,
) -> Vec<Table> {
    match &layout.obmalloc_state {
        Some(state) => in_interpreters(memory, interpreter, layout, state),
        None => in_statics(memory, layout, symbols).into_iter().collect(),
    }
}

/// 3.12 and newer: each interpreter has a table, or shares the main one's.
fn in_interpreters(
    memory: &TargetMemory,
    interpreter: &Interpreter,
    layout: &Layout,
    state: &ObmallocState,
) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let Some(offset) = layout.interpreter_state.obmalloc else { return tables };
    for address in interpreter.threads(memory).interpreters {
        let at = |offset: u64| {
            let place = address.wrapping_add(offset);
            let state_at = match state.interp_obmalloc_is_pointer {
                true => memory.read_u64(place)?,
                false => place,
            };
            let table = Table {
                address: memory.read_u64(state_at.wrapping_add(state.arenas))?,
                length: memory.read_u32(state_at.wrapping_add(state.maxarenas))?,
                counter: Counter::Raw(state_at.wrapping_add(state.raw_allocated_blocks)),
            };
            is_table(memory, layout, &table).then_some(table)
        };
        let found = at(offset).or_else(|| {
            let moved = (8..=MOVED).step_by(8);
            moved.flat_map(|by| [offset + by, offset.saturating_sub(by)]).find_map(at)
        });
        if let Some(table) = found
            && !tables.contains(&table)
        {
            tables.push(table);
        }
    }
    tables
}

/// Up to 3.11: `arenas` and `maxarenas`, by the code that uses them.
fn in_statics(memory: &TargetMemory, layout: &Layout, symbols: &Symbols<'_>) -> Option<Table> {
    let counting = symbols("_Py_GetAllocatedBlocks");
    let counted = counting.map(|function| {
        let code = memory.bytes(function, 64).unwrap_or_default();
        operands(&code, function)
    });
    let functions = [counting, symbols("PyObject_Malloc")];
    for function in functions.into_iter().flatten() {
        let start = function.saturating_sub(CODE_REACH);
        let code = memory.bytes(start, 2 * CODE_REACH as usize).unwrap_or_default();
        let all = operands(&code, start);
        let mut lengths: Vec<u64> =
            all.iter().filter(|it| !it.wide).map(|operand| operand.address).collect();
        lengths.sort_unstable();
        lengths.dedup();
        for operand in all.iter().filter(|operand| operand.wide) {
            let near = lengths.iter().filter(|it| it.abs_diff(operand.address) <= APART);
            for length_at in near {
                let (Some(address), Some(length)) =
                    (memory.read_u64(operand.address), memory.read_u32(*length_at))
                else {
                    continue;
                };
                let mut table = Table { address, length, counter: Counter::None };
                if !is_table(memory, layout, &table) {
                    continue;
                }
                // 3.8 reads one counter and returns it; later ones add to another.
                let counted = counted.as_deref().unwrap_or_default();
                let whole = counted.iter().any(|it| it.address == operand.address);
                let counter = counted.iter().find(|it| it.wide && it.address != operand.address);
                table.counter = match (whole, counter) {
                    (true, Some(raw)) => Counter::Raw(raw.address),
                    (false, Some(all)) => Counter::All(all.address),
                    (_, None) => Counter::None,
                };
                return Some(table);
            }
        }
    }
    None
}

/// Whether a table of arenas is there: a power of two of entries, each unused or an arena whose
/// next pool is inside it; at least one of them used.
fn is_table(memory: &TargetMemory, layout: &Layout, table: &Table) -> bool {
    /// Entries that are looked at.
    const LOOKED_AT: usize = 64;
    let sized = table.length.is_power_of_two()
        && (FIRST_TABLE..=LARGEST_TABLE).contains(&table.length)
        && table.address.is_multiple_of(8);
    if !sized {
        return false;
    }
    let entries = LOOKED_AT.min(table.length as usize);
    let Some(bytes) = memory.bytes(table.address, entries * ARENA_OBJECT as usize) else {
        return false;
    };
    let mut mapped = false;
    let sound = bytes.chunks_exact(ARENA_OBJECT as usize).all(|entry| {
        let Some(arena) = ArenaObject::decode(entry) else { return false };
        if arena.address == 0 {
            return true;
        }
        // A new one may have come since the mappings were listed.
        mapped |= memory.mappings().at(arena.address).is_some();
        let end = arena.address.checked_add(layout.arena_size);
        arena.address.is_multiple_of(4096)
            && end.is_some_and(|end| (arena.address..=end).contains(&arena.next_pool))
            && arena.free_pools <= arena.pools
            && u64::from(arena.pools) <= layout.arena_size / layout.pool_size
    });
    sound && mapped
}

/// `struct arena_object`, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ArenaObject {
    pub(super) address: u64,
    /// The next pool that was never used.
    pub(super) next_pool: u64,
    free_pools: u32,
    pools: u32,
}

impl ArenaObject {
    pub(super) fn decode(entry: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u64::from_ne_bytes(entry.get(at..at + 8)?.try_into().ok()?));
        let counts = word(16)?;
        Some(Self {
            address: word(0)?,
            next_pool: word(8)?,
            free_pools: counts as u32,
            pools: (counts >> 32) as u32,
        })
    }
}
