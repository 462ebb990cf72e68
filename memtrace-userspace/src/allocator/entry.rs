//! Where in a function's beginning a breakpoint costs least.
//!
//! Behind a uprobe's breakpoint the kernel executes the instruction that was there. Pushes, jumps and
//! no-ops it emulates; any other it lets the processor step over, which is a second exception and costs
//! several times as much, ten times in a virtual machine (`arch/x86/kernel/uprobes.c`). glibc's `free`
//! begins with a test of its argument and a jump: the probe goes onto the jump.

use crate::machine::{HERE, Machine};

/// Bytes of code that [`offset`] wants to see.
pub(super) const LENGTH: usize = 16;

/// How far into the function the probe goes: past instructions that change neither arguments nor the
/// stack, onto the first that is emulated; to the very beginning if there is none.
#[must_use]
pub(super) fn offset(code: &[u8]) -> u64 {
    match HERE {
        Machine::X86_64 => of_x86_64(code),
        // Every instruction that a function begins with is emulated or as dear as the next one.
        Machine::Aarch64 => 0,
    }
}

fn of_x86_64(code: &[u8]) -> u64 {
    let mut at = 0;
    while let Some(rest) = code.get(at..) {
        match rest {
            // push of a register, without and with a prefix; nop; short and long conditional jump; jmp.
            [0x50..=0x57 | 0x90 | 0x70..=0x7f | 0xeb | 0xe9, ..]
            | [0x41, 0x50..=0x57, ..]
            | [0x0f, 0x80..=0x8f, ..] => return at as u64,
            // endbr64
            [0xf3, 0x0f, 0x1e, 0xfa, ..] => at += 4,
            // test of two registers, of 64 and of 32 bits
            [0x48, 0x85, 0xc0..=0xff, ..] => at += 3,
            [0x85, 0xc0..=0xff, ..] => at += 2,
            _ => return 0,
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::of_x86_64 as offset;

    #[test]
    fn the_probe_goes_where_the_kernel_emulates() {
        // glibc 2.36: `push %r12`; `test %rdi,%rdi`, `je`; `cmpb`.
        assert_eq!(offset(&[0x41, 0x54, 0x55, 0x53]), 0);
        assert_eq!(offset(&[0x48, 0x85, 0xff, 0x0f, 0x84, 0xbf, 0, 0, 0]), 3);
        assert_eq!(offset(&[0x80, 0x3d, 0x71, 0x0e, 0x14, 0, 0]), 0);
        // With control-flow enforcement, and a jump table's `sub` that is not emulated.
        assert_eq!(offset(&[0xf3, 0x0f, 0x1e, 0xfa, 0x55]), 4);
        assert_eq!(offset(&[0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x83, 0xec, 0x08]), 0);
        assert_eq!(offset(&[0x48, 0x85]), 0);
        assert_eq!(offset(&[]), 0);
    }
}
