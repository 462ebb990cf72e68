//! What the kernel side sends for native frames (`--native`): registers and a copy of the stack's
//! end, which user space unwinds. Once for each [`key`]; later events carry its number only.

use crate::event::Header;
use crate::walk::mix;

/// Bytes of a stack that are copied, from the stack pointer on. From an allocation to CPython's frame
/// evaluation half of the chains of calls take 1.5 KiB, 96 % 4 KiB and the longest seen 6.6 KiB
/// (imports and numpy). A chain that is longer keeps its leaf side.
pub const MAX_STACK_BYTES: usize = 8 << 10;

/// Bytes that are copied in one go: what can't be read ends the copy at such a step.
pub const STACK_CHUNK: usize = 1024;

/// Words at the end of the stack that tell snapshots apart.
pub const TOP_WORDS: usize = 64;

/// Snapshots remembered as already sent, as [`crate::limits::MAX_STACKS_SENT`].
pub const MAX_NATIVES_SENT: u32 = 32_768;

/// Where a thread was in native code while RSS grew. The bytes of its stack follow.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Native {
    /// [`crate::event::tag::NATIVE`]
    pub header: Header,
    /// The id that events carry from now on instead of `stack`.
    pub id: u64,
    /// Id of the thread's Python stack, which has been sent.
    pub stack: u64,
    /// Instruction pointer: in a system call, behind the instruction that made it.
    pub ip: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer, or whatever else its register is used for.
    pub bp: u64,
    /// Bytes that follow.
    pub length: u32,
    /// 0.
    pub reserved: u32,
}
const _: () = assert!(size_of::<Native>() == 56);

/// Where `pt_regs` has user registers (`arch/x86/include/asm/ptrace.h`).
pub mod regs {
    /// `pt_regs.bp`
    pub const BP: u64 = 32;
    /// `pt_regs.ip`
    pub const IP: u64 = 128;
    /// `pt_regs.sp`
    pub const SP: u64 = 152;
}

/// A word of a stack as far as it tells calls apart, otherwise 0.
///
/// Most words there are data, new ones at each call: buffers, objects, sizes. Return addresses are
/// what is wanted. Allocators and the stack itself hand out addresses that eight divides, and
/// programs and libraries lie where small numbers don't reach, so an odd place in that range is one,
/// as a rule. The eighth of return addresses that this misses seldom matters: the callers' tell, too.
#[inline(always)]
#[must_use]
pub fn telling(word: u64) -> u64 {
    let odd = word & 7 != 0;
    let library = (0x5000_0000_0000..0x8000_0000_0000).contains(&word);
    // Programs at fixed addresses.
    let program = (0x40_0000..0x200_0000).contains(&word);
    let take = u64::from(odd) & (u64::from(library) | u64::from(program));
    word & 0u64.wrapping_sub(take)
}

/// Number of a snapshot: odd, and another one than that of any Python stack.
#[inline(always)]
#[must_use]
pub fn key(stack: u64, ip: u64, sp: u64, top: &[u64; TOP_WORDS]) -> u64 {
    // Four at a time: a multiplication waits for the one before in its lane only.
    let (mut a, mut b, mut c, mut d) = (stack, ip, sp, 0);
    let mut at = 0;
    while at < TOP_WORDS {
        a = mix(a, telling(top[at]));
        b = mix(b, telling(top[at + 1]));
        c = mix(c, telling(top[at + 2]));
        d = mix(d, telling(top[at + 3]));
        at += 4;
    }
    mix(mix(mix(a, b), c), d) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_does_not_tell_snapshots_apart_and_return_addresses_do() {
        let mut top = [0; TOP_WORDS];
        top[3] = 0x7f12_3456_7891;
        let first = key(1, 2, 3, &top);
        // A size, an object, a place on the stack, an address of the kernel.
        for (at, data) in [(0, 12_345), (1, 0x7f12_3456_7890), (2, 0x7ffc_1234_5678), (4, !0)] {
            top[at] = data;
        }
        assert_eq!(key(1, 2, 3, &top), first);
        top[63] = 0x41_f235;
        assert_ne!(key(1, 2, 3, &top), first);
        top[63] = 0;
        assert_ne!(key(9, 2, 3, &top), first);
        assert_ne!(key(1, 9, 3, &top), first);
        assert_ne!(key(1, 2, 9, &top), first);
    }
}
