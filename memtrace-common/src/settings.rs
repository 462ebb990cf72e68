//! What user space puts into the kernel's maps, and what the kernel keeps there per target.

use crate::layout::PyLayout;

/// RSS counters of an address space, in the kernel's order (`include/linux/mm_types_task.h`).
pub const COUNTERS: usize = 4;
/// `MM_FILEPAGES`
pub const FILE: usize = 0;
/// `MM_ANONPAGES`
pub const ANON: usize = 1;
/// `MM_SWAPENTS`
pub const SWAP: usize = 2;
/// `MM_SHMEMPAGES`
pub const SHMEM: usize = 3;

/// Offsets into kernel structures, read from the running kernel's BTF at start-up (aya emits no
/// CO-RE relocations), and the kernel side's switches.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KernelLayout {
    /// `task_struct.mm`
    pub task_mm: u32,
    /// `task_struct.tgid`
    pub task_tgid: u32,
    /// `task_struct.pid`
    pub task_pid: u32,
    /// `mm_struct.mm_users`
    pub mm_users: u32,
    /// `task_struct.signal`
    pub task_signal: u32,
    /// `signal_struct.live`
    pub signal_live: u32,
    /// The thread pointer in `task_struct.thread`: `fsbase`, `uw.tp_value` on aarch64.
    pub task_thread_pointer: u32,
    /// `mm_struct.rss_stat`
    pub mm_rss_stat: u32,
    /// Size of a counter: of `percpu_counter`, before 6.2 of `atomic_long_t`.
    pub counter_size: u32,
    /// `percpu_counter.count`
    pub counter_count: u32,
    /// `percpu_counter.counters`
    pub counter_percpu: u32,
    /// `bpf_array.pptrs`, from which the per-CPU offsets are computed.
    pub array_pptrs: u32,
    /// `vm_unmapped_area_info.length`
    pub area_length: u32,
    /// Possible CPUs.
    pub cpus: u32,
    /// Wake the reader at every event of a space whose number is a multiple of this power of two.
    pub wake_every: u32,
    /// `percpu_counter`'s number in the kernel's BTF: what `bpf_rdonly_cast` is told to see; 0 before 6.4, where
    /// it is not called.
    pub counter_type: u32,
    /// `mm_struct.pgd`
    pub mm_pgd: u32,
    /// `task_struct.exit_code`
    pub task_exit_code: u32,
    /// `mm_struct.context.ctx_id`: a number that no other address space has or had.
    pub mm_number: u32,
    /// `mm_struct.context.tlb_gen`: how often its processors' translations became void.
    pub mm_generation: u32,
    /// [`X86_64`] or [`AARCH64`].
    pub machine: u32,
    /// `pt_regs.syscallno` (aarch64).
    pub regs_call: u32,
    /// `task_struct.rss_stat.count`: changes of RSS that wait in a task until there are many (before 6.2); 0 where
    /// there is no such thing.
    pub task_waiting: u32,
    /// 1 where there is `bpf_loop` (5.17).
    pub has_loop: u32,
}

const _: () = assert!(size_of::<KernelLayout>() == 96);

/// [`KernelLayout::machine`]: x86-64.
pub const X86_64: u32 = 0;
/// [`KernelLayout::machine`]: aarch64. It has no tracepoint for page faults, and its page tables
/// are not walked.
pub const AARCH64: u32 = 1;

/// How the kernel side finds where the kernel has its mapping of all RAM: it looks for two words
/// of user space's own memory by walking its page tables.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ram {
    /// The process that has the words.
    pub pid: u64,
    /// Where it has them; the second behind the first.
    pub address: u64,
    /// What they are.
    pub words: [u64; 2],
    /// Address of the byte of RAM with the number 0, once it was found; otherwise 0.
    pub base: u64,
}

const _: () = assert!(size_of::<Ram>() == 40);

/// The instruction that calls `bpf_rdonly_cast`, as it stands in the object: a call of a function
/// of the kernel (`BPF_PSEUDO_KFUNC_CALL`, `include/uapi/linux/bpf.h`) whose number is yet to be
/// put in. aya has no relocation for these; user space looks for this pattern.
pub const CALL_OF_RDONLY_CAST: u64 = 0x85 | 0x20 << 8 | RDONLY_CAST_TO_BE_FOUND << 32;

/// Where [`CALL_OF_RDONLY_CAST`] has the number of the function in the kernel's BTF.
pub const RDONLY_CAST_TO_BE_FOUND: u64 = 0x5ca5_7ed0;

/// The x86-64 user registers that a system call's arguments are in, as `pt_regs` lays them out
/// (`arch/x86/include/asm/ptrace.h`, user ABI).
pub mod regs {
    /// `pt_regs.dx`, third argument
    pub const DX: usize = 96;
    /// `pt_regs.si`, second argument
    pub const SI: usize = 104;
    /// `pt_regs.di`, first argument
    pub const DI: usize = 112;
    /// `pt_regs.orig_ax`: the system call's number, -1 in an exception
    pub const ORIG_AX: usize = 120;
}

/// What the kernel side has counted for one space. Travels with the records that end a space.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Pages per counter after the last change seen, those that wait in tasks included.
    pub pages: [i64; COUNTERS],
    /// Changes that didn't fit into the ring buffer, in pages per counter.
    pub lost_pages: [i64; COUNTERS],
    /// Records of any kind that didn't fit.
    pub lost_events: u64,
    /// Changes of RSS seen.
    pub events: u64,
    /// Time in probes, in nanoseconds, extrapolated from one event in `TIMED_ONE_IN`.
    pub probe_ns: u64,
}

