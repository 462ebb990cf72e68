//! Bytes by kind of memory, added and subtracted kind by kind. Knows nothing of who has them.

use std::ops::{Add, AddAssign, Neg, Sub};

use crate::units::Bytes;

/// Bytes split as the kernel splits RSS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// `MM_ANONPAGES`
    pub anon: Bytes,
    /// `MM_FILEPAGES`
    pub file: Bytes,
    /// `MM_SHMEMPAGES`
    pub shmem: Bytes,
}

impl Memory {
    /// Nothing.
    pub const ZERO: Self = Self { anon: Bytes::ZERO, file: Bytes::ZERO, shmem: Bytes::ZERO };

    /// anon + file + shmem: what the kernel calls RSS.
    #[must_use]
    pub fn total(self) -> Bytes {
        self.anon + self.file + self.shmem
    }
}

impl Add for Memory {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self { anon: self.anon + o.anon, file: self.file + o.file, shmem: self.shmem + o.shmem }
    }
}
impl Neg for Memory {
    type Output = Self;
    fn neg(self) -> Self {
        Self { anon: -self.anon, file: -self.file, shmem: -self.shmem }
    }
}
impl Sub for Memory {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        self + -o
    }
}
impl AddAssign for Memory {
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}
impl std::iter::Sum for Memory {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}
