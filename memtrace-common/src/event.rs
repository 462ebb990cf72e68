//! The records that cross the ring buffer. `#[repr(C)]`, `Copy`, without padding, sizes asserted.
//!
//! Each begins with a [`Header`]. There is no time in it: reading the clock costs the target
//! 50 ns, and user space fetches records every few milliseconds.
//!
//! Records with a tail (frames, text) carry its length; user space
//! checks it against what it got. All addresses are the target's, all sizes in pages are 4 KiB.

use crate::recognise::Program;
use crate::settings::{COUNTERS, Tally};

/// What a record is. Numbers are fixed.
pub mod tag {
    /// [`super::Growth`]
    pub const GROWTH: u32 = 1;
    /// [`super::Returned`]
    pub const RETURNED: u32 = 2;
    /// [`super::Moved`]
    pub const MOVED: u32 = 3;
    /// [`super::Stack`], then its frames
    pub const STACK: u32 = 4;
    /// [`super::Code`]
    pub const CODE: u32 = 5;
    /// [`super::Text`], then its bytes
    pub const TEXT: u32 = 6;
    /// [`super::CodeFreed`]
    pub const CODE_FREED: u32 = 7;
    /// [`super::Forked`]
    pub const FORKED: u32 = 8;
    /// [`super::Execed`], then the program's arguments
    pub const EXECED: u32 = 9;
    /// [`super::Exited`]
    pub const EXITED: u32 = 10;
    /// [`super::Copied`]
    pub const COPIED: u32 = 11;
    /// [`crate::native::Native`], then bytes of the stack
    pub const NATIVE: u32 = 32;
    /// [`super::Evaluated`]
    pub const EVALUATED: u32 = 16;
    /// [`crate::recognise::Recognised`]
    pub const RECOGNISED: u32 = 40;
}

/// The start of every record.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// One of [`tag`].
    pub tag: u32,
    /// The address space it is about.
    pub space: u32,
}

/// How a change of RSS came about.
pub mod context {
    /// A page fault of the thread, in user mode or on its behalf in the kernel: the address is
    /// the fault's.
    pub const FAULT: u8 = 0;
    /// In a system call, without a fault (`MAP_POPULATE`, `mlock`, direct I/O): no address.
    pub const SYSCALL: u8 = 1;
    /// By another process.
    pub const REMOTE: u8 = 2;
    /// By a kernel thread (kswapd, khugepaged).
    pub const KERNEL: u8 = 3;
}

/// RSS grew, or changed where no range is known for it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// [`tag::GROWTH`]
    pub header: Header,
    /// Thread id as the host sees it.
    pub tid: u32,
    /// Signed change in pages.
    pub pages: i32,
    /// Address of the fault, 0 when unknown.
    pub address: u64,
    /// Id of the stack.
    pub stack: u64,
    /// The space's RSS (anon + file + shmem) after the change, in pages.
    pub rss_pages: u32,
    /// Which counter changed, as in [`crate::settings`].
    pub member: u8,
    /// [`context`].
    pub context: u8,
    /// One in two to the power of so many changes had its stack walked when this one was made: if it is
    /// one of those ([`crate::settings::NOT_WALKED`]), it stands for as many.
    pub thin: u8,
    /// 0.
    pub reserved: u8,
}
const _: () = assert!(size_of::<Growth>() == 40);

/// System calls that give memory back, by their x86-64 numbers; on other machines they get these.
pub mod call {
    /// `mmap` over an existing mapping (`MAP_FIXED`)
    pub const MMAP: u16 = 9;
    /// `munmap`
    pub const MUNMAP: u16 = 11;
    /// `brk`: `start` is the new break, `length` 0
    pub const BRK: u16 = 12;
    /// `mremap`: shrinking
    pub const MREMAP: u16 = 25;
    /// `madvise`
    pub const MADVISE: u16 = 28;
    /// Any other, where the numbers are not x86-64's
    pub const OTHER: u16 = 0xfffe;
    /// Not a system call: a page replaced by its own copy in a fault (file page → private page)
    pub const FAULT: u16 = 0xffff;
}

/// RSS shrank because the target gave back a range.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Returned {
    /// [`tag::RETURNED`]
    pub header: Header,
    /// Thread id as the host sees it.
    pub tid: u32,
    /// Signed change in pages, negative.
    pub pages: i32,
    /// First byte of the range the call names.
    pub start: u64,
    /// Its length in bytes; 0 for `brk`.
    pub length: u64,
    /// Id of the releasing thread's stack.
    pub stack: u64,
    /// RSS after the change, in pages.
    pub rss_pages: u32,
    /// Which counter changed.
    pub member: u8,
    /// 0.
    pub reserved: u8,
    /// [`call`].
    pub call: u16,
}
const _: () = assert!(size_of::<Returned>() == 48);

/// `mremap` moved a range: its pages keep their owners.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// [`tag::MOVED`]
    pub header: Header,
    /// Old address.
    pub from: u64,
    /// Old length in bytes.
    pub length: u64,
    /// New address.
    pub to: u64,
    /// New length in bytes.
    pub new_length: u64,
    /// Bytes that the kernel searched a gap for: more than `new_length` when it will align the
    /// result for huge pages.
    pub area_length: u64,
}
const _: () = assert!(size_of::<Moved>() == 48);

