//! Every bound of the kernel side, with its reason. Reaching one is an outcome in the data.

/// Frames kept of one stack, leaf first. Deeper stacks are cut at the root and marked
/// ([`crate::outcome::Outcome::Truncated`]). The promise is 127; a power of two keeps the
/// verifier's index check to one mask.
pub const MAX_FRAMES: usize = 128;

/// Bytes of a thread's stack of frames that one read may bring: a frame and its callers' before it
/// in memory (CPython 3.11 and newer keep them side by side).
pub const FRAME_BLOCK: usize = 1024;

/// Bytes of one frame that a single read may cover. The widest window in use is CPython 3.8's
/// `PyFrameObject`, 88 bytes from `f_back` to `f_lasti`.
pub const FRAME_WINDOW: usize = 128;

/// Frames that the walk takes in one go where they lie in one page or came with one read. Little
/// enough for the verifier, which follows each; deeper stacks take several goes.
pub const STRETCH: u32 = 8;

/// Goes of the walk that the kernel side makes before it lets a helper repeat them, which costs a
/// call through a pointer each. Each is one more that the verifier follows.
pub const STRETCHES_IN_LINE: u32 = 2;

/// Rounds of a loop on kernels without `bpf_loop`: the most that a walk takes.
pub const MAX_ROUNDS: u32 = 2 * MAX_FRAMES as u32;

/// How far below the page tables of a process the kernel's mapping of RAM is looked for, in GiB:
/// machines with up to 8 TiB. In larger ones targets may be read by the helper.
pub const RAM_GIB: u32 = 8192;

/// CPUs whose part of a kernel counter is summed. Kernels with more are refused by `doctor`.
pub const MAX_CPUS: usize = 256;

/// Address spaces traced at once: targets, and their children.
pub const MAX_SPACES: u32 = 4096;

/// Threads of targets whose last fault address is remembered.
pub const MAX_THREADS: u32 = 32_768;

/// Stacks remembered as already sent. The map forgets the least recently used, and a forgotten
/// stack is merely sent again.
pub const MAX_STACKS_SENT: u32 = 32_768;

/// Code objects remembered as already sent, as [`MAX_STACKS_SENT`].
pub const MAX_CODES_SENT: u32 = 32_768;

/// Code objects whose evaluations are counted, as [`MAX_CODES_SENT`]. Those beyond share one count.
pub const MAX_CODES_COUNTED: u32 = 32_768;

/// Bytes of one piece of text in the ring buffer.
pub const TEXT_CHUNK: usize = 1024;

/// Chunks of one line table: 64 KiB, some 10,000 statements in one function. A longer table is
/// cut, and lines past the cut are reported as the function's first line.
pub const LINE_TABLE_CHUNKS: u32 = 64;

/// Chunks of one file or function name. Linux allows 4096 bytes in a path.
pub const NAME_CHUNKS: u32 = 4;

/// Default size of the ring buffer in bytes: at 600,000 events a second, a quarter of a second.
pub const DEFAULT_RING_BYTES: u32 = 8 << 20;

/// The reader is woken at most this seldom, in events of a space (a wake-up costs more than an
/// event). It also looks by itself every few milliseconds.
pub const WAKE_EVERY: u32 = 4096;

/// Looks for a moment without a change under way, when tracing ends: each takes some tens of
/// nanoseconds, and a change is under way for a few hundred. User space asks again when a thread was
/// interrupted in the middle of one.
pub const SETTLE_LOOKS: u32 = 8;

/// One event in this many has its probe time measured. Odd, so that it doesn't fall in step with
/// loops of the target.
pub const TIMED_ONE_IN: u64 = 61;

/// Stacks are walked for one change in 64 at least, where there is a budget: with fewer, a line would
/// have to grow by gigabytes to be seen.
pub const MAX_THIN: u32 = 6;

/// Changes of so many pages (128 KiB) have their stack walked whatever the budget: they take the longer by
/// themselves, and weigh most.
pub const WALKED_ALWAYS: u64 = 32;

/// Live blocks that the allocator lens keeps, each some 100 bytes of the kernel's memory. A program
/// has more of them when it keeps many small blocks outside CPython's arenas; what does not fit is
/// counted.
pub const MAX_BLOCKS: u32 = 1 << 20;

/// Stacks, each in a thread, for which the allocator lens keeps sums between two windows.
pub const MAX_OWNERS: u32 = 1 << 16;

/// Ends whose records did not fit into the ring buffer, and whose memory another process has got since.
pub const MAX_UNTOLD_ENDS: u32 = 4096;

/// Functions whose calls are counted for the allocator lens, [`YARDS`] for each target under a budget.
pub const MAX_YARDS: u32 = 1 << 15;

/// Functions of one target among which one is looked for that shows how fast it gets on.
pub const YARDS: u32 = 128;

/// Bytes of a code object that hold all fields that are looked at, in every version. Offsets in it travel in one byte.
pub const CODE_BYTES: u32 = 256;

/// Bytes of a str before its text, at most (`PyCompactUnicodeObject` up to 3.11 has 72).
pub const STR_BYTES: u32 = 80;
