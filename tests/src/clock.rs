//! A wall clock that can be set for one process.
//!
//! The machine's own would be everybody's: other tests, and builds, which go by the times of files. So the
//! process has its C library's clock functions replaced (`programs/clock.c`); all clocks that never step, and what
//! the kernel itself notes, are the real ones.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::resources;

/// The clock.
#[derive(Debug)]
pub struct Clock {
    folder: tempfile::TempDir,
    file: File,
}

impl Clock {
    /// One that is right.
    ///
    /// # Errors
    /// When there is no C compiler.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/clock.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
        resources::succeed(cc.arg(folder.path().join("clock.so")).arg(source))?;
        let file = File::create(folder.path().join("off"))?;
        let clock = Self { folder, file };
        clock.set_off(0)?;
        Ok(clock)
    }

    /// Has a command go by it.
    pub fn of(&self, command: &mut Command) {
        command.env("LD_PRELOAD", self.folder.path().join("clock.so"));
        command.env("MEMTRACE_TEST_CLOCK", self.folder.path().join("off"));
    }

    /// From now on it is off by so many seconds.
    ///
    /// # Errors
    /// When it can't be set.
    pub fn set_off(&self, seconds: i64) -> Result<()> {
        Ok(self.file.write_all_at(&seconds.to_ne_bytes(), 0)?)
    }
}
