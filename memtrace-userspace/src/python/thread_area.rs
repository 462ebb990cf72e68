//! Where a C library keeps what belongs to a thread, as seen from the thread pointer.
//!
//! On x86-64 the thread pointer is the thread's own structure (`pthread_self()`, which CPython keeps as
//! `thread_id`), and thread-local variables are below it. On aarch64 the structure is below the thread
//! pointer, by its size, which differs from release to release: glibc says it itself, for debuggers.
//! Facts: `docs/cpython.md`, section 2.

use std::ops::Range;

use memtrace_common::layout::{FLAG_THREAD_BELOW, PyLayout};
use memtrace_common::memory::ReadMemory;

use super::image::Images;
use super::memory::TargetMemory;
use crate::machine::{HERE, Machine};

/// Bytes that are searched for a thread-local variable.
pub(super) const TLS_REACH: u64 = 0x1000;

/// Entries of glibc's first level, {sequence, value} each.
const GLIBC_FIRST_BYTES: i64 = 32 * 16;
/// aarch64's head of thread-local variables: glibc's `tcbhead_t`.
const AARCH64_HEAD: i64 = 16;
/// A structure of this many bytes is none.
const LARGEST: u32 = 1 << 16;
/// Linux has no higher thread id (`PID_MAX_LIMIT`).
const LARGEST_TID: u32 = 1 << 22;

/// How a thread that exists is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// glibc and musl both begin its structure with a pointer to itself (x86-64).
    Itself,
    /// Its number is at this place of the structure; none once it has ended.
    Number(u64),
}

/// Offsets from the thread pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadArea {
    /// Bytes from `thread_id` up to the thread pointer.
    below: u32,
    /// glibc's `specific_1stblock`: the values of the first 32 pthread keys.
    pub(super) glibc_first: i64,
    /// glibc's `specific`: 32 pointers to blocks of 32; the first is the first block.
    pub(super) glibc_second: i64,
    /// musl's `tsd`: a pointer to the values.
    pub(super) musl_tsd: i64,
    /// Where thread-local variables of the program and what it was loaded with can be.
    pub(super) variables: Range<i64>,
    sign: Sign,
}

impl ThreadArea {
    /// x86-64's: glibc 2.36 and 2.43, musl 1.2.3.
    pub const X86_64: Self = Self {
        below: 0,
        glibc_first: 0x310,
        glibc_second: 0x510,
        musl_tsd: 0x80,
        variables: -(TLS_REACH as i64)..0,
        sign: Sign::Itself,
    };

    /// That of a process; `None` where its C library does not say, or is not loaded yet.
    #[must_use]
    pub fn of(memory: &TargetMemory, images: &mut Images) -> Option<Self> {
        match HERE {
            Machine::X86_64 => Some(Self::X86_64),
            Machine::Aarch64 => Self::told_by_glibc(memory, images),
        }
    }

    /// By glibc's description of its threads (`nptl_db/structs.def`), each {bits, number, offset}; before
    /// 2.34 it is in libpthread.
    fn told_by_glibc(memory: &TargetMemory, images: &mut Images) -> Option<Self> {
        let is_glibc = |name: &str| name.starts_with("libc") || name.starts_with("libpthread");
        let mut code = memory.mappings().iter().filter(|it| it.executable && it.is_file());
        code.find_map(|mapping| {
            if !is_glibc(mapping.file_name()) {
                return None;
            }
            let image = images.get(&mapping.open(memory.pid()).ok()?).ok()??;
            let bias = image.bias(mapping.start, mapping.offset)?;
            let word = |symbol: &str, at: u64| {
                memory.read_u32(image.symbol(symbol)?.wrapping_add(bias).wrapping_add(at))
            };
            let size = word("_thread_db_sizeof_pthread", 0)?;
            let specific = word("_thread_db_pthread_specific", 8)?;
            let number = word("_thread_db_pthread_tid", 8)?;
            Self::above(size, specific, number)
        })
    }

    /// Of a structure of this size right below the thread pointer, with `specific` and `tid` at these
    /// places.
    fn above(size: u32, specific: u32, tid: u32) -> Option<Self> {
        if size > LARGEST || specific >= size || tid >= size {
            return None;
        }
        let second = i64::from(specific) - i64::from(size);
        Some(Self {
            below: size,
            glibc_first: second - GLIBC_FIRST_BYTES,
            glibc_second: second,
            // Not known: musl does not describe itself, so this is never its area.
            musl_tsd: 0,
            variables: AARCH64_HEAD..AARCH64_HEAD + TLS_REACH as i64,
            sign: Sign::Number(tid.into()),
        })
    }

    /// The thread pointer of the thread with this `thread_id`.
    #[must_use]
    pub(super) fn pointer(&self, thread: u64) -> u64 {
        thread.wrapping_add(self.below.into())
    }

    /// Whether there is a thread with this `thread_id`.
    pub(super) fn is_thread(&self, memory: &impl ReadMemory, thread: u64) -> bool {
        match self.sign {
            Sign::Itself => memory.read_u64(thread) == Some(thread),
            Sign::Number(at) => {
                let tid = memory.read_u64(thread.wrapping_add(at)).map(|word| word as u32);
                tid.is_some_and(|tid| (1..=LARGEST_TID).contains(&tid))
            }
        }
    }

    /// Tells the walk how `thread_id` follows from the thread pointer.
    pub(super) fn put(&self, layout: &mut PyLayout) {
        if self.below != 0 {
            layout.flags |= FLAG_THREAD_BELOW;
            layout.thread_below = self.below;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Debian's glibc 2.36 for arm64: the structure has 0x740 bytes, `specific` is at 0x310, `tid` at 0xd0.
    #[test]
    fn glibcs_own_description_places_the_keys_of_a_thread() {
        let area = ThreadArea::above(0x740, 0x310, 0xd0).unwrap();
        // By disassembly of `pthread_getspecific`: the first block is at 0x110 of the structure.
        assert_eq!(area.glibc_first, 0x110 - 0x740);
        assert_eq!(area.glibc_second, 0x310 - 0x740);
        assert_eq!(area.pointer(0x1000), 0x1740);
        let mut layout = PyLayout::NONE;
        area.put(&mut layout);
        assert_eq!(layout.thread_of(0x1740), 0x1000);
        assert_eq!(PyLayout::NONE.thread_of(0x1740), 0x1740);
    }

    #[test]
    fn a_description_that_makes_no_sense_is_none() {
        assert_eq!(ThreadArea::above(1 << 20, 0x310, 0xd0), None);
        assert_eq!(ThreadArea::above(0x740, 0x740, 0xd0), None);
        assert_eq!(ThreadArea::above(0x740, 0x310, 0x800), None);
    }
}
