//! The task that runs: who it is, its thread pointer, its user registers.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs};
use memtrace_common::settings::regs;

use crate::machine;
use crate::maps::field;
use crate::memory::read_kernel;

/// A `task_struct`, by address.
#[derive(Clone, Copy)]
pub struct Task(pub u64);

impl Task {
    /// Its address space (`mm_struct` address; 0 for kernel threads).
    #[inline(always)]
    pub fn mm(self) -> u64 {
        read_kernel(self.0 + u64::from(field!(task_mm))).unwrap_or(0)
    }

    /// Its process id as the host sees it.
    #[inline(always)]
    pub fn tgid(self) -> u32 {
        read_kernel(self.0 + u64::from(field!(task_tgid))).unwrap_or(0)
    }

    /// Its thread id as the host sees it.
    #[inline(always)]
    pub fn tid(self) -> u32 {
        read_kernel(self.0 + u64::from(field!(task_pid))).unwrap_or(0)
    }

    /// Whether it is the last thread of its process to end (valid in the exit program).
    #[inline(always)]
    pub fn last_of_process(self) -> bool {
        let signal: u64 = read_kernel(self.0 + u64::from(field!(task_signal))).unwrap_or(0);
        read_kernel::<i32>(signal + u64::from(field!(signal_live))).unwrap_or(1) == 0
    }
}

/// The running task. Its fields are loaded straight from the structure, which the verifier allows
/// for this pointer (it knows its type) and which costs a tenth of a helper's read.
#[derive(Clone, Copy)]
pub struct Current(*const u8);

impl Current {
    /// The running task.
    #[inline(always)]
    pub fn task() -> Self {
        // SAFETY: a helper without arguments.
        Self(unsafe { bpf_get_current_task_btf() } as *const u8)
    }

    /// A field at a constant offset.
    #[inline(always)]
    fn load<T: Copy>(self, offset: u32) -> T {
        // SAFETY: the kernel checks the offset against the structure's type at load time, and a
        // faulting load gives zero.
        unsafe { self.0.add(offset as usize).cast::<T>().read_volatile() }
    }

    /// The same, for reads that take any task.
    #[inline(always)]
    pub fn as_task(self) -> Task {
        Task(self.0 as u64)
    }

    /// As [`Task::mm`].
    #[inline(always)]
    pub fn mm(self) -> u64 {
        self.load(field!(task_mm))
    }

    /// As [`Task::tgid`].
    #[inline(always)]
    pub fn tgid(self) -> u32 {
        self.load(field!(task_tgid))
    }

    /// As [`Task::tid`].
    #[inline(always)]
    pub fn tid(self) -> u32 {
        self.load(field!(task_pid))
    }

    /// How it ends, as `wait` will tell it (valid in the exit program).
    #[inline(always)]
    pub fn exit_code(self) -> u32 {
        self.load(field!(task_exit_code))
    }

    /// Its thread pointer. `fsbase` is right for the running task; aarch64's is what it was when the
    /// task last gave up its CPU.
    #[inline(always)]
    pub fn thread_pointer(self) -> u64 {
        self.load(field!(task_thread_pointer))
    }
}

/// Process and thread id of the running task.
#[inline(always)]
pub fn current_ids() -> (u32, u32) {
    let both = bpf_get_current_pid_tgid();
    ((both >> 32) as u32, both as u32)
}

/// The running task's system call, from its saved user registers.
#[repr(C)]
pub struct Call {
    /// Its number on x86-64; -1 in an exception.
    pub number: i64,
    /// The first three.
    pub arguments: [u64; 3],
    /// 1 when the above has been read.
    pub known: u64,
}

impl Call {
    /// Reads what the running task asked the kernel for.
    #[inline(always)]
    pub fn read(&mut self) {
        // SAFETY: the helper takes the task that the other helper returned.
        let at = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as u64;
        if machine::is_aarch64() {
            self.known = u64::from(machine::read_call(at, &mut self.number, &mut self.arguments));
            return;
        }
        const { assert!(regs::ORIG_AX == regs::DX + 24) };
        let Some(words) = read_kernel::<[u64; 4]>(at + regs::DX as u64) else { return };
        self.number = words[3] as i64;
        self.arguments = [words[2], words[1], words[0]];
        self.known = 1;
    }

    /// What the running task asked the kernel for.
    #[inline(always)]
    pub fn current() -> Option<Self> {
        let mut call = Self { number: 0, arguments: [0; 3], known: 0 };
        call.read();
        if call.known == 0 { None } else { Some(call) }
    }
}