/// Where a mapping of `length` bytes begins for which the kernel announced a gap. For mappings that huge
/// pages could serve it looks for one a huge page longer and aligns within it
/// (`__thp_get_unmapped_area`, `mm/huge_memory.c`, with offset 0).
#[inline(always)]
#[must_use]
pub const fn begins(gap: u64, gap_length: u64, length: u64) -> u64 {
    const PAGE: u64 = 4096;
    const HUGE: u64 = 2 << 20;
    if gap_length != ((length + PAGE - 1) & !(PAGE - 1)) + HUGE {
        return gap;
    }
    gap + HUGE - (gap & (HUGE - 1))
}

/// A write to a page that a forked relative still shares: a private copy is made, RSS stays.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// [`tag::COPIED`]
    pub header: Header,
    /// Address of the fault.
    pub address: u64,
    /// Id of the stack.
    pub stack: u64,
    /// Thread id as the host sees it.
    pub tid: u32,
    /// 0.
    pub reserved: u32,
}
const _: () = assert!(size_of::<Copied>() == 32);

/// A stack, sent when it is first met. `depth` [`crate::walk::Frame`]s follow, leaf first.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stack {
    /// [`tag::STACK`]
    pub header: Header,
    /// Id that later events carry.
    pub id: u64,
    /// Frames that follow.
    pub depth: u32,
    /// [`crate::outcome::Outcome`] as a number.
    pub outcome: u32,
    /// The thread's name (without frames it is the stack's only name).
    pub comm: [u8; 16],
}
const _: () = assert!(size_of::<Stack>() == 40);

/// A code object, sent before the first stack that has it; its texts follow as [`Text`] records.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// [`tag::CODE`]
    pub header: Header,
    /// Its address.
    pub code: u64,
    /// `co_firstlineno`
    pub first_line: i32,
    /// `_co_firsttraceable`, 0 where there is none.
    pub first_traceable: i32,
}
const _: () = assert!(size_of::<Code>() == 24);

/// Which text of a code object.
pub mod piece {
    /// `co_filename`
    pub const FILE: u8 = 0;
    /// `co_qualname` or `co_name`
    pub const NAME: u8 = 1;
    /// `co_linetable` or `co_lnotab`
    pub const TABLE: u8 = 2;
}

/// Part of a text. `length` bytes follow.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// [`tag::TEXT`]
    pub header: Header,
    /// Address of the code object.
    pub code: u64,
    /// Address of this part.
    pub address: u64,
    /// Where this part begins in the text, in bytes.
    pub offset: u32,
    /// Bytes that follow, at most [`crate::limits::TEXT_CHUNK`].
    pub length: u32,
    /// Bytes of the whole text.
    pub total: u32,
    /// [`piece`]
    pub piece: u8,
    /// Bytes per character (1, 2, 4); 0 for bytes.
    pub width: u8,
    /// 0.
    pub reserved: u16,
}
const _: () = assert!(size_of::<Text>() == 40);

/// A known code object is about to be freed; its address may come back as another one.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeFreed {
    /// [`tag::CODE_FREED`]
    pub header: Header,
    /// Its address.
    pub code: u64,
}
const _: () = assert!(size_of::<CodeFreed>() == 16);

/// How often a code object was evaluated that is about to be freed.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evaluated {
    /// [`tag::EVALUATED`]
    pub header: Header,
    /// Its address.
    pub code: u64,
    /// Evaluations since its first one.
    pub count: u64,
}
const _: () = assert!(size_of::<Evaluated>() == 24);

/// A traced process forked. The header's space is the child's, which starts with `pages`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forked {
    /// [`tag::FORKED`]
    pub header: Header,
    /// The parent's space.
    pub parent: u32,
    /// The child's pid.
    pub pid: u32,
    /// The child's `mm_struct`, the key of its space.
    pub mm: u64,
    /// Pages of the child per counter at this moment.
    pub pages: [i64; COUNTERS],
}
const _: () = assert!(size_of::<Forked>() == 56);

/// A traced process called `exec`. The header's space is the new one.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execed {
    /// [`tag::EXECED`]
    pub header: Header,
    /// The space it left; 0 when it had none of its own (`vfork`, `run`).
    pub old: u32,
    /// Its pid.
    pub pid: u32,
    /// The new `mm_struct`, the key of its space.
    pub mm: u64,
    /// Pages of the new space per counter at this moment.
    pub pages: [i64; COUNTERS],
    /// What the old space came to.
    pub old_tally: Tally,
    /// Its new name (`comm`).
    pub comm: [u8; 16],
    /// What is known of it. Its arguments follow.
    pub program: Program,
}
const _: () = assert!(size_of::<Execed>() == 160 + 56);

/// A traced process ended.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exited {
    /// [`tag::EXITED`]
    pub header: Header,
    /// Its pid.
    pub pid: u32,
    /// As `wait` tells it: the number of the signal that killed it in the low seven bits.
    pub exit_code: u32,
    /// What it came to.
    pub tally: Tally,
}
const _: () = assert!(size_of::<Exited>() == 104);
