//! memtrace's kernel side: the programs, each a hand-over to the file that does the work.
//!
//! Thin on purpose: no policy, no CPython versions. A program first looks its process up and
//! leaves at once when it is none of memtrace's.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch, core_intrinsics)]
#![expect(internal_features, reason = "atomic exchange; see atomic.rs")]

mod alloc;
mod atomic;
mod calls;
mod counter;
mod emit;
mod fingerprint;
mod growth;
mod lifecycle;
mod machine;
mod mapping;
mod maps;
mod memory;
mod native;
mod ram;
mod recognise;
mod rounds;
mod stack;
mod task;
mod waiting;

use aya_ebpf::macros::{perf_event, raw_tracepoint, uprobe, uretprobe};
use aya_ebpf::programs::{PerfEventContext, ProbeContext, RawTracePointContext, RetProbeContext};
use aya_log_ebpf::debug;
use memtrace_common::limits::MAX_CPUS;

/// An RSS counter changed: (mm_struct *, int member).
#[raw_tracepoint(tracepoint = "rss_stat")]
pub fn rss_stat(ctx: RawTracePointContext) -> i32 {
    growth::changed(ctx.arg(0), ctx.arg(1));
    0
}

/// A page fault, in user mode or in the kernel: (address, pt_regs *, error code). One program for
/// the two tracepoints, `page_fault_user` and `page_fault_kernel`.
#[raw_tracepoint(tracepoint = "page_fault_user")]
pub fn page_fault(ctx: RawTracePointContext) -> i32 {
    growth::faulted(ctx.arg(0), ctx.arg(2));
    0
}

/// A page fault, by the software event, where there is no tracepoint for it (aarch64).
#[perf_event]
pub fn page_fault_event(ctx: PerfEventContext) -> u32 {
    growth::faulted_somehow(machine::fault(&ctx));
    0
}

/// A gap in an address space was found: (address, vm_unmapped_area_info *).
#[raw_tracepoint(tracepoint = "vm_unmapped_area")]
pub fn vm_unmapped_area(ctx: RawTracePointContext) -> i32 {
    mapping::gap_found(ctx.arg(0), ctx.arg(1));
    0
}

/// A task was made: (parent task_struct *, child task_struct *).
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn sched_process_fork(ctx: RawTracePointContext) -> i32 {
    lifecycle::forked(task::Task(ctx.arg(0)), task::Task(ctx.arg(1)));
    0
}

/// A process has begun another program.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn sched_process_exec(ctx: RawTracePointContext) -> i32 {
    lifecycle::execed();
    debug!(&ctx, "exec");
    0
}

/// A task ends.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn sched_process_exit(_ctx: RawTracePointContext) -> i32 {
    lifecycle::exited();
    0
}

/// A code object is freed: (PyObject *).
#[uprobe]
pub fn code_dealloc(ctx: ProbeContext) -> u32 {
    lifecycle::code_freed(machine::arguments(&ctx)[0]);
    0
}

/// A frame is evaluated: (PyThreadState *, …).
#[uprobe]
pub fn eval_frame(ctx: ProbeContext) -> u32 {
    lifecycle::frame_evaluated(machine::arguments(&ctx)[0]);
    0
}

/// A function that allocates is entered; the cookie says which arguments it has.
#[uprobe]
pub fn alloc_enter(ctx: ProbeContext) -> u32 {
    alloc::entered(&ctx);
    0
}

/// It returns.
#[uretprobe]
pub fn alloc_return(ctx: RetProbeContext) -> u32 {
    alloc::returned(&ctx);
    0
}

/// A function that frees is entered.
#[uprobe]
pub fn alloc_free(ctx: ProbeContext) -> u32 {
    alloc::freed(&ctx);
    0
}

/// A function is called whose calls are counted; the cookie says where.
#[uprobe]
pub fn yard(ctx: ProbeContext) -> u32 {
    alloc::passed(&ctx);
    0
}

/// A frame is evaluated: (PyThreadState *, frame, …), from CPython 3.9 on.
#[uprobe]
pub fn calls(ctx: ProbeContext) -> u32 {
    calls::evaluated(machine::arguments(&ctx)[1]);
    0
}

/// A frame is evaluated: (PyFrameObject *, …), up to CPython 3.8.
#[uprobe]
pub fn calls_of_frame(ctx: ProbeContext) -> u32 {
    calls::evaluated(machine::arguments(&ctx)[0]);
    0
}

/// `struct bpf_iter__task`: {meta *, task *}.
#[repr(C)]
pub struct TaskIteration {
    meta: u64,
    task: u64,
}

/// Walks all tasks and does what `REQUESTS` asks for some.
///
/// # Safety
///
/// Called by the kernel only, with a valid context.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub unsafe extern "C" fn attend(ctx: *mut TaskIteration) -> i32 {
    // SAFETY: the kernel passes a valid context.
    let task = unsafe { (*ctx).task };
    if task != 0 {
        lifecycle::attend(task::Task(task));
    }
    0
}

/// Notes where each CPU keeps its part of a per-CPU map, from which user space computes the
/// distances of all per-CPU memory. Works once, for the first task met.
///
/// # Safety
///
/// As [`attend`].
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub unsafe extern "C" fn locate_cpus(ctx: *mut TaskIteration) -> i32 {
    // SAFETY: the kernel passes a valid context.
    if unsafe { (*ctx).task } == 0 {
        return 0;
    }
    counter::locate_cpus(MAX_CPUS as u32);
    0
}

/// Finds where the kernel has all RAM mapped, by what it finds in user space's own memory.
///
/// # Safety
///
/// As [`attend`].
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub unsafe extern "C" fn find_ram(ctx: *mut TaskIteration) -> i32 {
    // SAFETY: the kernel passes a valid context.
    let task = unsafe { (*ctx).task };
    if task != 0 {
        ram::find(task::Task(task));
    }
    0
}

/// The licence that the helpers ask for.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: nothing here can panic; the verifier would refuse the loop.
    unsafe { core::hint::unreachable_unchecked() }
}
