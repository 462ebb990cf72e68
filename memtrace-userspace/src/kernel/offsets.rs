//! The running kernel's structure offsets and numbers, as the kernel side wants them.

use memtrace_common::settings::{AARCH64, KernelLayout, X86_64};

use super::btf::{BtfError, KernelTypes};
use crate::machine::{self, Machine};

/// The function of the kernel that lets programs load from any address (Linux 6.2).
const RDONLY_CAST: &str = "bpf_rdonly_cast";

/// A function that came with Linux 6.4.
const SINCE_6_4: &str = "bpf_iter_num_new";

/// The helper that repeats a function (Linux 5.17).
const LOOP: &str = "bpf_loop";

/// Reads the offsets from the kernel's BTF.
///
/// # Errors
///
/// [`BtfError`] when BTF lacks a member.
pub fn read(types: &KernelTypes<'_>, cpus: u32, wake_every: u32) -> Result<KernelLayout, BtfError> {
    let task = |path: &[&str]| types.offset("task_struct", path);
    let mm = |path: &[&str]| types.offset("mm_struct", path);
    Ok(KernelLayout {
        task_mm: task(&["mm"])?,
        task_tgid: task(&["tgid"])?,
        task_pid: task(&["pid"])?,
        mm_users: mm(&["mm_users"])?,
        task_signal: task(&["signal"])?,
        signal_live: types.offset("signal_struct", &["live"])?,
        mm_rss_stat: mm(&["rss_stat"])?,
        array_pptrs: types.offset("bpf_array", &["pptrs"])?,
        area_length: types.offset("vm_unmapped_area_info", &["length"])?,
        cpus,
        wake_every,
        mm_pgd: mm(&["pgd"])?,
        task_exit_code: task(&["exit_code"])?,
        has_loop: types.function(LOOP).is_ok().into(),
        ..of_machine(types, of_counters(types)?)?
    })
}

/// Number of the function that lets programs load from any address; `None` before 6.4. It came with 6.2, whose verifier
/// does not get through the allocator lens's programs when they load by it (a million instructions).
pub fn rdonly_cast(types: &KernelTypes<'_>) -> Option<u32> {
    types.function(SINCE_6_4).and_then(|_| types.function(RDONLY_CAST)).ok()
}

/// Where RSS is counted: in `percpu_counter`s since 6.2. Before, changes waited in the task that made them
/// (`struct task_rss_stat`, `include/linux/mm_types_task.h` there).
fn of_counters(types: &KernelTypes<'_>) -> Result<KernelLayout, BtfError> {
    if let Ok(task_waiting) = types.offset("task_struct", &["rss_stat", "count"]) {
        let counter_size = size_of::<i64>() as u32;
        return Ok(KernelLayout { counter_size, task_waiting, ..KernelLayout::default() });
    }
    Ok(KernelLayout {
        counter_size: types.size("percpu_counter")?,
        counter_count: types.offset("percpu_counter", &["count"])?,
        counter_percpu: types.offset("percpu_counter", &["counters"])?,
        counter_type: match rdonly_cast(types) {
            Some(_) => types.structure("percpu_counter")?,
            None => 0,
        },
        ..KernelLayout::default()
    })
}

/// What only one machine has; it is 0 on the other, whose side the verifier drops.
fn of_machine(types: &KernelTypes<'_>, rest: KernelLayout) -> Result<KernelLayout, BtfError> {
    let task = |path: &[&str]| types.offset("task_struct", path);
    let mm = |path: &[&str]| types.offset("mm_struct", path);
    Ok(match machine::HERE {
        Machine::X86_64 => KernelLayout {
            machine: X86_64,
            task_thread_pointer: task(&["thread", "fsbase"])?,
            mm_number: mm(&["context", "ctx_id"])?,
            mm_generation: mm(&["context", "tlb_gen"])?,
            ..rest
        },
        Machine::Aarch64 => KernelLayout {
            machine: AARCH64,
            task_thread_pointer: task(&["thread", "uw", "tp_value"])?,
            regs_call: types.offset("pt_regs", &["syscallno"])?,
            ..rest
        },
    })
}
