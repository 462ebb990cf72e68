//! Progress of long work: one line on standard error that comes and goes, at a terminal only.
//!
//! Whoever works says how far it is; when the [`Progress`] is dropped, the line is gone. Messages
//! that come meanwhile go through [`Messages`], which writes them above the line. It writes no
//! results and measures nothing.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::LazyLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the line shows the time anew.
const TICK: Duration = Duration::from_millis(250);

/// All lines of this process; hidden where standard error is no terminal.
static LINES: LazyLock<MultiProgress> =
    LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));

/// Progress of one piece of work.
#[derive(Debug)]
pub struct Progress {
    line: ProgressBar,
}

impl Progress {
    /// Of work that takes its time, `duration` if that is known: `what` and the time that has passed.
    #[must_use]
    pub fn of_time(what: &str, duration: Option<Duration>, quiet: bool) -> Self {
        let end = match duration {
            Some(duration) => format!("of {}", humantime::format_duration(duration)),
            None => "(Ctrl-C ends it)".to_owned(),
        };
        let line = ProgressBar::no_length().with_message(what.to_owned()).with_prefix(end);
        Self::shown(line, "{spinner} {msg}: {elapsed} {prefix}", quiet)
    }

    /// Of work on so many bytes: a bar, and the time that is left.
    #[must_use]
    pub fn of_bytes(what: &str, bytes: u64, quiet: bool) -> Self {
        let line = ProgressBar::new(bytes).with_message(what.to_owned());
        Self::shown(line, "{msg} [{wide_bar}] {bytes} of {total_bytes}, {eta} left", quiet)
    }

    fn shown(line: ProgressBar, template: &str, quiet: bool) -> Self {
        // A template that can't be read is a mistake of ours that a test finds.
        let style = ProgressStyle::with_template(template);
        line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        if quiet {
            line.set_draw_target(ProgressDrawTarget::hidden());
            return Self { line };
        }
        let line = LINES.add(line);
        line.enable_steady_tick(TICK);
        Self { line }
    }

    /// So far, of the bytes.
    pub fn advance_to(&self, bytes: u64) {
        self.line.set_position(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}

/// Tells the user. Who can't be told, on a full disk or a closed pipe, misses it, and the work goes on.
pub fn say(what: impl Display) {
    let line = format!("memtrace: {what}\n");
    let _ = Messages.write_all(line.as_bytes());
}

/// Standard error for messages: above the line of progress, where there is one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Messages;

impl Write for Messages {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        LINES.suspend(|| io::stderr().write(message))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
