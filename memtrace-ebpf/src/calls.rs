//! Evaluations of code objects, counted for `--calls`. User space fetches the counts at the end of each
//! window; those of a code object that dies go to it at once.

use memtrace_common::event::{Evaluated, tag};
use memtrace_common::memory::ReadMemory;
use memtrace_common::settings::{LIVE, Space};

use crate::alloc::CLAIMED;
use crate::maps::{self, CodeKey, EVALUATIONS, PROCESSES, SPACES};
use crate::memory::UserMemory;
use crate::task::current_ids;
use crate::{atomic, emit, stack};

/// The target evaluates the frame at this address.
#[inline(always)]
pub fn evaluated(frame: u64) {
    let (pid, _) = current_ids();
    let Some(process) = PROCESSES.get_ptr(pid) else { return };
    // SAFETY: map memory; concurrent writers touch single words.
    let Some(space) = SPACES.get_ptr_mut(unsafe { (*process).mm }) else { return };
    // SAFETY: as above.
    let space = unsafe { &mut *space };
    if space.state != LIVE {
        return;
    }
    let layout = &space.layout;
    let field = u64::from(layout.window_start).wrapping_add(u64::from(layout.code_at));
    // Zero where the frame can't be read, which has a count of its own.
    let code = UserMemory.read_u64(frame.wrapping_add(field)).unwrap_or(0) & layout.code_mask;
    if count(space, code) {
        return;
    }
    if code != 0 && !name(space, code) {
        count(space, 0);
        return;
    }
    let key = CodeKey { code, space: u64::from(space.id) };
    // Another thread may have been first; the GIL makes that unlikely, and the map is full otherwise.
    if EVALUATIONS.insert(key, 1, NO_EXIST).is_err() && !count(space, code) {
        count(space, 0);
    }
}

/// Sends the code's name unless user space has it; `false` when the working memory is in use: a uprobe's
/// program can be preempted by another thread's.
#[inline(always)]
fn name(space: &mut Space, code: u64) -> bool {
    let Some(claimed) = CLAIMED.get_ptr_mut(0) else { return false };
    // SAFETY: a word of map memory.
    if unsafe { atomic::exchange(claimed, 1) } != 0 {
        return false;
    }
    let thread = maps::thread(current_ids().1);
    // A page of the target that isn't there is no fault of the target's.
    let fault = thread.as_ref().map_or((0, 0), |thread| (thread.fault, thread.fault_in_kernel));
    stack::name_code(space, code);
    if let Some(thread) = thread {
        (thread.fault, thread.fault_in_kernel) = fault;
    }
    // SAFETY: as above.
    unsafe { atomic::exchange(claimed, 0) };
    true
}

/// `BPF_NOEXIST` (`include/uapi/linux/bpf.h`)
const NO_EXIST: u64 = 1;

/// Adds one where there is a count.
#[inline(always)]
fn count(space: &Space, code: u64) -> bool {
    let key = CodeKey { code, space: u64::from(space.id) };
    let Some(count) = EVALUATIONS.get_ptr_mut(key) else { return false };
    // SAFETY: an aligned word of map memory.
    unsafe { atomic::fetch_add(count, 1) };
    true
}

/// The code object dies: its count must be told while it has its name.
#[inline(always)]
pub fn freed(space: &mut Space, code: u64) {
    let key = CodeKey { code, space: u64::from(space.id) };
    let Some(count) = EVALUATIONS.get_ptr(key) else { return };
    // SAFETY: a copy of one word of map memory.
    let count = unsafe { *count };
    let header = emit::header(tag::EVALUATED, space.id);
    // Else it is fetched with the others, under the name of whatever comes to live there.
    if emit::send(space, &Evaluated { header, code, count }) {
        let _ = EVALUATIONS.remove(key);
    }
}
