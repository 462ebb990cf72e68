//! The maps of the allocator lens. User space makes them large when the lens is asked for.

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray};
use memtrace_common::lens::{Block, BlockKey, Lens, Order, Owner, Sums, Yard};

/// Space → what is recorded of it. Written by user space, which also takes it out.
#[map]
pub static LENSES: HashMap<u32, Lens> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// A call under way of a function that allocates.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Call {
    /// The stack pointer at its entry; 0 when none is under way.
    pub pointer: u64,
    /// As the lens had it.
    pub epoch: u64,
    /// Bytes asked for.
    pub size: u64,
    /// Where the block's address will be written; 0 when it is returned.
    pub out: u64,
    /// Address of the block that it takes the place of.
    pub old: u64,
    /// 1 when that block is known.
    pub known: u32,
    /// Allocations of the thread so far; wraps.
    pub order: u32,
    /// That block.
    pub block: Block,
    /// Address that a function was last told to free, and the stack pointer then: what that function calls
    /// with the same address is the same free.
    pub freed: u64,
    /// See above.
    pub freed_at: u64,
}

/// tid → the outermost call of the thread. Made at its first allocation, removed at its end.
#[map]
pub static CALLS: HashMap<u32, Call> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// Live blocks.
#[map]
pub static BLOCKS: HashMap<BlockKey, Block> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// What each stack in each thread has come to. Read by user space once a window, which takes out
/// those that nothing happens to any more.
#[map]
pub static SUMS: HashMap<Owner, Sums> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// 1 while the CPU's working memory is in use.
#[map]
pub static CLAIMED: PerCpuArray<i64> = PerCpuArray::with_max_entries(1, 0);

/// Counters of calls, by slot. Read by user space.
#[map]
pub static YARDS: Array<Yard> = Array::with_max_entries(1, 0);

/// By the same slots: what is to be recorded. Written by user space.
#[map]
pub static ORDERS: Array<Order> = Array::with_max_entries(1, 0);
