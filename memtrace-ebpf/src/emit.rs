//! The only file that touches the ring buffer, and the only one that decides when to wake its
//! reader: once in many events, or at once for what can't wait.

use core::slice;

use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use memtrace_common::event::Header;
use memtrace_common::settings::Space;

use crate::maps::{EVENTS, field};

/// A record's head.
#[inline(always)]
pub fn header(tag: u32, space: u32) -> Header {
    Header { tag, space }
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
    let wakes = space.tally.events & u64::from(field!(wake_every) - 1) == 0;
    let flags = if wakes { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
    // SAFETY: the caller vouches for it.
    unsafe { put(space, start, length, flags) }
}

/// As [`send`], and wakes the reader now: a process began or ended.
#[inline(always)]
pub fn send_now<T: 'static>(space: &mut Space, record: &T) -> bool {
    // SAFETY: `record` is readable for its size.
    unsafe { put(space, (&raw const *record).cast(), size_of::<T>(), BPF_RB_FORCE_WAKEUP) }
}

/// As [`send_now`], for a record with a tail.
///
/// # Safety
///
/// As [`send_raw`].
#[inline(always)]
pub unsafe fn send_raw_now(space: &mut Space, start: *const u8, length: usize) -> bool {
    // SAFETY: the caller vouches for it.
    unsafe { put(space, start, length, BPF_RB_FORCE_WAKEUP) }
}

#[inline(always)]
unsafe fn put(space: &mut Space, start: *const u8, length: usize, flags: u32) -> bool {
    // SAFETY: the caller vouches for it.
    let bytes = unsafe { slice::from_raw_parts(start, length) };
    let sent = EVENTS.output::<[u8]>(bytes, u64::from(flags)).is_ok();
    if !sent {
        space.tally.lost_events += 1;
    }
    sent
}
