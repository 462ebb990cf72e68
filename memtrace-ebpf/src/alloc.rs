//! The allocator lens: blocks that a target's threads allocate and free, summed up by stack.
//!
//! The ring buffer carries stacks only; sums and live blocks are in maps that user space reads.
//! Which functions are probed, and what their arguments are, comes with each probe
//! ([`memtrace_common::lens::Reads`]).

mod blocks;
mod calls;
mod maps;
mod yard;

use aya_ebpf::programs::{ProbeContext, RetProbeContext};
use memtrace_common::lens::Lens;
use memtrace_common::settings::{LIVE, Space};

pub use self::maps::CLAIMED;
pub use self::yard::passed;
use crate::maps::SPACES;
use crate::task::Current;

/// A function that allocates is entered.
#[inline(always)]
pub fn entered(ctx: &ProbeContext) {
    let task = Current::task();
    let Some((space, lens)) = lens_of(task) else { return };
    blocks::count(&mut lens.entered);
    calls::begin(ctx, space, lens, task.tid());
}

/// A function that allocates returns.
#[inline(always)]
pub fn returned(ctx: &RetProbeContext) {
    let task = Current::task();
    let Some((space, lens)) = lens_of(task) else { return };
    blocks::count(&mut lens.returned);
    calls::end(ctx, space, lens, task);
}

/// A function that frees is entered.
#[inline(always)]
pub fn freed(ctx: &ProbeContext) {
    let task = Current::task();
    let Some((space, lens)) = lens_of(task) else { return };
    blocks::count(&mut lens.freed);
    calls::free(ctx, space, lens, task.tid());
}

/// A space begins by `fork` or `exec`: what user space wants of such is at number 0, which no space
/// has.
#[inline(always)]
pub fn begin(space: u32) {
    // SAFETY: a copy of map memory.
    let Some(lens) = (unsafe { maps::LENSES.get(0) }).copied() else { return };
    let _ = maps::LENSES.insert(space, lens, 0);
}

/// A thread ends.
#[inline(always)]
pub fn forget(tid: u32) {
    let _ = maps::CALLS.remove(tid);
}

/// The running task's space and lens, if it is a target's that is looked at.
#[inline(always)]
fn lens_of(task: Current) -> Option<(&'static mut Space, &'static mut Lens)> {
    // SAFETY: map memory; concurrent writers touch single words.
    let space: &mut Space = unsafe { &mut *SPACES.get_ptr_mut(task.mm())? };
    if space.state != LIVE {
        return None;
    }
    let id = space.id;
    // SAFETY: as above.
    Some((space, unsafe { &mut *maps::LENSES.get_ptr_mut(id)? }))
}
