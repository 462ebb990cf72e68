//! What one look at a process gives: plain figures, which reports print and `--diff` reads back.
//!
//! Pure. The names of the fields are the keys of `memtrace.explain/1`: they are added, never
//! renamed. How the figures are come by is the other modules' business.

use serde::{Deserialize, Serialize};

use crate::units::{Bytes, Nanos};

/// The name of this form.
pub const SCHEMA: &str = "memtrace.explain/1";

/// Where a process's resident memory is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SCHEMA`]
    pub schema: String,
    /// RFC 3339.
    pub taken_at: String,
    /// How long the look took.
    pub duration_ns: Nanos,
    /// How long the process was kept from running; `None` if it was not stopped.
    pub frozen_ns: Option<Nanos>,
    /// The kernel's release.
    pub kernel: String,
    /// In our pid namespace.
    pub pid: u32,
    /// Its arguments.
    pub command: Vec<String>,
    /// `3.12.1`
    pub python: String,
    /// `Rss` of `smaps_rollup`, and at least of all mappings: what the rows add up to.
    pub rss_bytes: Bytes,
    /// `Swap`, likewise.
    pub swap_bytes: Bytes,
    /// Of RSS: in transparent huge pages.
    pub huge_bytes: Bytes,
    /// Beside RSS: in pages of hugetlbfs.
    pub hugetlb_bytes: Bytes,
    /// One row a kind of memory, the largest first.
    pub rows: Vec<Row>,
    /// CPython's small-object allocator.
    pub arenas: Arenas,
    /// glibc's `malloc`; `None` if there is none, or it was not understood.
    pub heap: Option<Heap>,
    /// Allocators of other names that are loaded.
    pub other_allocators: Vec<String>,
    /// The largest blocks of `malloc` that have a mapping of their own, the largest first.
    pub largest_blocks: Vec<Block>,
    /// The files with the most resident pages, the largest first.
    pub files: Vec<FileRow>,
    /// Objects that the garbage collector tracks; `None` if they could not be counted.
    pub census: Option<Census>,
    /// Sentences about what could not be found out.
    pub notes: Vec<String>,
    /// What the figures mean, in words.
    pub sentences: Vec<String>,
}

/// Kinds of memory. Each resident page, or part of one, is of exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Blocks in use in pymalloc's arenas.
    ArenaLive,
    /// Free blocks in pools that hold others in use.
    ArenaFreeInPools,
    /// Pools without any block in use.
    ArenaFreePools,
    /// Headers of pools, and what is left over at their ends.
    ArenaOverhead,
    /// What Python frames are in (3.11 and newer).
    PythonFrames,
    /// Chunks of glibc's arenas that the program holds (or a thread's cache).
    HeapInUse,
    /// Free chunks of glibc's arenas.
    HeapFree,
    /// The free ends of glibc's arenas.
    HeapTop,
    /// Blocks of `malloc` that have a mapping of their own.
    LargeBlocks,
    /// Anonymous memory, most of it probably of an allocator that is loaded in glibc's stead.
    OtherAllocator,
    /// The `brk` heap, where it was not understood.
    BrkHeap,
    /// Stacks of threads.
    ThreadStacks,
    /// The program and its libraries: code, data and `.bss`.
    Libraries,
    /// Files that are not executed.
    MappedFiles,
    /// Shared anonymous memory, tmpfs, memfd, System V.
    SharedMemory,
    /// Memory of devices.
    Devices,
    /// vdso and the like.
    KernelPages,
    /// Anonymous memory that the program has named (`PR_SET_VMA_ANON_NAME`).
    NamedAnonymous,
    /// Anonymous memory of unknown use.
    UnknownAnonymous,
    /// What changed between one look and the next: `rss_bytes` minus all other rows.
    Changed,
}

impl Kind {
    /// As tables name it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::ArenaLive => "Python arenas: live blocks",
            Self::ArenaFreeInPools => "Python arenas: free inside pools in use",
            Self::ArenaFreePools => "Python arenas: whole pools free",
            Self::ArenaOverhead => "Python arenas: headers and ends of pools",
            Self::PythonFrames => "Python frames",
            Self::HeapInUse => "glibc heap: in use",
            Self::HeapFree => "glibc heap: free in bins",
            Self::HeapTop => "glibc heap: free at the top",
            Self::LargeBlocks => "large blocks of malloc (own mappings)",
            Self::OtherAllocator => "other allocators, and unnamed anonymous memory",
            Self::BrkHeap => "brk heap, not understood",
            Self::ThreadStacks => "thread stacks",
            Self::Libraries => "program and libraries",
            Self::MappedFiles => "mapped files",
            Self::SharedMemory => "shared memory",
            Self::Devices => "memory of devices",
            Self::KernelPages => "kernel's pages (vdso)",
            Self::NamedAnonymous => "anonymous memory with a name of its own",
            Self::UnknownAnonymous => "anonymous memory of unknown use",
            Self::Changed => "changed while it was looked at",
        }
    }
}

/// Memory of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Which.
    pub kind: Kind,
    /// Resident.
    pub rss_bytes: Bytes,
    /// In swap.
    pub swap_bytes: Bytes,
    /// Address space.
    pub mapped_bytes: Bytes,
}

/// What stands behind `PyObject_Malloc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectAllocator {
    /// CPython's own, the default.
    Pymalloc,
    /// The same with checks (`PYTHONMALLOC=debug`, `-X dev`): blocks are larger by its marks.
    PymallocDebug,
    /// libc's `malloc` (`PYTHONMALLOC=malloc`): there are no arenas.
    Malloc,
    /// The same with checks.
    MallocDebug,
    /// Hooks that are known to nobody but their owner: tracemalloc, or a profiler.
    Hooked,
    /// mimalloc (`PYTHONMALLOC=mimalloc`, 3.13 and newer).
    Mimalloc,
    /// Not found out.
    Unknown,
}

