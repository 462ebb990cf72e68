//! aarch64's way to a static: its page by `adrp`, the rest by `add` or in the load itself.
//!
//! Registers are followed in the order of the code, not along its branches.

use super::Operand;

/// Bits of an instruction that say which it is, and what they are then.
const ADRP: (u32, u32) = (0x9f00_0000, 0x9000_0000);
/// `add Xd, Xn, #imm` without a shift.
const ADD: (u32, u32) = (0xffc0_0000, 0x9100_0000);
/// `ldr Wt, [Xn, #imm]`
const LDR_32: (u32, u32) = (0xffc0_0000, 0xb940_0000);
/// `ldr Xt, [Xn, #imm]`
const LDR_64: (u32, u32) = (0xffc0_0000, 0xf940_0000);
/// `ldp Xt, Xu, [Xn, #imm]`
const LDP_64: (u32, u32) = (0xffc0_0000, 0xa940_0000);

/// The operands of `code`, which stands at `address`, in their order.
pub(super) fn operands(code: &[u8], address: u64) -> Vec<Operand> {
    let mut found = Vec::new();
    let mut registers = [None; 32];
    let skipped = address.next_multiple_of(4) - address;
    let aligned = code.get(skipped as usize..).unwrap_or_default();
    for (index, bytes) in aligned.chunks_exact(4).enumerate() {
        let at = address.wrapping_add(skipped + 4 * index as u64);
        let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let is = |(mask, bits): (u32, u32)| word & mask == bits;
        let register = |shift: u32| (word >> shift & 31) as usize;
        let base: Option<u64> = registers[register(5)];
        let immediate = u64::from(word >> 10 & 0xfff);
        let mut load = |offset: u64, wide: bool| {
            if let Some(base) = base {
                found.push(Operand { address: base.wrapping_add(offset), wide });
            }
        };
        if is(ADRP) {
            // 21 bits, the low two elsewhere.
            let low = i64::from(word >> 29 & 3);
            let high = i64::from((word << 8).cast_signed() >> 13);
            let pages = high << 2 | low;
            registers[register(0)] = Some((at & !0xfff).wrapping_add_signed(pages << 12));
        } else if is(ADD) {
            registers[register(0)] = base.map(|base| base.wrapping_add(immediate));
        } else if is(LDR_32) {
            load(4 * immediate, false);
            registers[register(0)] = None;
        } else if is(LDR_64) {
            load(8 * immediate, true);
            registers[register(0)] = None;
        } else if is(LDP_64) {
            // Seven bits with a sign.
            let offset = i64::from((word << 10).cast_signed() >> 25) * 8;
            load(offset.cast_unsigned(), true);
            load((offset + 8).cast_unsigned(), true);
            (registers[register(0)], registers[register(10)]) = (None, None);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &[u32], address: u64, expected: &[(u64, bool)]) {
        let code: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        let expected: Vec<_> =
            expected.iter().map(|&(address, wide)| Operand { address, wide }).collect();
        assert_eq!(operands(&code, address), expected);
    }

    /// Debian's 3.11 for arm64: `_Py_GetAllocatedBlocks` begins with the three statics.
    #[test]
    fn loads_of_a_stripped_build_are_found() {
        let code = [
            0x9000_1ce0, // adrp x0, a5e000
            0xb000_1ce2, // adrp x2, a5f000
            0xb000_1ce1, // adrp x1, a5f000
            0x5280_0005, // mov w5, #0
            0xf946_2400, // ldr x0, [x0, #3144]
            0xd287_ffe7, // mov x7, #0x3fff
            0xb949_b846, // ldr w6, [x2, #2488]
            0xf944_e024, // ldr x4, [x1, #2496]
        ];
        let expected = [(0xa5_ec48, true), (0xa5_f9b8, false), (0xa5_f9c0, true)];
        check(&code, 0x6c_2390, &expected);
    }

    /// There `PyObject_Malloc` reads its table by a pair.
    #[test]
    fn a_table_is_read_by_a_pair() {
        let code = [
            0xaa00_03e1, // mov x1, x0
            0x9000_25e0, // adrp x0, 931000
            0x9104_8003, // add x3, x0, #0x120
            0xa940_0c60, // ldp x0, x3, [x3]
        ];
        check(&code, 0x47_5588, &[(0x93_1120, true), (0x93_1128, true)]);
    }

    #[test]
    fn nothing_is_found_in_nothing() {
        check(&[], 0, &[]);
        check(&[0xf946_2400], 2, &[]);
    }
}
