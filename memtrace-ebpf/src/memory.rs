//! Reads: of the target's memory for the walker, of the kernel's own for counters and registers.

use core::arch::asm;
use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_user};
use memtrace_common::memory::ReadMemory;
use memtrace_common::settings::CALL_OF_RDONLY_CAST;

use crate::maps::field;

/// `value`, and no more than `MAX`. In one register, by instructions that the compiler can't take apart: Linux 6.1's
/// verifier forgets the bounds of copies.
#[inline(always)]
pub fn at_most<const MAX: i32>(mut value: u64) -> u64 {
    // SAFETY: two instructions on a register.
    unsafe {
        asm!(
            "if {value} <= {max} goto +1",
            "{value} = {max}",
            value = inout(reg) value,
            max = const MAX,
        );
    }
    value
}

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

/// A `T` of the kernel's memory, by a load instead of a helper's call, which is twenty times as
/// fast. Zero when unreadable, so only for memory that is known to be there.
///
/// The verifier allows loads from structures whose type it knows, and `bpf_rdonly_cast`
/// (`kernel/bpf/helpers.c`, Linux 6.2) makes it believe any address; it costs nothing, being one
/// move between registers. The load can't fault: the kernel gives it an exception entry. An older kernel's
/// helper reads.
#[inline(always)]
pub fn load_kernel<T: Copy + Default>(address: u64) -> T {
    if field!(counter_type) == 0 {
        return read_kernel(address).unwrap_or_default();
    }
    // `count` is a word of a structure that the kernel surely has: a place for eight bytes.
    let offset = field!(counter_count) as usize;
    let counter_type = u64::from(field!(counter_type));
    let mut at = address.wrapping_sub(offset as u64);
    // SAFETY: the instruction is a call of a function of the kernel: user space puts in which.
    // It takes two arguments and spoils what a call may spoil.
    unsafe {
        asm!(
            ".8byte {call}",
            call = const CALL_OF_RDONLY_CAST,
            inlateout("r1") at => _,
            inlateout("r2") counter_type => _,
            lateout("r0") at,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
        );
    }
    // SAFETY: at most eight bytes, at a place that the kernel takes for a `percpu_counter`'s
    // `count`; an address that isn't there gives zero.
    unsafe { (at as *const u8).add(offset).cast::<T>().read_volatile() }
}
