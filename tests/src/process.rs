//! Processes that only have to be there: no program of the tests speaks in them.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::{memory, wait};

/// A process that is killed at the end of its test.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts a command and waits until it has become what it is to be, and sleeps.
    ///
    /// # Errors
    /// When it doesn't.
    pub fn start(command: &mut Command) -> Result<Self> {
        let quiet = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = quiet.spawn().with_context(|| format!("{quiet:?}"))?;
        let process = Self(child);
        let pid = process.0.id();
        wait::until("a process to sleep", || Ok(memory::settled(pid).ok()))?;
        Ok(process)
    }

    /// A Python that waits for its standard input to end.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn waiting(python: &Path) -> Result<Self> {
        Self::start(Command::new(python).args(["-c", "import sys; sys.stdin.read()"]))
    }

    /// Its pid, as an argument.
    #[must_use]
    pub fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Errors mean that it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
