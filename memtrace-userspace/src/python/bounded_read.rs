//! A file that is read only so far: its headers say how much there is to read, and they may lie.
//!
//! The `object` crate checks what it reads against the file's length, which costs nothing to make
//! large (files have holes), and keeps what it has read.

use std::cell::Cell;
use std::fs::File;
use std::ops::Range;

use object::{ReadCache, ReadRef};

/// Reads through a cache until so many bytes have been asked for; then every read fails.
#[derive(Debug)]
pub(crate) struct BoundedRead<'file> {
    cache: ReadCache<&'file File>,
    left: Cell<u64>,
}

/// What a text that is looked for costs beside its bytes.
const TEXT: u64 = 64;

impl<'file> BoundedRead<'file> {
    pub(crate) fn new(file: &'file File, limit: u64) -> Self {
        Self { cache: ReadCache::new(file), left: Cell::new(limit) }
    }

    fn take(&self, bytes: u64) -> Result<(), ()> {
        self.left.set(self.left.get().checked_sub(bytes).ok_or(())?);
        Ok(())
    }
}

impl<'data> ReadRef<'data> for &'data BoundedRead<'_> {
    fn len(self) -> Result<u64, ()> {
        self.cache.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'data [u8], ()> {
        self.take(size)?;
        self.cache.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'data [u8], ()> {
        let text = self.cache.read_bytes_at_until(range, delimiter)?;
        self.take(text.len() as u64 + TEXT)?;
        Ok(text)
    }
}
