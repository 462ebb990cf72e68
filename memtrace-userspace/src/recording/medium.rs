//! What a recording is written to: something that can be appended to, made durable and cut back.
//!
//! A file in earnest; in tests memory, or a disk that fills up.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use rustix::fs::FallocateFlags;

/// A place for a recording.
pub trait Medium: Write {
    /// Makes what was written so far survive a power cut.
    ///
    /// # Errors
    ///
    /// When it can't; what was written since the last time may be lost.
    fn make_durable(&mut self) -> io::Result<()>;

    /// Takes everything after the first `length` bytes away; writing goes on there.
    ///
    /// # Errors
    ///
    /// When it can't.
    fn cut_to(&mut self, length: u64) -> io::Result<()>;

    /// Keeps room for so many bytes behind what was written, which does not make it longer. Where
    /// that can't be done there is nothing to do.
    ///
    /// # Errors
    ///
    /// When there is no such room.
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let _ = bytes;
        Ok(())
    }
}

impl Medium for File {
    fn make_durable(&mut self) -> io::Result<()> {
        match self.sync_data() {
            // Pipes and devices have nothing to make durable.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            done => done,
        }
    }

    fn cut_to(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length)).map(drop)
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        // Pipes have no position and file systems may know no such call: all the same.
        let Ok(at) = self.stream_position() else { return Ok(()) };
        let reserved = rustix::fs::fallocate(&*self, FallocateFlags::KEEP_SIZE, at, bytes);
        match reserved.map_err(io::Error::from) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
            {
                Err(error)
            }
            _ => Ok(()),
        }
    }
}

impl Medium for Vec<u8> {
    fn make_durable(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut_to(&mut self, length: u64) -> io::Result<()> {
        self.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }
}

impl<M: Medium + ?Sized> Medium for &mut M {
    fn make_durable(&mut self) -> io::Result<()> {
        (**self).make_durable()
    }

    fn cut_to(&mut self, length: u64) -> io::Result<()> {
        (**self).cut_to(length)
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        (**self).reserve(bytes)
    }
}