const _: () = assert!(size_of::<Tally>() == 88);

/// One traced address space, keyed by its `mm_struct`'s address.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Where its interpreter keeps things; [`PyLayout::NONE`] until it is recognised.
    pub layout: PyLayout,
    /// What was counted.
    pub tally: Tally,
    /// What the address space's own counters said last, where changes wait in tasks (before 6.2).
    pub arrived: [i64; COUNTERS],
    /// Unique number of this space; never reused while memtrace runs.
    pub id: u32,
    /// Process id (tgid) as the host sees it.
    pub pid: u32,
    /// Counts the deaths of known code objects; part of each stack's hash, so that a recycled
    /// address can't bring an old name back.
    pub code_epoch: u32,
    /// [`LIVE`] or [`CLOSED`].
    pub state: u32,
    /// 1 when children are followed.
    pub follow: u32,
    /// 1 once it has forked or been forked: only then do writes make private copies.
    pub shared: u32,
    /// Whether its code objects come and go: [`STABLE`], [`CHECKED`] or [`WATCHED`].
    pub code: u32,
    /// Of its threads' own changes one in two to the power of this has its stack walked, picked at random:
    /// 0 for all of them. At most [`crate::limits::MAX_THIN`].
    pub thin: u32,
}

const _: () = assert!(size_of::<Space>() == 160 + 88 + 32 + 32);

/// What stands for the id of a stack that was not walked. Ids are odd.
pub const NOT_WALKED: u64 = 2;

/// No code was met that is likely to die and leave its address to other code.
pub const STABLE: u32 = 0;
/// Such code was met: the code of every frame of every event is checked by its fingerprint.
pub const CHECKED: u32 = 1;
/// A probe tells of every code object that dies: nothing need be checked.
pub const WATCHED: u32 = 2;

/// Changes are recorded.
pub const LIVE: u32 = 0;
/// Nothing is recorded any more: the process has ended or memtrace has let go.
pub const CLOSED: u32 = 1;

/// A process (not an address space): found by tgid where only that is at hand.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its `mm_struct`, the key of its [`Space`]; 0 before its first `exec` under `run`.
    pub mm: u64,
    /// The space's number.
    pub space: u32,
    /// 1 when children are followed.
    pub follow: u32,
}

/// The process number under which user space says what shall happen to any process that calls
/// `exec`, when the whole machine is traced. No process has it.
pub const ANY_PROCESS: u32 = 0;

/// A thread of a target, by its tid. Made when the target is met or the thread begins, removed at
/// its end; only the thread itself writes to it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Thread {
    /// Address of its last page fault that no change of RSS has answered yet; 0 when answered.
    pub fault: u64,
    /// 1 when that fault was taken in the kernel on its behalf.
    pub fault_in_kernel: u64,
    /// Stack of its last event: user space has it.
    pub last_stack: u64,
    /// Its `PyThreadState`, learnt by the frame-evaluation probe; 0 if it was not.
    pub bound: u64,
    /// Its `PyThreadState`, as the last walk found it.
    pub tstate: u64,
    /// Stack of the fault that is still to be answered, and its [`Space::thin`] (before 6.2).
    pub fault_stack: u64,
    /// See there.
    pub fault_thin: u64,
    /// Pages per counter that wait in its task, as far as they were told (before 6.2).
    pub waiting: [i32; COUNTERS],
}

/// What user space asks of the task iterator for one tgid.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// `REQUEST_*`.
    pub kind: u32,
    /// Number for the new space (attach), of the one that is meant (configure, thin), of the only one that is meant
    /// or 0 (close).
    pub space: u32,
    /// 1 when children are to be followed (attach).
    pub follow: u32,
    /// Set to 1 by the kernel when done.
    pub done: u32,
    /// [`Space::thin`] (thin).
    pub thin: u32,
    /// The thread that is meant (bind).
    pub tid: u32,
    /// [`Thread::bound`] (bind).
    pub bound: u64,
    /// For attach and configure.
    pub layout: PyLayout,
    /// The answer to attach: the counters when recording began. The space's own go on at once.
    pub pages: [i64; COUNTERS],
}

const _: () = assert!(size_of::<Request>() == 224);

impl Request {
    /// A request of this kind that says nothing more.
    #[must_use]
    pub const fn of(kind: u32) -> Self {
        Self {
            kind,
            space: 0,
            follow: 0,
            done: 0,
            thin: 0,
            tid: 0,
            bound: 0,
            layout: PyLayout::NONE,
            pages: [0; COUNTERS],
        }
    }
}

/// Begin to trace: the counters of this moment are `before attach`.
pub const REQUEST_ATTACH: u32 = 1;
/// The interpreter is recognised now: take its layout.
pub const REQUEST_CONFIGURE: u32 = 2;
/// A probe tells of dying code objects from now on.
pub const REQUEST_WATCHED: u32 = 4;
/// Let go: take the counters of this moment as the final ones and record nothing more.
pub const REQUEST_CLOSE: u32 = 3;
/// The same, whether or not the counters say what the last event said.
pub const REQUEST_CLOSE_ANYWAY: u32 = 5;
/// Walk the stacks of fewer changes, or of more.
pub const REQUEST_THIN: u32 = 6;
/// Tell what waits in the tasks (before 6.2).
pub const REQUEST_SETTLE: u32 = 7;
/// Take this for a thread's state, as if the frame-evaluation probe had seen it.
pub const REQUEST_BIND: u32 = 8;
