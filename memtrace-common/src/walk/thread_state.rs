//! Where a walk begins: from a thread to its `PyThreadState`. It takes no frames.

use crate::layout::{FLAG_ASSUMED, PyLayout, Slot};
use crate::memory::ReadMemory;
use crate::outcome::Outcome;

/// glibc's thread-specific data (2.36 and 2.43, by disassembly): key < 32 has its value at
/// `pointer + first + 16*key + 8`, others at `*(pointer + second + 8*(key/32)) + 16*(key%32) + 8`.
const GLIBC_KEYS_PER_LEVEL: u64 = 32;
const GLIBC_KEYS: u64 = 1024;

/// The thread's `PyThreadState*`, from its thread pointer.
///
/// `bound` is what the frame-evaluation probe learnt for this thread, 0 if nothing.
///
/// # Errors
///
/// The outcome that the walk ends with: no interpreter, a native thread, unreadable memory.
#[inline(always)]
pub fn thread_state<M: ReadMemory>(
    memory: &M,
    layout: &PyLayout,
    thread_pointer: u64,
    bound: u64,
) -> Result<u64, Outcome> {
    let slot = layout.slot;
    let address = if slot == Slot::Direct as u32 {
        thread_pointer.wrapping_add(layout.slot_first as u64)
    } else if slot == Slot::KeyAt as u32 {
        key_slot(memory, layout, thread_pointer)?
    } else if slot == Slot::TwoLevel as u32 {
        match memory.read_u64(thread_pointer.wrapping_add(layout.slot_first as u64)) {
            Some(0) => return Err(Outcome::NativeThread),
            Some(table) => table.wrapping_add(layout.slot_second as u64),
            None => return Err(Outcome::Unreadable),
        }
    } else if slot == Slot::Bound as u32 {
        return if bound == 0 { Err(Outcome::NativeThread) } else { Ok(bound) };
    } else {
        return Err(Outcome::NotPython);
    };
    let own = match memory.read_u64(address) {
        Some(0) => return Err(Outcome::NativeThread),
        Some(tstate) => tstate,
        None => return Err(Outcome::Unreadable),
    };
    if layout.flags & FLAG_ASSUMED != 0 {
        let thread = memory.read_u64(own.wrapping_add(u64::from(layout.tstate_thread_id)));
        if thread != Some(layout.thread_of(thread_pointer)) {
            return Err(Outcome::InterpreterNotStarted);
        }
    }
    if layout.current_tstate_address == 0 {
        return Ok(own);
    }
    Ok(running_subinterpreter(memory, layout, thread_pointer, own))
}

/// The slot's address for a key that the interpreter may make at any time (`autoTSSkey`:
/// u32 `_is_initialized`, u32 `_key`; CPython's `pycore_pystate.h`, `pythread.h`).
#[inline(always)]
fn key_slot<M: ReadMemory>(
    memory: &M,
    layout: &PyLayout,
    thread_pointer: u64,
) -> Result<u64, Outcome> {
    let Some(word) = memory.read_u64(layout.key_address) else {
        return Err(Outcome::InterpreterNotStarted);
    };
    if word as u32 == 0 {
        return Err(Outcome::InterpreterNotStarted);
    }
    let key = word >> 32;
    if key < GLIBC_KEYS_PER_LEVEL {
        let first = thread_pointer.wrapping_add(layout.slot_first as u64);
        return Ok(first.wrapping_add(16 * key + 8));
    }
    if key >= GLIBC_KEYS {
        return Err(Outcome::Unreadable);
    }
    let second = thread_pointer.wrapping_add(layout.slot_second as u64);
    match memory.read_u64(second.wrapping_add(8 * (key / GLIBC_KEYS_PER_LEVEL))) {
        Some(0) => Err(Outcome::NativeThread),
        Some(table) => Ok(table.wrapping_add(16 * (key % GLIBC_KEYS_PER_LEVEL) + 8)),
        None => Err(Outcome::Unreadable),
    }
}

/// Up to 3.11 the slot stays on the thread's first interpreter while a sub-interpreter runs; the
/// GIL holder's thread state is the right one when it belongs to this thread.
#[inline(always)]
fn running_subinterpreter<M: ReadMemory>(
    memory: &M,
    layout: &PyLayout,
    thread_pointer: u64,
    own: u64,
) -> u64 {
    let Some(current) = memory.read_u64(layout.current_tstate_address) else { return own };
    if current == 0 || current == own {
        return own;
    }
    match memory.read_u64(current.wrapping_add(u64::from(layout.tstate_thread_id))) {
        Some(thread) if thread == layout.thread_of(thread_pointer) => current,
        _ => own,
    }
}
