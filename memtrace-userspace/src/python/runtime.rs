//! The interpreters and thread states of a live process, listed from `_PyRuntime`.
//!
//! User space does this at discovery; the kernel never lists anything. The target runs on
//! meanwhile, so a list is a moment's and may be torn: every pointer is checked before it is
//! followed, every chain is bounded.

use memtrace_common::memory::ReadMemory;

use super::offsets::Offsets;

/// Interpreters of one process that are listed.
const INTERPRETERS_LIMIT: usize = 256;

/// Thread states of one process that are listed.
const THREADS_LIMIT: usize = 32_768;

/// One `PyThreadState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadState {
    /// Its address.
    pub address: u64,
    /// `thread_id`: `pthread_self()`, which on x86-64 is the thread pointer (`fsbase`); 0 for a
    /// thread that has not begun (3.12 and newer).
    pub thread_id: u64,
    /// `native_thread_id` (3.11 and newer): the thread's number *inside its pid namespace*.
    pub native_id: Option<u64>,
    /// `PyInterpreterState` that it was found in.
    pub interpreter: u64,
}

/// What is there now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThreadList {
    /// Interpreters.
    pub interpreters: Vec<u64>,
    /// Their thread states.
    pub threads: Vec<ThreadState>,
    /// Thread states whose `interp` was not the interpreter that lists them: the offsets are
    /// wrong, or the list changed while it was read.
    pub strangers: usize,
}

impl ThreadList {
    /// Lists the thread states of the interpreter whose `_PyRuntime` is at this address. Empty
    /// while there is none yet, or when the memory can't be read.
    #[must_use]
    pub fn read(memory: &impl ReadMemory, offsets: &Offsets, runtime: u64) -> Self {
        let places = &offsets.runtime;
        let field = |base: u64, offset: u32| memory.read_u64(base.wrapping_add(offset.into()));
        let mut list = Self::default();
        let mut interpreter = field(runtime, places.interpreters_head).unwrap_or(0);
        while interpreter != 0 && list.interpreters.len() < INTERPRETERS_LIMIT {
            list.interpreters.push(interpreter);
            let mut thread = field(interpreter, places.interpreter_threads).unwrap_or(0);
            while thread != 0 && list.threads.len() < THREADS_LIMIT {
                if field(thread, places.thread_interpreter) != Some(interpreter) {
                    list.strangers += 1;
                    break;
                }
                let native = places.thread_native_id.and_then(|offset| field(thread, offset));
                list.threads.push(ThreadState {
                    address: thread,
                    thread_id: field(thread, offsets.tstate_thread_id).unwrap_or(0),
                    native_id: native,
                    interpreter,
                });
                thread = field(thread, places.thread_next).unwrap_or(0);
            }
            interpreter = field(interpreter, places.interpreter_next).unwrap_or(0);
        }
        list
    }
}

/// `autoTSSkey`: the pthread key that holds each thread's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TssKey {
    /// Not made yet, or deleted by `Py_Finalize`. Unreadable memory counts as this: up to 3.9
    /// `_PyRuntime` is in `.bss` and crosses a page that nobody has touched before the key is made.
    Absent,
    /// Made.
    Made(u32),
    /// The memory holds nothing like a key.
    Nonsense,
}

/// glibc's and musl's `PTHREAD_KEYS_MAX` are 1024 and 128.
const KEYS_MAX: u32 = 1024;

impl TssKey {
    /// Reads `Py_tss_t` (u32 `_is_initialized`, u32 `_key`; `Include/pythread.h`).
    #[must_use]
    pub fn read(memory: &impl ReadMemory, address: u64) -> Self {
        match memory.read_u64(address).map(|word| (word as u32, (word >> 32) as u32)) {
            None | Some((0, _)) => Self::Absent,
            Some((1, key)) if key < KEYS_MAX => Self::Made(key),
            _ => Self::Nonsense,
        }
    }
}
