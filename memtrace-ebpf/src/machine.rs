//! What differs between the machines that the one object runs on: where user registers are, and how
//! system calls are numbered.
//!
//! User space says which machine it is; being a constant to the verifier, it drops the other one's side.

use core::arch::asm;

use aya_ebpf::EbpfContext;
use aya_ebpf::programs::PerfEventContext;
use memtrace_common::event::call;
use memtrace_common::settings::AARCH64;

use crate::maps::field;
use crate::memory::read_kernel;

/// x86-64's `struct pt_regs` (`arch/x86/include/asm/ptrace.h`).
mod x86_64 {
    /// A system call's fifth argument.
    pub const R8: u64 = 72;
    pub const AX: i32 = 80;
    pub const DX: i32 = 96;
    pub const SI: i32 = 104;
    pub const DI: i32 = 112;
    pub const SP: i32 = 152;
}

/// aarch64's `struct user_pt_regs` (`arch/arm64/include/uapi/asm/ptrace.h`), with which the kernel's own
/// `pt_regs` begins, and `struct bpf_perf_event_data`.
mod aarch64 {
    pub const X0: i32 = 0;
    pub const X1: i32 = 8;
    pub const X2: i32 = 16;
    /// A system call's fifth argument.
    pub const X4: u64 = 32;
    pub const SP: i32 = 248;
    pub const PSTATE: i32 = 264;
    /// `bpf_perf_event_data.addr`, behind the registers and `sample_period`.
    pub const ADDRESS: i32 = 280;
    /// `PSR_MODE_MASK`; 0 is EL0, where programs run.
    pub const MODE: u64 = 0xf;
}

/// The word at a constant place of a program's context: the verifier allows no computed one, and a
/// compiler that sees two loads may make one of a computed place.
macro_rules! word {
    ($context:expr, $place:expr) => {{
        let word: u64;
        // SAFETY: the kernel passes a valid context, and checks the place.
        unsafe {
            asm!(
                "{word} = *(u64 *)({context} + {place})",
                word = out(reg) word,
                context = in(reg) $context.as_ptr(),
                place = const $place,
            );
        }
        word
    }};
}

/// Whether this is aarch64, and not x86-64.
#[inline(always)]
pub fn is_aarch64() -> bool {
    field!(machine) == AARCH64
}

/// The first three arguments of a function that is entered.
#[inline(always)]
pub fn arguments(ctx: &impl EbpfContext) -> [u64; 3] {
    if is_aarch64() {
        [word!(ctx, aarch64::X0), word!(ctx, aarch64::X1), word!(ctx, aarch64::X2)]
    } else {
        [word!(ctx, x86_64::DI), word!(ctx, x86_64::SI), word!(ctx, x86_64::DX)]
    }
}

/// What a function returns.
#[inline(always)]
pub fn result(ctx: &impl EbpfContext) -> u64 {
    if is_aarch64() { word!(ctx, aarch64::X0) } else { word!(ctx, x86_64::AX) }
}

/// The stack pointer.
#[inline(always)]
pub fn stack_pointer(ctx: &impl EbpfContext) -> u64 {
    if is_aarch64() { word!(ctx, aarch64::SP) } else { word!(ctx, x86_64::SP) }
}

/// The stack pointer when a function returns that had `entered` when it was entered: x86-64 takes the
/// return address off the stack.
#[inline(always)]
pub fn after_return(entered: u64) -> u64 {
    if is_aarch64() { entered } else { entered + 8 }
}

/// Where saved user registers have a system call's fifth argument.
#[inline(always)]
pub fn fifth_argument() -> u64 {
    if is_aarch64() { aarch64::X4 } else { x86_64::R8 }
}

/// A page fault of which no more than this is told.
pub struct Fault {
    /// Where.
    pub address: u64,
    /// Taken in the kernel, on the task's behalf.
    pub in_kernel: bool,
}

/// The page fault that a software event tells of (aarch64).
#[inline(always)]
pub fn fault(ctx: &PerfEventContext) -> Fault {
    Fault {
        address: word!(ctx, aarch64::ADDRESS),
        in_kernel: word!(ctx, aarch64::PSTATE) & aarch64::MODE != 0,
    }
}

/// Reads the system call from aarch64's registers at `registers`; `false` when that fails.
#[inline(always)]
pub fn read_call(registers: u64, number: &mut i64, arguments: &mut [u64; 3]) -> bool {
    let (Some(first), Some(called)) = (
        read_kernel::<[u64; 3]>(registers),
        read_kernel::<i32>(registers + u64::from(field!(regs_call))),
    ) else {
        return false;
    };
    *arguments = first;
    *number = match called {
        // Numbers of `include/uapi/asm-generic/unistd.h`; `NO_SYSCALL` is -1.
        -1 => -1,
        214 => i64::from(call::BRK),
        215 => i64::from(call::MUNMAP),
        216 => i64::from(call::MREMAP),
        222 => i64::from(call::MMAP),
        233 => i64::from(call::MADVISE),
        _ => i64::from(call::OTHER),
    };
    true
}
