//! The running kernel's structure offsets and numbers, as the kernel side wants them.

use memtrace_common::settings::{AARCH64, KernelLayout, X86_64};

use super::btf::{BtfError, KernelTypes};
use crate::machine::{self, Machine};

/// Reads the offsets from the kernel's BTF.
///
/// # Errors
///
/// [`BtfError`] when BTF lacks a member.
pub fn read(types: &KernelTypes<'_>, cpus: u32, wake_every: u32) -> Result<KernelLayout, BtfError> {
    let task = |path: &[&str]| types.offset("task_struct", path);
    let mm = |path: &[&str]| types.offset("mm_struct", path);
    // What only one machine has is 0 on the other, whose side the verifier drops.
    let of_machine = match machine::HERE {
        Machine::X86_64 => KernelLayout {
            machine: X86_64,
            task_thread_pointer: task(&["thread", "fsbase"])?,
            mm_number: mm(&["context", "ctx_id"])?,
            mm_generation: mm(&["context", "tlb_gen"])?,
            ..KernelLayout::default()
        },
        Machine::Aarch64 => KernelLayout {
            machine: AARCH64,
            task_thread_pointer: task(&["thread", "uw", "tp_value"])?,
            regs_call: types.offset("pt_regs", &["syscallno"])?,
            ..KernelLayout::default()
        },
    };
    Ok(KernelLayout {
        task_mm: task(&["mm"])?,
        task_tgid: task(&["tgid"])?,
        task_pid: task(&["pid"])?,
        mm_users: mm(&["mm_users"])?,
        task_signal: task(&["signal"])?,
        signal_live: types.offset("signal_struct", &["live"])?,
        mm_rss_stat: mm(&["rss_stat"])?,
        counter_size: types.size("percpu_counter")?,
        counter_count: types.offset("percpu_counter", &["count"])?,
        counter_percpu: types.offset("percpu_counter", &["counters"])?,
        array_pptrs: types.offset("bpf_array", &["pptrs"])?,
        area_length: types.offset("vm_unmapped_area_info", &["length"])?,
        cpus,
        wake_every,
        counter_type: types.structure("percpu_counter")?,
        mm_pgd: mm(&["pgd"])?,
        task_exit_code: task(&["exit_code"])?,
        ..of_machine
    })
}
