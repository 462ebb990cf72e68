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
pub(super) struct BoundedRead<'data> {
    cache: &'data ReadCache<&'data File>,
    left: Cell<u64>,
}

/// A string of a table is looked for in this many bytes, by the cache.
const STRING: u64 = 4096;

impl<'data> BoundedRead<'data> {
    pub(super) fn new(cache: &'data ReadCache<&'data File>, limit: u64) -> Self {
        Self { cache, left: Cell::new(limit) }
    }

    fn take(&self, bytes: u64) -> Result<(), ()> {
        self.left.set(self.left.get().checked_sub(bytes).ok_or(())?);
        Ok(())
    }
}

impl<'data> ReadRef<'data> for &BoundedRead<'data> {
    fn len(self) -> Result<u64, ()> {
        self.cache.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'data [u8], ()> {
        self.take(size)?;
        self.cache.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'data [u8], ()> {
        self.take(STRING)?;
        self.cache.read_bytes_at_until(range, delimiter)
    }
}
