//! A child of memtrace's own in which it is measured what probes cost on this machine.
//!
//! The child is this program again (`memtrace calibrate`, hidden): for each line on its standard input
//! it does a round of what the line names, says how many nanoseconds one of them took, and ends with
//! its input.

use std::io::{BufRead as _, BufReader, Error, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Pairs of calls in a round of allocations.
pub const PAIRS: u32 = 5_000;
/// Pages in a round of page faults.
pub const PAGES: usize = 4_096;
/// The best of so many rounds counts: other work on the machine only adds.
const ROUNDS: usize = 3;

/// What the child does in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Allocates and frees.
    Allocations,
    /// Maps memory, touches its pages and unmaps it.
    Pages,
}

impl Work {
    /// The line that asks for it.
    #[must_use]
    pub const fn line(self) -> &'static str {
        match self {
            Self::Allocations => "allocations",
            Self::Pages => "pages",
        }
    }
}

/// The child.
pub(super) struct Calibration {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Calibration {
    pub(super) fn start() -> Result<Self, Error> {
        let mut child = Command::new("/proc/self/exe")
            .arg("calibrate")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = BufReader::new(output.ok_or_else(|| Error::other("no pipe"))?);
        Ok(Self { child, input, output })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Nanoseconds that one took, in the best of some rounds.
    pub(super) fn round(&mut self, work: Work) -> Result<f64, Error> {
        let mut best = f64::INFINITY;
        for _ in 0..ROUNDS {
            let input = self.input.as_mut().ok_or_else(|| Error::other("no pipe"))?;
            writeln!(input, "{}", work.line())?;
            let mut line = String::new();
            self.output.read_line(&mut line)?;
            best = best.min(line.trim().parse().map_err(Error::other)?);
        }
        Ok(best)
    }
}

impl Drop for Calibration {
    fn drop(&mut self) {
        // It ends when its input does; a zombie is collected here.
        self.input = None;
        let _ = self.child.wait();
    }
}