/// CPython's small-object allocator. Bytes of blocks are those of their size class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arenas {
    /// Which allocator it is.
    pub allocator: ObjectAllocator,
    /// Bytes of one arena.
    pub arena_bytes: Bytes,
    /// Arenas that are mapped.
    pub arenas: u64,
    /// Of these, with at least one live block: they can't be returned.
    pub held: u64,
    /// All of them.
    pub mapped_bytes: Bytes,
    /// Of that, resident.
    pub resident_bytes: Bytes,
    /// Blocks in use.
    pub live_blocks: u64,
    /// Their bytes.
    pub live_bytes: Bytes,
    /// What `sys.getallocatedblocks()` counts beside them: blocks that went to `malloc`.
    pub large_blocks: Option<i64>,
    /// `sys.getallocatedblocks()`
    pub allocated_blocks: Option<i64>,
    /// Pools that hold a live block.
    pub pools_in_use: u64,
    /// Pools that hold none.
    pub pools_free: u64,
    /// Pools that contradicted themselves however often they were read.
    pub pools_torn: u64,
    /// Pools and arenas that could not be read (in swap, or gone).
    pub unreadable: u64,
    /// By how full arenas are.
    pub fill: Vec<Fill>,
    /// By size of block, smallest first.
    pub classes: Vec<SizeClass>,
}

impl Arenas {
    /// None, of this size.
    #[must_use]
    pub fn none(arena_bytes: Bytes) -> Self {
        Self {
            allocator: ObjectAllocator::Unknown,
            arena_bytes,
            arenas: 0,
            held: 0,
            mapped_bytes: Bytes::ZERO,
            resident_bytes: Bytes::ZERO,
            live_blocks: 0,
            live_bytes: Bytes::ZERO,
            large_blocks: None,
            allocated_blocks: None,
            pools_in_use: 0,
            pools_free: 0,
            pools_torn: 0,
            unreadable: 0,
            fill: Vec::new(),
            classes: Vec::new(),
        }
    }
}

/// Arenas that are so full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// At most so many percent of the arena are live blocks (and more than the entry before).
    pub up_to_percent: u32,
    /// So many arenas.
    pub arenas: u64,
    /// What is live in them.
    pub live_bytes: Bytes,
    /// What is resident of them.
    pub resident_bytes: Bytes,
}

/// Blocks of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeClass {
    /// Bytes of one block.
    pub block_bytes: u32,
    /// Pools for them.
    pub pools: u64,
    /// In use.
    pub live_blocks: u64,
    /// Their bytes.
    pub live_bytes: Bytes,
    /// Free in those pools.
    pub free_blocks: u64,
    /// Their bytes.
    pub free_bytes: Bytes,
}

/// glibc's `malloc`, with `mallinfo2`'s meanings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heap {
    /// Its arenas, the main one first.
    pub arenas: Vec<HeapArena>,
    /// Blocks with a mapping of their own.
    pub mapped_blocks: u64,
    /// Their bytes (`hblkhd`).
    pub mapped_bytes: Bytes,
    /// What `malloc_trim(0)` would give back now.
    pub trim_bytes: Bytes,
}

/// One of glibc's arenas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeapArena {
    /// Address of its `malloc_state`.
    pub address: u64,
    /// The main arena.
    pub main: bool,
    /// Threads that use it.
    pub threads: u64,
    /// Bytes that it has from the system (`arena`).
    pub system_bytes: Bytes,
    /// Of that, resident.
    pub resident_bytes: Bytes,
    /// In use (`uordblks`): what threads keep in their caches is in it.
    pub in_use_bytes: Bytes,
    /// Free in bins (`fordblks` without the top; fast bins are in it).
    pub free_bytes: Bytes,
    /// Of that, resident.
    pub free_resident_bytes: Bytes,
    /// So many free chunks.
    pub free_chunks: u64,
    /// Free at the end (`keepcost` of the main arena).
    pub top_bytes: Bytes,
    /// What `malloc_trim(0)` would give back of it: whole resident pages in free chunks; of the
    /// main arena's end, too.
    pub trim_bytes: Bytes,
    /// Not walked to its end: what is behind is among the memory of unknown use.
    pub torn: bool,
}

/// A block of `malloc` with a mapping of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Of its mapping.
    pub address: u64,
    /// Mapped.
    pub mapped_bytes: Bytes,
    /// Resident.
    pub rss_bytes: Bytes,
}

/// A mapped file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRow {
    /// As the kernel names it.
    pub path: String,
    /// Library, mapped file, shared memory.
    pub kind: Kind,
    /// Resident.
    pub rss_bytes: Bytes,
    /// Mapped.
    pub mapped_bytes: Bytes,
}

/// Objects that the garbage collector tracks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// All of them.
    pub objects: u64,
    /// Of these, in the permanent generation (`gc.freeze`), which `gc.get_objects()` leaves out.
    pub permanent: u64,
    /// Their bytes.
    pub size_bytes: Bytes,
    /// Links that did not fit together however often they were read, and were followed.
    pub torn_links: u64,
    /// Lists that were given up before their end.
    pub lists_cut: u64,
    /// By type, those with the most bytes first.
    pub types: Vec<TypeRow>,
}

/// Objects of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeRow {
    /// `module.qualified.Name`
    pub name: String,
    /// So many.
    pub count: u64,
    /// Of these, in the permanent generation.
    pub permanent: u64,
    /// Their blocks, with the collector's head: not what they point to (a list's array, a dict's
    /// table).
    pub size_bytes: Bytes,
}
