//! The eBPF object: built by `cargo xtask ebpf`, committed, proved against its source in CI.
//!
//! What it leaves open is put in here, as a linker would: the number of the one function of the
//! kernel that it calls. Everything else is aya's to relocate. A kernel that has no such function never comes
//! to the call, and its verifier would stumble over it all the same: something harmless stands there then.

use memtrace_common::settings::CALL_OF_RDONLY_CAST;

/// The object, aligned as ELF wants it.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../ebpf/memtrace.bpf.o");

/// `r0 = 0` (`BPF_ALU64 | BPF_MOV | BPF_K`, `include/uapi/linux/bpf.h`).
const NO_CALL: u64 = 0xb7;

/// A copy of the object, for a kernel in whose BTF `bpf_rdonly_cast` has this number, or which has none.
pub(super) struct Object {
    /// Words, for their alignment.
    words: Vec<u64>,
}

impl Object {
    pub(super) fn linked(rdonly_cast: Option<u32>) -> Self {
        let chunks = OBJECT.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_ne_bytes(word)
        });
        Self { words: chunks.map(|word| link(word, rdonly_cast)).collect() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the words are initialised, and at least as many bytes as the object has.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), OBJECT.len()) }
    }
}

/// Instructions are eight bytes and aligned, so each is one word of the file.
fn link(word: u64, rdonly_cast: Option<u32>) -> u64 {
    match (word, rdonly_cast) {
        (CALL_OF_RDONLY_CAST, Some(number)) => {
            (word & u64::from(u32::MAX)) | u64::from(number) << 32
        }
        (CALL_OF_RDONLY_CAST, None) => NO_CALL,
        (other, _) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_open_calls_of_the_object_change() {
        let (before, after) = (Object::linked(Some(0x5ca5_7ed0)), Object::linked(Some(7)));
        assert_eq!(before.bytes(), OBJECT);
        let changed = before.words.iter().zip(&after.words).filter(|(one, other)| one != other);
        let mut count = 0;
        for (one, other) in changed {
            assert_eq!((*one, *other), (CALL_OF_RDONLY_CAST, 7 << 32 | 0x2085));
            count += 1;
        }
        assert!(count > 0, "the object calls no function of the kernel");
        let without = Object::linked(None);
        let left = without.words.iter().filter(|word| **word == CALL_OF_RDONLY_CAST).count();
        let gone = without.words.iter().zip(&before.words).filter(|(one, other)| one != other);
        assert_eq!((left, gone.count()), (0, count));
    }
}
