//! Takes breakpoints out that memtrace could not take out itself, because it was killed.
//!
//! The kernel looks at a target's page when it puts a breakpoint in or takes one out, and gives up when the task that
//! asked has been killed (`fatal_signal_pending` in `__get_user_pages`, `mm/gup.c`): "failed to unregister, leaking
//! uprobe", and the target runs into that breakpoint for the rest of its life. A `kill -9` must hit such a moment; the
//! allocator lens has many of them, one at each end of each window.
//!
//! So a process of memtrace's own sleeps beside it, in a group of its own, and reads from a pipe where breakpoints are going
//! to be. When memtrace ends without a word, it puts probes to the same places once more and takes them off: what a dead task has
//! left goes with them.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::multi;

/// What is said to the process that waits, a JSON object a line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Say {
    /// Breakpoints are about to be put to these offsets of a file, in one process.
    Places { pid: u32, path: PathBuf, offsets: Vec<u64> },
    /// All are out.
    Done,
}

/// The process that waits, as memtrace sees it.
pub(super) struct Mender {
    child: Child,
    /// To it; closing it is the signal.
    pipe: Option<ChildStdin>,
    /// Where it knows that breakpoints may be.
    told: HashSet<(u32, PathBuf, u64)>,
}

impl Mender {
    /// Starts it; it gets `program`, which is for links to many functions.
    pub(super) fn start(program: BorrowedFd<'_>) -> io::Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg("mend")
            .stdin(Stdio::piped())
            .stdout(Stdio::from(program.try_clone_to_owned()?))
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe, told: HashSet::new() })
    }

    /// Says where breakpoints are about to be, unless it knows.
    pub(super) fn expect(
        &mut self,
        pid: u32,
        path: &Path,
        places: &[(u64, u64)],
    ) -> io::Result<()> {
        let mut unknown = |offset: &u64| self.told.insert((pid, path.to_owned(), *offset));
        let offsets: Vec<_> =
            places.iter().map(|(offset, _)| *offset).filter(|offset| unknown(offset)).collect();
        if offsets.is_empty() {
            return Ok(());
        }
        self.say(&Say::Places { pid, path: path.to_owned(), offsets })
    }

    fn say(&mut self, what: &Say) -> io::Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        self.pipe.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write_all(&line)
    }
}

impl Drop for Mender {
    fn drop(&mut self) {
        // It is gone already if it can't be told.
        drop(self.say(&Say::Done));
        self.pipe = None;
        drop(self.child.wait());
    }
}

/// How often, and after what pause, a place is tried again: others may be at it.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);

/// What the process that waits does: reads until memtrace has ended, and mends unless that was said to be in order.
///
/// # Errors
///
/// When the pipe can't be read, or a probe could not be put to a place of a process that is there.
pub fn mend(from: impl Read, program: OwnedFd) -> io::Result<()> {
    let mut places = Vec::new();
    for line in BufReader::new(from).split(b'\n') {
        // A line that was cut off tells of nothing that was done.
        match serde_json::from_slice(&line?) {
            Ok(Say::Done) => return Ok(()),
            Ok(Say::Places { pid, path, offsets }) => places.push((pid, path, offsets)),
            Err(_) => {}
        }
    }
    let mut failed = None;
    for (pid, path, offsets) in &places {
        for offset in offsets {
            if let Err(error) = touch(&program, *pid, path, *offset) {
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Puts a probe to a place, and takes it off.
fn touch(program: &OwnedFd, pid: u32, path: &Path, offset: u64) -> io::Result<()> {
    let mut outcome = Ok(());
    for _ in 0..TRIES {
        outcome = multi::link(program.as_fd(), pid, path, &[(offset, 0)], false).map(drop);
        let gone = || !Path::new("/proc").join(pid.to_string()).exists();
        if outcome.is_ok() || gone() {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A descriptor that is no program: to put it anywhere fails, and so tells that it was tried.
    fn no_program() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    fn places(pid: u32) -> String {
        let said = Say::Places { pid, path: "/proc/self/exe".into(), offsets: vec![4096] };
        serde_json::to_string(&said).unwrap()
    }

    #[test]
    fn places_are_mended_when_memtrace_ends_without_a_word() {
        let own = places(std::process::id());
        assert!(mend(own.as_bytes(), no_program()).is_err());
        // What was cut off by the end is not said.
        assert!(mend(&own.as_bytes()[..own.len() - 5], no_program()).is_ok());
    }

    #[test]
    fn nothing_is_mended_after_an_end_in_order() {
        let done = serde_json::to_string(&Say::Done).unwrap();
        let said = format!("{}\n{done}\n", places(std::process::id()));
        assert!(mend(said.as_bytes(), no_program()).is_ok());
    }

    #[test]
    fn a_process_that_is_gone_needs_no_mending() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(mend(places(child.id()).as_bytes(), no_program()).is_ok());
    }
}
