//! The `memtrace` command: parse, run, say what went wrong, choose the exit code.

#![warn(clippy::print_stderr)]

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use memtrace::cli::{Cli, Command, ListArgs, ListFormat};
use memtrace::command::form::FormError;
use memtrace::command::progress::{Messages, say};
use memtrace::command::run::CountError;
use memtrace::command::{
    attach, calibrate, color, completions, daemon, diff, doctor, explain, mend, output::Output,
    plot, ps, push, record, report, run, top,
};
use memtrace::daemon::config::ConfigError;
use memtrace::push::{BackendError, SettingsError};
use memtrace::python::DiscoverError;
use memtrace::report::printable;
use memtrace::session::SessionError;
use memtrace::snapshot::SnapshotError;
use memtrace::top as screen;
use tracing_subscriber::EnvFilter;

/// Tracing failed.
const FAILED: u8 = 1;
/// What was typed can't be meant.
const WRONG_USAGE: u8 = 2;
/// The target went away before there was anything to report.
const TARGET_GONE: u8 = 3;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(&cli);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(execute(&cli)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // It may name files, commands and threads of a target's; the lines are the kernel's.
            let message = format!("{error:#}");
            let lines: Vec<_> = message.split('\n').map(printable).collect();
            say(lines.join("\n"));
            ExitCode::from(code_of(&error))
        }
    }
}

async fn execute(cli: &Cli) -> anyhow::Result<u8> {
    match &cli.command {
        Command::Attach(args) => attach::run(args).await.map(|()| 0),
        Command::Run(args) => run::run(args).await,
        Command::Top(args) => top::run(args).await.map(|()| 0),
        Command::Record(args) => record::run(args).await,
        Command::Daemon(args) => daemon::run(args).await.map(|()| 0),
        Command::Report(args) => report::run(args).map(|()| 0),
        Command::Plot(args) => plot::run(args).map(|()| 0),
        Command::Diff(args) => diff::run(args),
        Command::Push(args) => push::run(args).map(|()| 0),
        Command::Explain(args) => explain::run(args).map(|()| 0),
        Command::Ps(args) => list(args, |json, out| {
            let format = if json { ps::PsFormat::Json } else { ps::PsFormat::Table };
            ps::run(format, out).map(|()| true)
        }),
        Command::Doctor(args) => list(args, |json, out| {
            let format = if json { doctor::Format::Json } else { doctor::Format::Table };
            doctor::run(format, out)
        }),
        Command::Calibrate => calibrate::run().map(|()| 0),
        Command::Mend => mend::run().map(|()| 0),
        Command::Completions(args) => completions::run(args).map(|()| 0),
    }
}

/// Runs a command that prints a list; `false` from it is exit code 1.
fn list(
    args: &ListArgs,
    write: impl FnOnce(bool, &mut dyn std::io::Write) -> anyhow::Result<bool>,
) -> anyhow::Result<u8> {
    let mut all_well = true;
    Output::open(args.output.as_deref())?.write(|out| {
        all_well = write(args.format == ListFormat::Json, out)?;
        Ok(())
    })?;
    Ok(if all_well { 0 } else { FAILED })
}

fn code_of(error: &anyhow::Error) -> u8 {
    if error.is::<FormError>()
        || error.is::<CountError>()
        || error.is::<ConfigError>()
        || error.is::<BackendError>()
        || error.is::<SettingsError>()
    {
        return WRONG_USAGE;
    }
    if let Some(SnapshotError::Exited(_)) = error.downcast_ref() {
        return TARGET_GONE;
    }
    match error.downcast_ref::<SessionError>() {
        Some(SessionError::Gone(_) | SessionError::Discover(DiscoverError::Exited { .. })) => {
            TARGET_GONE
        }
        _ => FAILED,
    }
}

fn log_to_stderr(cli: &Cli) {
    let (verbose, quiet) = match &cli.command {
        Command::Attach(args) => (args.trace.verbose, args.trace.quiet),
        Command::Run(args) => (args.trace.verbose, args.trace.quiet),
        Command::Record(args) => (args.verbose, args.quiet),
        Command::Daemon(args) => (args.verbose, false),
        Command::Report(args) => (false, args.quiet),
        Command::Diff(args) => (false, args.quiet),
        Command::Push(args) => (args.verbose, args.quiet),
        Command::Plot(_)
        | Command::Explain(_)
        | Command::Top(_)
        | Command::Ps(_)
        | Command::Doctor(_)
        | Command::Calibrate
        | Command::Mend
        | Command::Completions(_) => (false, false),
    };
    let level = match (verbose, quiet) {
        (true, _) => "memtrace=debug",
        (_, true) => "error",
        _ => "warn",
    };
    let on_screen = matches!(cli.command, Command::Top(_));
    // A logger that is there already is as good.
    let _ = tracing_subscriber::fmt()
        .with_writer(|| screen::log::writer(Messages))
        .with_ansi(!on_screen && color::wanted(std::io::stderr().is_terminal()))
        .with_env_filter(EnvFilter::new(level))
        .with_timer(tracing_subscriber::fmt::time::uptime())
        // It would be told to standard error, which is what has failed, and panic.
        .log_internal_errors(false)
        .try_init();
}
