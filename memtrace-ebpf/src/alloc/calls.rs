//! Calls of a target's allocator: entry and return of the outermost one belong together by the
//! stack pointer, so that what an allocator calls of its own counts once, and a return that
//! never comes disturbs nothing.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_get_attach_cookie;
use aya_ebpf::programs::{ProbeContext, RetProbeContext};
use memtrace_common::lens::{Block, BlockKey, Lens, Reads, TIMED_ONE_IN};
use memtrace_common::memory::ReadMemory;
use memtrace_common::settings::Space;

use super::blocks;
use super::maps::{CALLS, CLAIMED, Call};
use crate::maps::{ALLOCATOR, thread};
use crate::memory::UserMemory;
use crate::task::Current;
use crate::{atomic, machine, stack};

/// A call further down the stack than this is not inside the one before: that one's return was lost.
const REACH: u64 = 64 << 10;

const NO_BLOCK: Block = Block { size: 0, stack: 0, born: 0, weight: 0, tid: 0, order: 0 };

/// The argument at a position counted from 1; 0 when there is none.
#[inline(always)]
fn argument(ctx: &ProbeContext, position: u64) -> u64 {
    let [first, second, third] = machine::arguments(ctx);
    match position {
        1 => first,
        2 => second,
        3 => third,
        _ => 0,
    }
}

#[inline(always)]
fn cookie(ctx: &ProbeContext) -> Reads {
    // SAFETY: the helper takes the program's context.
    Reads(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) })
}

#[inline(always)]
fn call_of(tid: u32) -> Option<&'static mut Call> {
    // SAFETY: map memory, written by the thread itself only.
    CALLS.get_ptr_mut(tid).map(|call| unsafe { &mut *call })
}

/// The thread's call, which is none at first.
#[inline(always)]
fn call_or_new(tid: u32) -> Option<&'static mut Call> {
    if call_of(tid).is_none() {
        let fresh = Call {
            pointer: 0,
            epoch: 0,
            size: 0,
            out: 0,
            old: 0,
            known: 0,
            order: 0,
            block: NO_BLOCK,
            freed: 0,
            freed_at: 0,
        };
        let _ = CALLS.insert(tid, fresh, 0);
    }
    call_of(tid)
}

/// Whether an entry at `pointer` is inside the call under way.
#[inline(always)]
fn is_nested(call: &Call, lens: &Lens, pointer: u64) -> bool {
    call.pointer != 0
        && call.epoch == lens.epoch
        && pointer < call.pointer
        && call.pointer - pointer < REACH
}

/// A function is entered that will return a block.
#[inline(always)]
pub fn begin(ctx: &ProbeContext, space: &Space, lens: &Lens, tid: u32) {
    let pointer = machine::stack_pointer(ctx);
    let reads = cookie(ctx);
    let Some(call) = call_or_new(tid) else { return };
    call.freed = 0;
    if is_nested(call, lens, pointer) {
        return;
    }
    call.pointer = pointer;
    call.epoch = lens.epoch;
    call.size = argument(ctx, reads.size_at());
    if reads.count_at() != 0 {
        call.size = call.size.wrapping_mul(argument(ctx, reads.count_at()));
    }
    call.out = argument(ctx, reads.out_at());
    call.old = argument(ctx, reads.old_at());
    call.known = 0;
    if call.old != 0 {
        // Out before the allocator has it back: another thread may get its address at once.
        let key = BlockKey { address: call.old, space: u64::from(space.id) };
        if let Some(block) = blocks::take(&key) {
            call.block = block;
            call.known = 1;
        }
    }
}

/// A function returns a block.
#[inline(always)]
pub fn end(ctx: &RetProbeContext, space: &mut Space, lens: &mut Lens, task: Current) {
    let tid = task.tid();
    let (pointer, result) = (machine::stack_pointer(ctx), machine::result(ctx));
    let Some(call) = call_of(tid) else { return };
    if call.pointer == 0
        || machine::after_return(call.pointer) != pointer
        || call.epoch != lens.epoch
    {
        return;
    }
    call.pointer = 0;
    let address = if call.out == 0 {
        result
    } else if result as u32 == 0 {
        UserMemory.read_u64(call.out).unwrap_or(0)
    } else {
        0
    };
    if address == 0 {
        // `realloc` to nothing frees, another one that fails leaves the block as it was.
        if call.known != 0 && call.size != 0 {
            blocks::restore(space.id, call.old, &call.block);
        } else if call.known != 0 {
            blocks::died(space.id, &call.block, Some((tid, call.order)));
        }
        return;
    }
    if call.known != 0 {
        blocks::died(space.id, &call.block, Some((tid, call.order)));
    } else if call.old != 0 {
        blocks::count(&mut lens.unknown);
    }
    call.order = call.order.wrapping_add(1);
    if lens.weight == 0 {
        return;
    }
    let timed = call.order.is_multiple_of(TIMED_ONE_IN);
    // SAFETY: a helper without arguments.
    let begin = unsafe { bpf_ktime_get_ns() };
    let stack = stack_of(space, lens, task);
    if timed {
        // SAFETY: as above.
        let took = unsafe { bpf_ktime_get_ns() } - begin;
        blocks::add(&mut lens.walk_ns, took * u64::from(TIMED_ONE_IN));
    }
    // In the map and not on the stack, which is nearly used up.
    call.block =
        Block { size: call.size, stack, born: begin, weight: lens.weight, tid, order: call.order };
    blocks::born(space.id, lens, address, &call.block);
}

/// The running thread's stack; 0 when another walk was interrupted on this CPU.
#[inline(always)]
fn stack_of(space: &mut Space, lens: &mut Lens, task: Current) -> u64 {
    let Some(claimed) = CLAIMED.get_ptr_mut(0) else { return 0 };
    // SAFETY: a word of map memory.
    if unsafe { atomic::exchange(claimed, 1) } != 0 {
        blocks::count(&mut lens.interrupted);
        return 0;
    }
    let mut thread = thread(task.tid());
    // A page of the target that the walk doesn't find is no fault of the target's.
    let fault = thread.as_ref().map_or((0, 0), |thread| (thread.fault, thread.fault_in_kernel));
    let id = stack::current_in::<ALLOCATOR>(space, task, thread.as_deref_mut(), true);
    if let Some(thread) = thread {
        (thread.fault, thread.fault_in_kernel) = fault;
    }
    // SAFETY: as above.
    unsafe { atomic::exchange(claimed, 0) };
    id
}

/// A function is entered that frees a block.
#[inline(always)]
pub fn free(ctx: &ProbeContext, space: &Space, lens: &mut Lens, tid: u32) {
    let address = argument(ctx, cookie(ctx).old_at());
    if address == 0 {
        return;
    }
    let Some(call) = call_or_new(tid) else { return };
    let pointer = machine::stack_pointer(ctx);
    // CPython's function for objects frees by libc's: that one's block is gone already.
    let same = call.freed == address && pointer <= call.freed_at && call.freed_at - pointer < REACH;
    call.freed = address;
    call.freed_at = pointer;
    match blocks::take(&BlockKey { address, space: u64::from(space.id) }) {
        Some(block) => blocks::died(space.id, &block, Some((tid, call.order))),
        None if same || is_nested(call, lens, pointer) => {}
        None => blocks::count(&mut lens.unknown),
    }
}
