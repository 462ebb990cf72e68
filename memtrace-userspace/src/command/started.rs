//! A command that memtrace starts, traces from its first instruction, and waits for: what `run` and
//! `record` share.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::session::{Child, ChildEnd, Session, SessionError};

/// Signals that are passed on to the command.
const PASSED_ON: [i32; 6] =
    [libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2, libc::SIGCONT];

/// A command under way.
pub(super) struct Started {
    end: oneshot::Receiver<ChildEnd>,
    ended: Option<ChildEnd>,
    passing: JoinHandle<()>,
}

impl Started {
    /// Starts it, traced, with this in its environment beside what is in ours.
    ///
    /// # Errors
    ///
    /// When it can't be started.
    pub(super) fn begin(
        session: &mut Session,
        command: &[OsString],
        environment: &[(OsString, OsString)],
    ) -> Result<Self> {
        let name = command[0].to_string_lossy().into_owned();
        let start_error = |source| SessionError::Start { command: name.clone(), source };
        let child = Child::hold(command, environment).map_err(start_error)?;
        session.expect(child.pid)?;
        let passing = pass_signals_on(child.pid).context("signals")?;
        let end = child.release().map_err(start_error)?;
        Ok(Self { end, ended: None, passing })
    }

    /// Ready when it has ended, or the time is over.
    pub(super) async fn until_end(&mut self, duration: Option<Duration>) {
        let time = async {
            match duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            end = &mut self.end => self.ended = end.ok(),
            () = time => {}
        }
    }

    /// Whether it was seen to end.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Its exit code, once it has ended. Signals are passed on until then.
    pub(super) async fn code(self) -> u8 {
        let code = match self.ended {
            Some(end) => end.code,
            None => self.end.await.map_or(1, |end| end.code),
        };
        self.passing.abort();
        code
    }
}

/// Passes signals on to the command. Ctrl-C on a terminal reaches it by itself, being of the same
/// process group; from elsewhere it is passed on like the others.
fn pass_signals_on(pid: u32) -> std::io::Result<JoinHandle<()>> {
    let mut signals = Vec::new();
    for number in PASSED_ON {
        signals.push((number, signal(SignalKind::from_raw(number))?));
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let on_terminal = std::io::stdin().is_terminal();
    let send = move |number: i32| {
        // SAFETY: a system call without pointers; the pid is our own child's.
        unsafe { libc::kill(pid.cast_signed(), number) };
    };
    for (number, mut arrivals) in signals {
        tokio::spawn(async move {
            while arrivals.recv().await.is_some() {
                send(number);
            }
        });
    }
    Ok(tokio::spawn(async move {
        while interrupt.recv().await.is_some() {
            if !on_terminal {
                send(libc::SIGINT);
            }
        }
    }))
}
