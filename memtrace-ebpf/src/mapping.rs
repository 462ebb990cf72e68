//! `mremap` moves: pages keep their owners at new addresses.
//!
//! No system call is traced for it. The kernel announces the gap that it found
//! (`mmap:vm_unmapped_area`), and the thread's saved registers say that an `mremap` asked.

use memtrace_common::event::{Moved, begins, call, tag};
use memtrace_common::settings::LIVE;

use crate::maps::{PROCESSES, SPACES, field};
use crate::memory::read_kernel;
use crate::task::{Call, current_ids};
use crate::{emit, recognise};

/// A gap at `address` was found for the running task; `info` is its `vm_unmapped_area_info`.
#[inline(always)]
pub fn gap_found(address: u64, info: u64) {
    let (tgid, _) = current_ids();
    let Some(process) = PROCESSES.get_ptr(tgid) else { return };
    // An error code instead of an address.
    if address as i64 <= 0 {
        return;
    }
    let Some(asked) = Call::current() else { return };
    if asked.number == i64::from(call::MMAP) {
        let length = read_kernel(info + u64::from(field!(area_length))).unwrap_or(0);
        // SAFETY: map memory.
        recognise::mapped(unsafe { (*process).mm }, begins(address, length, asked.arguments[1]));
        return;
    }
    if asked.number != i64::from(call::MREMAP) {
        return;
    }
    // SAFETY: map memory.
    let Some(space) = SPACES.get_ptr_mut(unsafe { (*process).mm }) else { return };
    // SAFETY: map memory; concurrent writers touch single words.
    let space = unsafe { &mut *space };
    if space.state != LIVE {
        return;
    }
    let record = Moved {
        header: emit::header(tag::MOVED, space.id),
        from: asked.arguments[0],
        length: asked.arguments[1],
        to: address,
        new_length: asked.arguments[2],
        area_length: read_kernel(info + u64::from(field!(area_length))).unwrap_or(0),
    };
    emit::send(space, &record);
}
