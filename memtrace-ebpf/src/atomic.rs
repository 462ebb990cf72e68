//! Atomic steps on words of map memory. `core::sync::atomic` leaves them out for this target,
//! whose compiler has them all the same (`xchg` and `fetch_add` of BPF v3, Linux 5.12).

use core::intrinsics::{AtomicOrdering, atomic_xadd, atomic_xchg};

/// Puts `value` there and returns what was there.
///
/// # Safety
///
/// `word` must be an aligned word of map memory.
#[inline(always)]
pub unsafe fn exchange(word: *mut i64, value: i64) -> i64 {
    // SAFETY: the caller vouches for `word`.
    unsafe { atomic_xchg::<i64, { AtomicOrdering::SeqCst }>(word, value) }
}

/// As [`exchange`], of half a word.
///
/// # Safety
///
/// As [`exchange`].
#[inline(always)]
pub unsafe fn exchange_half(word: *mut i32, value: i32) -> i32 {
    // SAFETY: the caller vouches for `word`.
    unsafe { atomic_xchg::<i32, { AtomicOrdering::SeqCst }>(word, value) }
}

/// Adds `value` and returns what was there.
///
/// # Safety
///
/// As [`exchange`].
#[inline(always)]
pub unsafe fn fetch_add(word: *mut u64, value: u64) -> u64 {
    // SAFETY: the caller vouches for `word`.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(word, value) }
}
