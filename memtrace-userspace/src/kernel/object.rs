//! The eBPF object: built by `cargo xtask ebpf`, committed, proved against its source in CI.
//!
//! What it leaves open is put in here, as a linker would: the number of the one function of the
//! kernel that it calls. Everything else is aya's to relocate.

use memtrace_common::settings::CALL_OF_RDONLY_CAST;

/// The object, aligned as ELF wants it.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../ebpf/memtrace.bpf.o");

/// A copy of the object, for a kernel in whose BTF `bpf_rdonly_cast` has this number.
pub(super) struct Object {
    /// Words, for their alignment.
    words: Vec<u64>,
}

impl Object {
    pub(super) fn linked(rdonly_cast: u32) -> Self {
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
fn link(word: u64, rdonly_cast: u32) -> u64 {
    match word {
        CALL_OF_RDONLY_CAST => (word & u64::from(u32::MAX)) | u64::from(rdonly_cast) << 32,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_open_calls_of_the_object_change() {
        let (before, after) = (Object::linked(0x5ca5_7ed0), Object::linked(7));
        assert_eq!(before.bytes(), OBJECT);
        let changed = before.words.iter().zip(&after.words).filter(|(one, other)| one != other);
        let mut count = 0;
        for (one, other) in changed {
            assert_eq!((*one, *other), (CALL_OF_RDONLY_CAST, 7 << 32 | 0x2085));
            count += 1;
        }
        assert!(count > 0, "the object calls no function of the kernel");
    }
}
