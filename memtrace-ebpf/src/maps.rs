//! Every map on one screen: who writes it, who reads it.

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use memtrace_common::event;
use memtrace_common::limits::{
    DEFAULT_RING_BYTES, MAX_CODES_COUNTED, MAX_CODES_SENT, MAX_CPUS, MAX_ROUNDS, MAX_SPACES,
    MAX_STACKS_SENT, MAX_THREADS, TEXT_CHUNK,
};
use memtrace_common::settings::{KernelLayout, Process, Ram, Request, Space, Thread};
use memtrace_common::walk::Walk;

use crate::growth::Change;
use crate::ram::FoundPages;
use crate::recognise::ExecRecord;

/// Offsets into this kernel's structures. Written by user space before loading; the verifier
/// takes its fields for constants.
#[unsafe(no_mangle)]
pub static KERNEL: KernelLayout = KernelLayout {
    task_mm: 0,
    task_tgid: 0,
    task_pid: 0,
    mm_users: 0,
    task_signal: 0,
    signal_live: 0,
    task_thread_pointer: 0,
    mm_rss_stat: 0,
    counter_size: 0,
    counter_count: 0,
    counter_percpu: 0,
    array_pptrs: 0,
    area_length: 0,
    cpus: 0,
    wake_every: 0,
    counter_type: 0,
    mm_pgd: 0,
    task_exit_code: 0,
    mm_number: 0,
    mm_generation: 0,
    machine: 0,
    regs_call: 0,
    task_waiting: 0,
    has_loop: 0,
};

/// A field of [`KERNEL`], read as it is now and not as it was compiled.
macro_rules! field {
    ($name:ident) => {
        // SAFETY: a field of a static; volatile because user space fills it after compilation.
        unsafe { core::ptr::read_volatile(&raw const $crate::maps::KERNEL.$name) }
    };
}
pub(crate) use field;

/// Everything that user space gets to know. Written by `emit.rs` only.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(DEFAULT_RING_BYTES, 0);

/// `mm_struct` address → space. Made by the kernel side (attach, fork, exec), removed by user
/// space once it has read the end.
#[map]
pub static SPACES: HashMap<u64, Space> = HashMap::with_max_entries(MAX_SPACES, 0);

/// tgid → process. Made as `SPACES`, and by user space for a command that it starts; removed at
/// exit.
#[map]
pub static PROCESSES: HashMap<u32, Process> = HashMap::with_max_entries(MAX_SPACES, 0);

/// tgid → what user space wants of it. Written by user space, answered by the task iterator.
#[map]
pub static REQUESTS: HashMap<u32, Request> = HashMap::with_max_entries(MAX_SPACES, 0);

/// The number of the next space. One counter for both sides, so that numbers are never reused.
#[map]
pub static NEXT_SPACE: Array<u64> = Array::with_max_entries(1, 0);

/// tid → thread of a target: a fault of any other thread ends at this look-up. Made at attach,
/// fork and exec, removed at exit.
#[map]
pub static THREADS: HashMap<u32, Thread> = HashMap::with_max_entries(MAX_THREADS, 0);

/// Stack ids whose frames user space has.
#[map]
pub static STACKS_SENT: LruHashMap<u64, u8> = LruHashMap::with_max_entries(MAX_STACKS_SENT, 0);

/// A code object of a space.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CodeKey {
    /// Its address.
    pub code: u64,
    /// The space, widened to leave no padding.
    pub space: u64,
}

/// Code objects whose names user space has, with a fingerprint of each.
#[map]
pub static CODES_SENT: LruHashMap<CodeKey, u64> = LruHashMap::with_max_entries(MAX_CODES_SENT, 0);

/// Evaluations by code object, with `--calls`. Made and counted by the kernel side, fetched and
/// removed by user space. Memory is taken as it is needed: mostly there is no `--calls`.
#[map]
pub static EVALUATIONS: HashMap<CodeKey, u64> =
    HashMap::with_max_entries(MAX_CODES_COUNTED, BPF_F_NO_PREALLOC);

/// A text record being made.
#[repr(C)]
pub struct TextRecord {
    /// Its head.
    pub head: event::Text,
    /// Its bytes.
    pub bytes: [u8; TEXT_CHUNK],
}

