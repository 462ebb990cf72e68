//! The kernel's RSS counters, read exactly: the shared count plus every CPU's part.
//!
//! This is what `kmem:rss_stat` prints as `size`, without its record, its hash of the mm pointer
//! and its lock: as an ordinary tracepoint it costs each fault 0.75 µs (docs/decisions/0001).

use memtrace_common::limits::MAX_CPUS;
use memtrace_common::settings::COUNTERS;

use aya_ebpf::helpers::generated::{bpf_map_lookup_percpu_elem, bpf_probe_read_kernel};

use crate::maps::{CPU_OFFSETS, CPU_PROBE, SCRATCH, field, scratch};
use crate::memory::load_kernel;
use crate::waiting;

/// Pages in counter `member` of the address space; before 6.2 without those that wait in tasks.
#[inline(always)]
pub fn pages(mm: u64, member: u32) -> i64 {
    if waiting::is_kept_here() {
        let counter =
            mm + u64::from(field!(mm_rss_stat)) + u64::from(field!(counter_size) * member);
        return load_kernel(counter);
    }
    // An array's only element is always there; the verifier wants to hear it.
    let Some(offsets) = CPU_OFFSETS.get(0) else { return 0 };
    let counter = mm + u64::from(field!(mm_rss_stat)) + u64::from(field!(counter_size) * member);
    let mut sum: i64 = load_kernel(counter + u64::from(field!(counter_count)));
    let percpu: u64 = load_kernel(counter + u64::from(field!(counter_percpu)));
    for cpu in 0..MAX_CPUS {
        if cpu as u32 >= field!(cpus) {
            break;
        }
        // SAFETY: `cpu` is below MAX_CPUS, the length of the array.
        let offset = unsafe { *offsets.as_ptr().add(cpu) };
        sum += i64::from(load_kernel::<i32>(percpu.wrapping_add(offset)));
    }
    // As percpu_counter_sum_positive() has it: parts read one after the other may sum below zero.
    if sum < 0 { 0 } else { sum }
}

/// All counters of the address space.
#[inline(always)]
pub fn all_pages(mm: u64, into: &mut [i64; COUNTERS]) {
    for (member, pages_of) in into.iter_mut().enumerate() {
        *pages_of = pages(mm, member as u32);
    }
}

/// Enough of `struct bpf_array` to hold `pptrs[0]`.
const BPF_ARRAY_BYTES: u32 = 1024;

/// Writes where each CPU's part of `SCRATCH` is, and the per-CPU pointer that they belong to.
#[inline(always)]
pub fn locate_cpus(cpus: u32) {
    if waiting::is_kept_here() {
        return;
    }
    let Some(found) = CPU_PROBE.get_ptr_mut(0) else { return };
    let found = found.cast::<u64>();
    // SAFETY: the array is MAX_CPUS + 1 long.
    if unsafe { found.add(MAX_CPUS).read_volatile() } != 0 {
        return;
    }
    let map = (&raw const SCRATCH).cast_mut();
    for cpu in 0..MAX_CPUS as u32 {
        if cpu >= cpus {
            break;
        }
        let zero = 0u32;
        // SAFETY: a map, a key of its size; the result is used as a number only.
        let at = unsafe { bpf_map_lookup_percpu_elem(map.cast(), (&raw const zero).cast(), cpu) };
        // SAFETY: `cpu` is below MAX_CPUS; volatile, so that the pointer is stored as a number.
        unsafe { found.add(cpu as usize).write_volatile(at as u64) };
    }
    // The map's own structure (`struct bpf_array`), read from its start because the verifier lets
    // nobody add to a map's address. The walk's frames make room for it.
    let Some(scratch) = scratch() else { return };
    let room = (&raw mut scratch.walk.frames).cast::<u8>();
    // SAFETY: BPF_ARRAY_BYTES are less than the frames take.
    let failed = unsafe { bpf_probe_read_kernel(room.cast(), BPF_ARRAY_BYTES, map.cast()) };
    let at = field!(array_pptrs) as usize;
    if failed != 0 || at + 8 > BPF_ARRAY_BYTES as usize {
        return;
    }
    // SAFETY: `at` and eight bytes more are inside what was read.
    let pointer = unsafe { room.add(at).cast::<u64>().read() };
    // SAFETY: the array is MAX_CPUS + 1 long.
    unsafe { found.add(MAX_CPUS).write_volatile(pointer) };
}
