//! `memtrace run`: start a command, trace it from its first instruction, report at its end.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::form::Form;
use super::output::Output;
use super::trace::{plan, report};
use crate::cli::RunArgs;
use crate::session::{Child, ChildEnd, Session, SessionError};

/// Signals that are passed on to the command.
const PASSED_ON: [i32; 6] =
    [libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2, libc::SIGCONT];

/// Does it; returns the command's own exit code.
///
/// # Errors
///
/// Anything that keeps the command from being started or the report from being written.
pub async fn run(args: &RunArgs) -> Result<u8> {
    let form = Form::prepare(&args.trace.form, Output::beside_a_command)?;
    let mut session = Session::open(&plan(&args.trace.probes, args.trace.verbose))?;
    let name = args.command[0].to_string_lossy().into_owned();
    let start_error = |source| SessionError::Start { command: name.clone(), source };
    let child = Child::hold(&args.command).map_err(start_error)?;
    let pid = child.pid;
    session.expect(pid)?;
    let passing = pass_signals_on(pid).context("signals")?;
    let mut end = child.release().map_err(start_error)?;

    let mut ended = None;
    session.run(until_end(&mut end, &mut ended, args)).await?;
    let traced = session.finish()?;
    let code = match ended {
        Some(end) => end.code,
        // The time was over first: the command goes on, its report does not wait.
        None => match &args.trace.duration {
            Some(_) => {
                report(form, &traced)?;
                return Ok(end.await.map_or(1, |end| end.code));
            }
            None => end.await.map_or(1, |end| end.code),
        },
    };
    passing.abort();
    report(form, &traced)?;
    Ok(code)
}

/// Ready when the command has ended, or the time is over.
async fn until_end(
    end: &mut oneshot::Receiver<ChildEnd>,
    ended: &mut Option<ChildEnd>,
    args: &RunArgs,
) {
    let time = async {
        match args.trace.duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        end = end => *ended = end.ok(),
        () = time => {}
    }
}

/// Passes signals on to the command. Ctrl-C on a terminal reaches it by itself, being of the same
/// process group; from elsewhere it is passed on like the others.
fn pass_signals_on(pid: u32) -> std::io::Result<tokio::task::JoinHandle<()>> {
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