/// A text of a code object in the target's memory, and how far it has been sent. Here and not on
/// the stack, because the verifier forgets what it knew of values that live in maps: it then
/// checks a loop's body once, not once per value.
#[repr(C)]
pub struct Outgoing {
    /// Address of the code object.
    pub code: u64,
    /// Address of the text.
    pub address: u64,
    /// Its bytes.
    pub total: u64,
    /// Bytes sent.
    pub offset: u64,
    /// [`event::piece`]
    pub piece: u8,
    /// Bytes per character.
    pub width: u8,
    /// 0 once a record did not fit.
    pub sent: u8,
    /// 0 once a record of any text of the stack did not fit.
    pub stack_sent: u8,
    /// 1 when the code was compiled from no file (`<string>`).
    pub dynamic: u8,
    /// 1 when the code is a module's.
    pub module: u8,
    /// 1 when a frame's code is not the one that user space has.
    pub recycled: u8,
    /// 0.
    pub reserved: u8,
}

/// Working memory of one program run: too large for the 512-byte stack. Programs of one kind don't
/// preempt each other on a CPU ([`TRACEPOINTS`], [`ALLOCATOR`]); the only nested one is the
/// kernel-fault program, which looks at `busy`.
#[repr(C)]
pub struct Scratch {
    /// Head of a stack record; the walk's frames follow it in memory.
    pub stack: event::Stack,
    /// The walk.
    pub walk: Walk,
    /// A text record.
    pub text: TextRecord,
    /// What of it was sent.
    pub outgoing: Outgoing,
    /// A space being made.
    pub space: Space,
    /// A record that ends a space.
    pub execed: ExecRecord,
    /// A change of RSS.
    pub change: Change,
    /// The running process's page tables; 0 when they can't be walked.
    pub tables: u64,
    /// Where all RAM is mapped.
    pub ram: u64,
    /// Pages of the process that walks found last.
    pub pages: FoundPages,
    /// 1 while target memory is read: faults on its account are ours, not the target's.
    pub busy: u64,
}

/// The working memory, for each kind of programs.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(2, 0);

/// The place of the tracepoints' programs: the kernel runs them with preemption off.
pub const TRACEPOINTS: u32 = 0;
/// The place of the allocator lens: its uprobes can be preempted, so it is claimed before use.
pub const ALLOCATOR: u32 = 1;

/// Distance of each CPU's memory from a per-CPU pointer. Written by user space from `CPU_PROBE`.
#[map]
pub static CPU_OFFSETS: Array<[u64; MAX_CPUS]> = Array::with_max_entries(1, 0);

/// Addresses from which user space computes `CPU_OFFSETS`: where each CPU's `SCRATCH` is, and
/// last the per-CPU pointer itself. Written by the `locate_cpus` program.
#[map]
pub static CPU_PROBE: Array<[u64; MAX_CPUS + 1]> = Array::with_max_entries(1, 0);

/// Where the kernel has all RAM mapped. Written by user space and the `find_ram` program.
#[map]
pub static RAM: Array<Ram> = Array::with_max_entries(1, 0);

/// One entry for each round of a loop, where loops go through a map. Nobody reads or writes it.
#[map]
pub static ROUNDS: Array<u8> = Array::with_max_entries(MAX_ROUNDS, 0);

/// The thread with this id, if it is a target's.
#[inline(always)]
pub fn thread(tid: u32) -> Option<&'static mut Thread> {
    // SAFETY: map memory, written by the thread itself only.
    THREADS.get_ptr_mut(tid).map(|thread| unsafe { &mut *thread })
}

/// This CPU's working memory for tracepoints.
#[inline(always)]
pub fn scratch() -> Option<&'static mut Scratch> {
    scratch_of::<TRACEPOINTS>()
}

/// This CPU's working memory for programs of one kind.
#[inline(always)]
pub fn scratch_of<const OF: u32>() -> Option<&'static mut Scratch> {
    // SAFETY: the map's memory lives as long as the program; no other program on this CPU holds
    // it at the same time (see `Scratch`).
    SCRATCH.get_ptr_mut(OF).map(|scratch| unsafe { &mut *scratch })
}
