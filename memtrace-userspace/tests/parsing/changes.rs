//! Inputs, changed as a fuzzer would, the same way each time. Shared with the tests of recordings.

/// xorshift64*: as good as is needed to change bytes.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(0x9e37_79b9_7f4a_7c15 ^ (seed + 1))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

/// Values that break arithmetic.
const EDGES: [u64; 8] =
    [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, u64::MAX];

/// The input, changed in some places.
pub(crate) fn changed(input: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len());
        match random.below(5) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.below(256) as u8,
            2 if bytes.len() >= at + 8 => {
                bytes[at..at + 8].copy_from_slice(&EDGES[random.below(8)].to_le_bytes());
            }
            3 => bytes.truncate(at),
            _ => bytes.insert(at.min(bytes.len()), random.below(256) as u8),
        }
    }
    bytes
}
