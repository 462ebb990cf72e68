//! Where a thread-local variable of the interpreter is, decoded from the function that returns it.
//!
//! 3.15 has no pthread key: each thread's state is in the variable `_Py_tss_gilstate`, which no
//! symbol of a stripped build names, and `PyGILState_GetThisThreadState` returns
//! (`Python/pystate.c`). Only the few instruction sequences that compilers make of that function
//! on x86-64 are known; anything else, and any other machine's, is "not known".

use memtrace_common::memory::ReadMemory;

use super::runtime::ThreadState;
use super::slot::by_thread;
use super::thread_area::{TLS_REACH, ThreadArea};

/// The offset in `mov %fs:offset,%rax`, the whole of `PyGILState_GetThisThreadState` in a program
/// that has its interpreter linked in (3.15: `_Py_tss_gilstate`). In a shared library the
/// function calls `__tls_get_addr` instead, and this is `None`.
#[must_use]
pub(super) fn static_variable(code: &[u8]) -> Option<i64> {
    const MOV_FS_RAX: [u8; 5] = [0x64, 0x48, 0x8b, 0x04, 0x25];
    const RET: u8 = 0xc3;
    let at = code.windows(5).position(|window| window == MOV_FS_RAX)?;
    // Anything but `endbr64` or padding before it, and it is another function's.
    if at > 16 || code[..at].contains(&RET) {
        return None;
    }
    let offset = i32::from_le_bytes(code.get(at + 5..at + 9)?.try_into().ok()?);
    (-(TLS_REACH as i64)..0).contains(&i64::from(offset)).then_some(i64::from(offset))
}

/// How `PyGILState_GetThisThreadState` of a shared library finds the variable: through
/// `__tls_get_addr`, with a pair {module, offset} in the GOT, and perhaps a displacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LibraryVariable {
    /// Bytes from the function to its pair in the GOT.
    pub(super) pair: i64,
    /// Added to the pair's offset.
    pub(super) displacement: i64,
}

/// Decodes `lea pair(%rip),%rdi`, `call __tls_get_addr`, `mov displacement(%rax),%rax` (glibc's
/// general and local dynamic models; not TLS descriptors).
#[must_use]
pub(super) fn library_variable(code: &[u8]) -> Option<LibraryVariable> {
    const LEA_RIP_RDI: [u8; 3] = [0x48, 0x8d, 0x3d];
    let lea = code.windows(3).position(|window| window == LEA_RIP_RDI)?;
    let number = |at: usize| Some(i32::from_le_bytes(code.get(at..at + 4)?.try_into().ok()?));
    let pair = i64::from(number(lea + 3)?) + lea as i64 + 7;
    let rest = code.get(lea + 7..)?;
    let load = rest.windows(2).position(|window| window == [0x48, 0x8b])?;
    let displacement = match rest.get(load + 2)? {
        0x00 => 0,
        0x40 => i64::from(*rest.get(load + 3)? as i8),
        0x80 => i64::from(number(lea + 7 + load + 3)?),
        _ => return None,
    };
    Some(LibraryVariable { pair, displacement })
}

impl LibraryVariable {
    /// The variable's offset from the thread pointer, if it has one: a library that was loaded
    /// with the program has its variables in each thread's static block, one loaded later
    /// (`dlopen`) has not. `function` is the address of the function that was decoded.
    #[must_use]
    pub(super) fn offset(
        self,
        memory: &impl ReadMemory,
        function: u64,
        threads: &[ThreadState],
    ) -> Option<i64> {
        /// `dtv` in glibc's `tcbhead_t`, and the size of its entries.
        const DTV: u64 = 8;
        const DTV_ENTRY: u64 = 16;
        let pair = function.wrapping_add_signed(self.pair);
        let module = memory.read_u64(pair)?;
        let within = memory.read_u64(pair.wrapping_add(8))?;
        let mut offsets =
            by_thread(memory, &ThreadArea::X86_64, threads).into_keys().filter_map(|pointer| {
                let vector = memory.read_u64(pointer.wrapping_add(DTV))?;
                // A thread that has not used the module yet has an odd or no address here.
                let block = memory.read_u64(vector.wrapping_add(DTV_ENTRY.wrapping_mul(module)))?;
                let address = block.wrapping_add(within).wrapping_add_signed(self.displacement);
                Some(address.wrapping_sub(pointer).cast_signed())
            });
        let offset = offsets.next()?;
        let is_static = (-(TLS_REACH as i64)..0).contains(&offset);
        (is_static && offsets.all(|other| other == offset)).then_some(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::super::slot::tests::{MAIN, OTHER, two_threads};
    use super::*;

    #[test]
    fn the_variable_is_read_from_the_function_that_returns_it() {
        let code =
            [0xf3, 0x0f, 0x1e, 0xfa, 0x64, 0x48, 0x8b, 0x04, 0x25, 0xd8, 0xff, 0xff, 0xff, 0xc3];
        assert_eq!(static_variable(&code), Some(-0x28));
        assert_eq!(static_variable(&code[..10]), None);
        let another = [&[0xc3][..], &code[4..]].concat();
        assert_eq!(static_variable(&another), None);
    }

    /// `PyGILState_GetThisThreadState` of Debian's libpython3.15.so (3.15.2).
    #[test]
    fn the_variable_of_a_library_is_found_through_the_got_and_the_dtv() {
        let code = [
            0x55, 0x48, 0x89, 0xe5, 0x48, 0x8d, 0x3d, 0x61, 0xa6, 0x4a, 0x00, 0xe8, 0x5c, 0x9d,
            0xcf, 0xff, 0x5d, 0x48, 0x8b, 0x80, 0x28, 0x00, 0x00, 0x00, 0xc3,
        ];
        let variable = library_variable(&code).unwrap();
        assert_eq!(variable, LibraryVariable { pair: 0x4a_a661 + 11, displacement: 0x28 });
        let (mut words, threads) = two_threads();
        let pair = 0x1000u64.wrapping_add_signed(variable.pair);
        words.0.extend([(pair, 3), (pair + 8, 0)]);
        for thread in [MAIN, OTHER] {
            words.0.extend([(thread + 8, thread + 0x500), (thread + 0x500 + 48, thread - 0x80)]);
        }
        assert_eq!(variable.offset(&words, 0x1000, &threads), Some(-0x58));
        words.0.insert(OTHER + 0x500 + 48, 0x5555_0000);
        assert_eq!(variable.offset(&words, 0x1000, &threads), None);
    }
}
