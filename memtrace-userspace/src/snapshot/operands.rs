//! Which of its statics a function of the interpreter reads: the operands of its code that are
//! relative to the instruction pointer.
//!
//! No disassembler: the few encodings of loads, compares and jumps through memory that compilers
//! make are looked for, for x86-64 at every byte, so some of what is found is chance. Whoever uses
//! an address checks what is there.

mod aarch64;

use crate::machine::{HERE, Machine};

/// An operand in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operand {
    /// Address of the static.
    pub(super) address: u64,
    /// Eight bytes are read, not four.
    pub(super) wide: bool,
}

/// The operands of `code`, which stands at `address`, in their order.
#[must_use]
pub(super) fn operands(code: &[u8], address: u64) -> Vec<Operand> {
    match HERE {
        Machine::X86_64 => of_x86_64(code, address),
        Machine::Aarch64 => aarch64::operands(code, address),
    }
}

fn of_x86_64(code: &[u8], address: u64) -> Vec<Operand> {
    /// `mov`, `add`, `cmp`, `sub`, `movslq` with a register and memory.
    const PLAIN: [u8; 6] = [0x8b, 0x03, 0x3b, 0x39, 0x2b, 0x63];
    const GROUP_5: u8 = 0xff;
    let mut found = Vec::new();
    for at in 0..code.len().saturating_sub(5) {
        let (opcode, mode) = (code[at], code[at + 1]);
        let relative = mode & 0xc7 == 0x05;
        // `jmp *` and `call *` are without a prefix and read eight bytes.
        let jump = opcode == GROUP_5 && matches!(mode, 0x15 | 0x25);
        if !relative || !(PLAIN.contains(&opcode) || jump) {
            continue;
        }
        let Ok(bytes) = <[u8; 4]>::try_from(&code[at + 2..at + 6]) else { continue };
        let next = address.wrapping_add(at as u64 + 6);
        let prefix = at.checked_sub(1).map_or(0, |before| code[before]);
        found.push(Operand {
            address: next.wrapping_add_signed(i32::from_le_bytes(bytes).into()),
            wide: jump || prefix & 0xf8 == 0x48,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &[u8], address: u64, expected: &[(u64, bool)]) {
        let expected: Vec<_> =
            expected.iter().map(|&(address, wide)| Operand { address, wide }).collect();
        assert_eq!(of_x86_64(code, address), expected);
    }

    /// Debian's 3.11: `_Py_GetAllocatedBlocks` begins with the three statics.
    #[test]
    fn loads_of_a_stripped_build_are_found() {
        let code = [
            0x48, 0x8b, 0x15, 0x09, 0x42, 0x3b, 0x00, // mov 0x3b4209(%rip),%rdx
            0x44, 0x8b, 0x0d, 0x7a, 0x44, 0x3f, 0x00, // mov 0x3f447a(%rip),%r9d
            0x45, 0x31, 0xc0, // xor %r8d,%r8d
            0x48, 0x8b, 0x3d, 0x80, 0x44, 0x3f, 0x00, // mov 0x3f4480(%rip),%rdi
        ];
        let expected = [(0xa8_43a0, true), (0xac_4618, false), (0xac_4628, true)];
        check(&code, 0x6d_0190, &expected);
    }

    /// pyenv's 3.8: `PyObject_Malloc` passes the context and jumps through the table.
    #[test]
    fn jumps_through_a_table_are_found() {
        let code = [
            0x48, 0x8b, 0x3d, 0xe1, 0x0c, 0x25, 0x00, // mov 0x250ce1(%rip),%rdi
            0xff, 0x25, 0xe3, 0x0c, 0x25, 0x00, // jmp *0x250ce3(%rip)
        ];
        check(&code, 0xe_1b18, &[(0x33_2800, true), (0x33_2808, true)]);
    }

    #[test]
    fn nothing_is_found_in_nothing() {
        check(&[], 0, &[]);
        check(&[0x8b, 0x05, 1, 2, 3], 0, &[]);
    }
}
