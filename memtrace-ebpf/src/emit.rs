//! The only file that touches the ring buffer, and the only one that decides when to wake its
//! reader: by amount of data, or at once for what can't wait.

use core::slice;

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use memtrace_common::event::Header;
use memtrace_common::settings::Space;

use crate::maps::{EVENTS, field};

/// A record's head.
#[inline(always)]
pub fn header(tag: u32, space: u32) -> Header {
    // SAFETY: a helper without arguments.
    Header { tag, space, time_ns: unsafe { bpf_ktime_get_ns() } }
}

/// Sends a record; what doesn't fit is counted on its space.
#[inline(always)]
pub fn send<T: 'static>(space: &mut Space, record: &T) -> bool {
    // SAFETY: `record` is readable for its size.
    unsafe { send_raw(space, (&raw const *record).cast(), size_of::<T>()) }
}

/// As [`send`], for a record with a tail.
///
/// # Safety
///
/// `length` bytes at `start` must be readable.
#[inline(always)]
pub unsafe fn send_raw(space: &mut Space, start: *const u8, length: usize) -> bool {
    let waiting = EVENTS.query(BPF_RB_AVAIL_DATA as u64);
    let flags = if waiting >= u64::from(field!(wake_at_bytes)) {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    };
    // SAFETY: the caller vouches for it.
    let bytes = unsafe { slice::from_raw_parts(start, length) };
    let sent = EVENTS.output::<[u8]>(bytes, u64::from(flags)).is_ok();
    if !sent {
        space.tally.lost_events += 1;
    }
    sent
}

/// As [`send`], and wakes the reader now: a process began or ended.
#[inline(always)]
pub fn send_now<T: 'static>(space: &mut Space, record: &T) -> bool {
    // SAFETY: `record` is readable for its size.
    let bytes = unsafe { slice::from_raw_parts((&raw const *record).cast::<u8>(), size_of::<T>()) };
    let sent = EVENTS.output::<[u8]>(bytes, u64::from(BPF_RB_FORCE_WAKEUP)).is_ok();
    if !sent {
        space.tally.lost_events += 1;
    }
    sent
}
