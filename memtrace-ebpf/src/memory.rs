//! Reads: of the target's memory for the walker, of the kernel's own for counters and registers.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_user};
use memtrace_common::memory::ReadMemory;

/// The memory of the process that runs now.
pub struct UserMemory;

impl ReadMemory for UserMemory {
    #[inline(always)]
    unsafe fn read_raw(&self, address: u64, into: *mut u8, length: u32) -> bool {
        // SAFETY: the caller vouches for `into`; the helper takes any address and never faults.
        unsafe { bpf_probe_read_user(into.cast(), length, address as *const _) == 0 }
    }
}

/// A `T` of the kernel's memory. Not zeroed first: for this target that would be a loop of bytes.
#[inline(always)]
pub fn read_kernel<T: Copy>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    let into = value.as_mut_ptr().cast();
    // SAFETY: `value` is as long as said; the helper takes any address and never faults.
    let failed = unsafe { bpf_probe_read_kernel(into, size_of::<T>() as u32, address as *const _) };
    // SAFETY: filled when the helper did not fail; only integers and arrays of them are read.
    if failed == 0 { Some(unsafe { value.assume_init() }) } else { None }
}
