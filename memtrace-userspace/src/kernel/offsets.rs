//! The running kernel's structure offsets and numbers, as the kernel side wants them.

use memtrace_common::settings::KernelLayout;

use super::btf::{BtfError, KernelTypes};

/// Reads the offsets from the kernel's BTF.
///
/// # Errors
///
/// [`BtfError`] when BTF lacks a member.
pub fn read(types: &KernelTypes<'_>, cpus: u32, wake_every: u32) -> Result<KernelLayout, BtfError> {
    let task = |path: &[&str]| types.offset("task_struct", path);
    Ok(KernelLayout {
        task_mm: task(&["mm"])?,
        task_tgid: task(&["tgid"])?,
        task_pid: task(&["pid"])?,
        mm_users: types.offset("mm_struct", &["mm_users"])?,
        task_signal: task(&["signal"])?,
        signal_live: types.offset("signal_struct", &["live"])?,
        task_fsbase: task(&["thread", "fsbase"])?,
        mm_rss_stat: types.offset("mm_struct", &["rss_stat"])?,
        counter_size: types.size("percpu_counter")?,
        counter_count: types.offset("percpu_counter", &["count"])?,
        counter_percpu: types.offset("percpu_counter", &["counters"])?,
        array_pptrs: types.offset("bpf_array", &["pptrs"])?,
        area_length: types.offset("vm_unmapped_area_info", &["length"])?,
        cpus,
        wake_every,
        counter_type: types.structure("percpu_counter")?,
        mm_pgd: types.offset("mm_struct", &["pgd"])?,
        task_exit_code: task(&["exit_code"])?,
        mm_number: types.offset("mm_struct", &["context", "ctx_id"])?,
        mm_generation: types.offset("mm_struct", &["context", "tlb_gen"])?,
    })
}
