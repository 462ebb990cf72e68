//! What memtrace would say on standard error while the screen is in the way.
//!
//! Kept, at most so many lines, and the newest shown; before and after, lines go to standard error as
//! always, and so do those that were kept, at the end.

use std::collections::VecDeque;
use std::io::{self, Write, stderr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lines that are kept.
const LINES: usize = 100;

#[derive(Default)]
struct Kept {
    lines: VecDeque<String>,
    /// Whether a line has come since somebody asked.
    news: bool,
}

/// `Some` while the screen is there.
static KEPT: Mutex<Option<Kept>> = Mutex::new(None);

fn kept() -> MutexGuard<'static, Option<Kept>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where lines of a log go: they are kept while the screen is there, and go to `otherwise` else.
#[must_use]
pub fn writer(otherwise: impl Write) -> impl Write {
    Writer(otherwise)
}

struct Writer<W>(W);

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = kept();
        let Some(kept) = &mut *kept else { return self.0.write(bytes) };
        if kept.lines.len() >= LINES {
            kept.lines.pop_front();
        }
        kept.lines.push_back(String::from_utf8_lossy(bytes).trim_end().to_owned());
        kept.news = true;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Keeps lines from now on. What is still there when this is dropped goes to standard error.
#[must_use]
pub fn keep() -> Keeping {
    *kept() = Some(Kept::default());
    Keeping
}

/// See [`keep`].
#[derive(Debug)]
pub struct Keeping;

impl Keeping {
    /// The newest line, if any came since the last call.
    #[must_use]
    pub fn news(&self) -> Option<String> {
        let mut kept = kept();
        let kept = kept.as_mut()?;
        std::mem::take(&mut kept.news).then(|| kept.lines.back().cloned()).flatten()
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        let lines = kept().take().unwrap_or_default().lines;
        for line in lines {
            // Nobody to tell if that fails.
            let _ = writeln!(stderr(), "{line}");
        }
    }
}
