//! `memtrace run`: start a command, trace it from its first instruction, report at its end.

use std::ffi::OsString;

use anyhow::{Context, Result};

use super::form::Form;
use super::output::Output;
use super::started::Started;
use super::trace::{check_view, plan_of, report};
use crate::cli::RunArgs;
use crate::counting::{Counting, Isolated, isolated};
use crate::session::Session;

/// Why lines can't be counted in a command.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// An option of Python's own.
    #[error("--count-lines can't count in a Python started with {0}; leave one of the two out")]
    Isolated(Isolated),
    /// No `sys.monitoring`.
    #[error(
        "--count-lines needs CPython 3.12 or newer, and {executable} is {version}: the command was \
         not run; start it with a newer Python, or leave --count-lines out"
    )]
    TooOld {
        /// Of its interpreter.
        version: String,
        /// Its interpreter.
        executable: String,
    },
}

/// Does it; returns the command's own exit code.
///
/// # Errors
///
/// Anything that keeps the command from being started or the report from being written.
pub async fn run(args: &RunArgs) -> Result<u8> {
    check_view(&args.trace.form, &args.trace.probes)?;
    let form = Form::prepare(&args.trace.form, Output::beside_a_command)?;
    let counting = args.count_lines.then(|| prepare_counting(&args.command)).transpose()?;
    let environment: Vec<_> = counting.iter().map(python_path).collect();
    let mut session = Session::open(&plan_of(&args.trace))?;
    let mut started = Started::begin(&mut session, &args.command, &environment)?;
    session.run(started.until_end(args.trace.duration)).await?;
    if let Some(counting) = &counting {
        if !started.has_ended() {
            // No target is left: its counts are there when the command has ended.
            started.until_end(None).await;
        }
        if let Some(refusal) = counting.refusal() {
            let (version, executable) = (refusal.version, refusal.executable);
            return Err(CountError::TooOld { version, executable }.into());
        }
        session.book_counts(&counting.read());
    }
    let traced = session.finish()?;
    if args.trace.duration.is_some() && !started.has_ended() {
        // The time was over first: the command goes on, its report does not wait.
        report(form, &traced)?;
        return Ok(started.code().await);
    }
    let code = started.code().await;
    report(form, &traced)?;
    Ok(code)
}

fn prepare_counting(command: &[OsString]) -> Result<Counting> {
    if let Some(option) = isolated(command) {
        return Err(CountError::Isolated(option).into());
    }
    Counting::prepare().context("a temporary folder for --count-lines")
}

fn python_path(counting: &Counting) -> (OsString, OsString) {
    let name = "PYTHONPATH";
    (name.into(), counting.python_path(std::env::var_os(name).as_deref()))
}
