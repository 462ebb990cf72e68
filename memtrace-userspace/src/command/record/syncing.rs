//! Making what was written survive a power cut, beside the loop that empties the ring buffer: a slow
//! disk delays the recording and not the trace.

use std::fs::File;
use std::io;
use std::thread::JoinHandle;

use anyhow::{Context, Result};

use super::file::RecordingFile;

/// One sync at a time, in a thread of its own.
pub(super) struct Syncing {
    file: File,
    under_way: Option<JoinHandle<io::Result<()>>>,
}

impl Syncing {
    /// For this file.
    ///
    /// # Errors
    ///
    /// When there is no descriptor for it left.
    pub(super) fn new(file: &RecordingFile) -> Result<Self> {
        Ok(Self { file: file.to_sync()?, under_way: None })
    }

    /// A window was written: syncs it, unless the disk is still busy with one before. Then the next
    /// window's sync has this one's, too.
    ///
    /// # Errors
    ///
    /// The last sync failed: what the kernel could not write it does not keep.
    pub(super) fn go_on(&mut self) -> Result<()> {
        match self.under_way.take() {
            Some(busy) if !busy.is_finished() => {
                self.under_way = Some(busy);
                return Ok(());
            }
            Some(done) => match done.join() {
                Ok(Err(error)) if error.kind() != io::ErrorKind::InvalidInput => {
                    return Err(error).context("what was written does not get to the disk");
                }
                // Pipes and devices have nothing to sync.
                _ => {}
            },
            None => {}
        }
        let file = self.file.try_clone().context("a descriptor to sync by")?;
        let thread = std::thread::Builder::new().name("sync".to_owned());
        self.under_way =
            Some(thread.spawn(move || file.sync_data()).context("a thread to sync in")?);
        Ok(())
    }
}
