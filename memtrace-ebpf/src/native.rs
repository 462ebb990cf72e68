//! Where a thread was in native code while RSS grew: its registers and the end of its stack, copied
//! once for each way there. User space unwinds the copy; nothing is unwound here.

use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{LruHashMap, PerCpuArray};
use memtrace_common::event::tag;
use memtrace_common::memory::ReadMemory;
use memtrace_common::native::{
    MAX_NATIVES_SENT, MAX_STACK_BYTES, Native, STACK_CHUNK, TOP_WORDS, key, regs,
};
use memtrace_common::settings::Space;

use crate::emit;
use crate::maps::scratch;
use crate::memory::{UserMemory, at_most, load_kernel};
use crate::rounds::{Body, repeat};

/// 1 when native frames are wanted. Written by user space before loading; where it is 0, the
/// verifier drops what stands behind it.
#[unsafe(no_mangle)]
pub static NATIVE: u32 = 0;

/// A snapshot being made: too large for the stack.
#[repr(C)]
pub struct Snapshot {
    head: Native,
    bytes: [u8; MAX_STACK_BYTES],
    top: [u64; TOP_WORDS],
    /// The last one that user space had: many faults in a row are one's.
    last: u64,
}

/// Working memory of one program run, as `SCRATCH`.
#[map]
static SNAPSHOT: PerCpuArray<Snapshot> = PerCpuArray::with_max_entries(1, 0);

/// Snapshots that user space has.
#[map]
static NATIVES_SENT: LruHashMap<u64, u8> = LruHashMap::with_max_entries(MAX_NATIVES_SENT, 0);

#[inline(always)]
fn snapshot() -> Option<&'static mut Snapshot> {
    // SAFETY: as `maps::scratch`.
    SNAPSHOT.get_ptr_mut(0).map(|snapshot| unsafe { &mut *snapshot })
}

/// Id of the running thread's Python stack with its native frames above it; the snapshot that they
/// come from goes to user space first, when it is new. Without native frames `stack` itself.
#[inline(always)]
pub fn above(space: &mut Space, stack: u64) -> u64 {
    // SAFETY: a static; volatile because user space fills it after compilation.
    if unsafe { core::ptr::read_volatile(&raw const NATIVE) } == 0 {
        return stack;
    }
    let (Some(scratch), Some(snapshot)) = (scratch(), snapshot()) else { return stack };
    // SAFETY: the helper takes the task that the other helper returned.
    let at = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as u64;
    let head = &mut snapshot.head;
    head.ip = load_kernel(at + regs::IP);
    head.sp = load_kernel(at + regs::SP);
    head.bp = load_kernel(at + regs::BP);
    scratch.busy = 1;
    let top = snapshot.top.as_mut_ptr().cast();
    // SAFETY: `top` is as long as said.
    let read = unsafe { UserMemory.read_raw(head.sp, top, (8 * TOP_WORDS) as u32) };
    let id = if read { key(stack, head.ip, head.sp, &snapshot.top) } else { stack };
    let same = id == stack || id == snapshot.last;
    // SAFETY: only presence is asked.
    let known = same || unsafe { NATIVES_SENT.get(id) }.is_some();
    if !known {
        head.id = id;
        head.stack = stack;
        head.length = 0;
        repeat::<CopyChunks>(snapshot);
    }
    scratch.busy = 0;
    if known || send(space, snapshot, id) {
        snapshot.last = id;
        return id;
    }
    stack
}

/// Copies one chunk of the stack; `false` ends the loop.
struct CopyChunks;

impl Body for CopyChunks {
    type With = Snapshot;
    const ROUNDS: u32 = (MAX_STACK_BYTES / STACK_CHUNK) as u32;

    #[inline(always)]
    fn round(number: u32, snapshot: &mut Snapshot) -> bool {
        if number >= Self::ROUNDS {
            return false;
        }
        let from = snapshot.head.sp + u64::from(number) * STACK_CHUNK as u64;
        // SAFETY: `number` is below the number of chunks.
        let into = unsafe { snapshot.bytes.as_mut_ptr().add(number as usize * STACK_CHUNK) };
        // SAFETY: `into` has room for a chunk.
        if !unsafe { UserMemory.read_raw(from, into, STACK_CHUNK as u32) } {
            return false;
        }
        snapshot.head.length += STACK_CHUNK as u32;
        true
    }
}

/// Sends the snapshot; `false` when it didn't fit.
#[inline(always)]
fn send(space: &mut Space, snapshot: &mut Snapshot, id: u64) -> bool {
    snapshot.head.header = emit::header(tag::NATIVE, space.id);
    snapshot.head.reserved = 0;
    let length = at_most::<{ MAX_STACK_BYTES as i32 }>(snapshot.head.length.into());
    let length = size_of::<Native>() + length as usize;
    // SAFETY: the bytes stand right behind the head.
    let sent = unsafe { emit::send_raw(space, (&raw const *snapshot).cast(), length) };
    if sent {
        let _ = NATIVES_SENT.insert(id, 1, 0);
    }
    sent
}
