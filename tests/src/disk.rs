//! A disk that is as good as full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::resources;

/// Bytes of it.
const SIZE: usize = 64 << 10;

/// A disk of 64 KiB, of which little is free. Dropping it takes it away.
#[derive(Debug)]
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// One with so much room.
    ///
    /// # Errors
    /// When it can't be mounted.
    pub fn with_free(bytes: usize) -> Result<Self> {
        resources::root()?;
        let disk = Self(tempfile::tempdir()?);
        let mut mount = Command::new("mount");
        let size = format!("size={SIZE}");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(disk.path());
        resources::succeed(&mut mount)?;
        fs::write(disk.filler(), vec![1; SIZE - bytes])?;
        Ok(disk)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Makes room.
    ///
    /// # Errors
    /// When that has been done before.
    pub fn clear(&self) -> Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // An error means that it was never mounted.
        let _ = resources::succeed(Command::new("umount").arg("--lazy").arg(self.path()));
    }
}
