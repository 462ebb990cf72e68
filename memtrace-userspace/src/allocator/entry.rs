//! Where in a function's beginning a breakpoint costs least.
//!
//! Behind a uprobe's breakpoint the kernel executes the instruction that was there. Pushes, jumps and
//! no-ops it emulates; any other it lets the processor step over, which is a second exception and costs
//! several times as much, ten times in a virtual machine (`arch/x86/kernel/uprobes.c`). glibc's `free`
//! begins with a test of its argument and a jump: the probe goes onto the jump.

use crate::machine::{HERE, Machine};

/// Bytes of code that [`emulated`] wants to see.
pub(super) const LENGTH: usize = 16;

/// How far into the function the probe goes: past instructions that change neither arguments nor the
/// stack, onto the first that is emulated; `None` if there is none, and it goes to the very beginning.
#[must_use]
pub(super) fn emulated(code: &[u8]) -> Option<u64> {
    match HERE {
        Machine::X86_64 => of_x86_64(code),
        // Every instruction that a function begins with is emulated or as dear as the next one.
        Machine::Aarch64 => Some(0),
    }
}

fn of_x86_64(code: &[u8]) -> Option<u64> {
    let mut at = 0;
    while let Some(rest) = code.get(at..) {
        match rest {
            // push of a register, without and with a prefix; nop; short and long conditional jump; jmp.
            [0x50..=0x57 | 0x90 | 0x70..=0x7f | 0xeb | 0xe9, ..]
            | [0x41, 0x50..=0x57, ..]
            | [0x0f, 0x80..=0x8f, ..] => return Some(at as u64),
            // endbr64
            [0xf3, 0x0f, 0x1e, 0xfa, ..] => at += 4,
            // mov of the first or second argument to rax, and to r8 to r11
            [0x48, 0x89, 0xf0 | 0xf8, ..] | [0x49, 0x89, 0xf0..=0xf3 | 0xf8..=0xfb, ..] => at += 3,
            // mul by the second: changes the third, which no function has that does this
            [0x48, 0xf7, 0xe6, ..] => at += 3,
            // test of two registers, of 64 and of 32 bits
            [0x48, 0x85, 0xc0..=0xff, ..] => at += 3,
            [0x85, 0xc0..=0xff, ..] => at += 2,
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    fn offset(code: &[u8]) -> u64 {
        super::of_x86_64(code).unwrap_or(0)
    }

    #[test]
    fn the_probe_goes_where_the_kernel_emulates() {
        // glibc 2.36: `push %r12`; `test %rdi,%rdi`, `je`; `cmpb`.
        assert_eq!(offset(&[0x41, 0x54, 0x55, 0x53]), 0);
        assert_eq!(offset(&[0x48, 0x85, 0xff, 0x0f, 0x84, 0xbf, 0, 0, 0]), 3);
        assert_eq!(offset(&[0x80, 0x3d, 0x71, 0x0e, 0x14, 0, 0]), 0);
        // With control-flow enforcement, and a jump table's `sub` that is not emulated.
        assert_eq!(offset(&[0xf3, 0x0f, 0x1e, 0xfa, 0x55]), 4);
        assert_eq!(offset(&[0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x83, 0xec, 0x08]), 0);
        // glibc 2.42: `calloc` multiplies, `realloc` copies before it tests.
        assert_eq!(offset(&[0x48, 0x89, 0xf8, 0x48, 0xf7, 0xe6, 0x0f, 0x80, 0x9c, 1, 0, 0]), 6);
        assert_eq!(offset(&[0x49, 0x89, 0xf1, 0x48, 0x85, 0xff, 0x0f, 0x84, 0x44, 3, 0, 0]), 6);
        // rdi itself is changed.
        assert_eq!(offset(&[0x48, 0x89, 0xf7, 0x55]), 0);
        assert_eq!(offset(&[0x48, 0x85]), 0);
        assert_eq!(offset(&[]), 0);
    }
}
