//! Native frames: from a copy of a stack's end and registers to functions with their libraries and
//! lines.
//!
//! Files are read as the target sees them, each once for all processes; nothing is read of a
//! process but its list of mappings. A file is not trusted: what makes no sense leaves addresses
//! without a name. It knows nothing of events beyond the snapshot, and nothing of books.

pub use files::NativeFiles;
pub use process::NativeProcess;

mod debug_file;
mod evaluation;
mod file;
mod files;
mod lines;
mod modest;
mod names;
mod process;
mod sections;
mod symbols;
mod unwind;

/// Bounds of what is read and kept.
mod limits {
    /// Frames taken from one snapshot. Between two evaluations of Python frames there are tens.
    pub(super) const MAX_NATIVE_FRAMES: usize = 128;
    /// Addresses of code of one process whose meaning is kept: ten times what importing and using
    /// numpy comes to.
    pub(super) const MAX_ADDRESSES: usize = 1 << 16;
    /// Bytes of one section of unwind tables. Chromium's are 40 MiB.
    pub(super) const MAX_UNWIND_SECTION: u64 = 128 << 20;
    /// Bytes of one symbol or string table, as in `python::image`.
    pub(super) const MAX_SYMBOL_SECTION: u64 = 256 << 20;
    /// Bytes of debug sections kept for all files of a trace: a developer's libpython has 30 MiB.
    /// Files beyond it are shown by function, without lines.
    pub(super) const MAX_DEBUG_BYTES: u64 = 512 << 20;
    /// Windows of time after which debug sections that nobody asked for are let go. Reading them
    /// again takes a part of a second; most programs come to new functions at their beginning only.
    pub(super) const IDLE_WINDOWS: u32 = 10;
    /// Bytes of one file that are read at a time, headers included, whatever they claim: all of the
    /// above together.
    pub(super) const MAX_FILE_BYTES: u64 = 1200 << 20;
    /// Bytes of a name.
    pub(super) const MAX_NAME: usize = 4096;
    /// Unwind rules of one function, which are gone through at each frame of it: a function of a MiB has some
    /// hundred.
    pub(super) const MAX_RULES: u32 = 1 << 16;
    /// How deep debug information is nested: functions inlined into one another, and the blocks between. addr2line
    /// goes down by calling itself.
    pub(super) const MAX_NESTED: isize = 256;
}
