//! Talking with a program by lines: `ready PID`, `go`, `done {truth}`, `exit`.
//!
//! The other end is a target itself, or `memtrace run` passing its standard streams through.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::truth::Truth;
use crate::wait::PATIENCE;

/// Lines that arrive from a pipe, read by a thread so that waiting for one can end.
#[derive(Debug)]
pub struct Lines {
    from: &'static str,
    receiver: Receiver<String>,
    seen: String,
}

impl Lines {
    /// Reads lines from `pipe`; `from` names it in errors.
    #[must_use]
    pub fn new(from: &'static str, pipe: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        Self { from, receiver, seen: String::new() }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// When none comes in time.
    pub fn take_line(&mut self) -> Result<Option<String>> {
        self.take_line_within(PATIENCE)
    }

    fn take_line_within(&mut self, patience: Duration) -> Result<Option<String>> {
        match self.receiver.recv_timeout(patience) {
            Ok(line) => {
                self.seen.push_str(&line);
                self.seen.push('\n');
                Ok(Some(line))
            }
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                bail!("{} said nothing for {patience:?}; so far: {:?}", self.from, self.seen)
            }
        }
    }

    /// Everything up to the end.
    ///
    /// # Errors
    /// When the other side never closes it.
    pub fn rest(&mut self) -> Result<String> {
        while self.take_line()?.is_some() {}
        Ok(self.seen.clone())
    }

    /// Everything read so far.
    #[must_use]
    pub fn seen(&self) -> &str {
        &self.seen
    }
}

/// Both ends of a program's standard streams.
#[derive(Debug)]
pub struct Conversation {
    input: ChildStdin,
    output: Lines,
}

impl Conversation {
    /// Takes a child's piped streams.
    #[must_use]
    pub fn new(input: ChildStdin, output: ChildStdout) -> Self {
        Self { input, output: Lines::new("the program", output) }
    }

    /// The rest of the next line that begins with `word`; any other line is an error.
    ///
    /// # Errors
    /// When the program ends or says something else.
    pub fn expect(&mut self, word: &str) -> Result<String> {
        self.expect_within(word, PATIENCE)
    }

    fn expect_within(&mut self, word: &str, patience: Duration) -> Result<String> {
        let line = self.output.take_line_within(patience)?;
        let line = line.with_context(|| format!("the program ended before it said {word:?}"))?;
        match line.strip_prefix(word) {
            Some(rest) => Ok(rest.trim().to_owned()),
            None => bail!("the program said {line:?} where {word:?} was due"),
        }
    }

    /// Says one line. In one write: a program that reads a part of it would take the rest for the next.
    ///
    /// # Errors
    /// When the program is gone.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let bytes = format!("{line}\n");
        self.input
            .write_all(bytes.as_bytes())
            .with_context(|| format!("say {line:?} to the program"))
    }

    /// Waits for `ready` and gives the program's pid.
    ///
    /// # Errors
    /// When it doesn't come.
    pub fn ready(&mut self) -> Result<u32> {
        self.expect("ready")?.parse().context("pid of a program that is ready")
    }

    /// Lets the program do its step and gives what it says it did.
    ///
    /// # Errors
    /// When it fails.
    pub fn go(&mut self) -> Result<Truth> {
        self.say("go")?;
        self.patient_answer(PATIENCE)
    }

    /// What the program says it did, which may take so long.
    ///
    /// # Errors
    /// When it fails.
    pub fn patient_answer(&mut self, patience: Duration) -> Result<Truth> {
        let answer = self.expect_within("done", patience)?;
        serde_json::from_str(&answer).with_context(|| format!("truth {answer:?}"))
    }

    /// Everything that the program still says, up to its end.
    ///
    /// # Errors
    /// When it doesn't end.
    pub fn rest(&mut self) -> Result<String> {
        self.output.rest()
    }
}
