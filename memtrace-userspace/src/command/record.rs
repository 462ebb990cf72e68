//! `memtrace record`: trace into a file that every report can be made of later.
//!
//! What has happened is written as each window closes, so that a crash costs no more than the open
//! one. With `--on-oom` it is kept in memory instead, and written only when a process was killed.

use anyhow::{Context, Result};

use self::file::RecordingFile;
use self::keeper::Keeper;
use super::family::{Family, Tell};
use super::progress::{Progress, say};
use super::started::Started;
use super::trace::{Stops, plan};
use crate::cli::RecordArgs;
use crate::session::{Plan, Session, Step, Traced};

mod arm;
mod file;
mod keeper;
mod syncing;

/// Does it; returns the exit code: a command's own where there is one.
///
/// # Errors
///
/// Anything that keeps the recording from being made whole; what was saved is told.
pub async fn run(args: &RecordArgs) -> Result<u8> {
    let file = RecordingFile::create(&args.output, args.force)?;
    if args.command.is_empty() {
        of_processes(args, file).await
    } else {
        of_command(args, file).await
    }
}

async fn of_processes(args: &RecordArgs, file: RecordingFile) -> Result<u8> {
    let mut family = Family::look_at(&args.pids, args.children)?;
    let mut stops = Stops::new().context("signals")?;
    if let Some(condition) = arm::Condition::of(args) {
        let armed = tokio::select! {
            armed = condition.holds(&args.pids) => armed?,
            () = stops.signal() => {
                if !args.quiet {
                    say("the condition never held, so nothing is recorded");
                }
                return Ok(0);
            }
        };
        if !args.quiet {
            say(&armed);
        }
        // The interpreter may have come a long way since it was looked at first.
        family = Family::look_at(&args.pids, args.children)?;
    }
    let mut session = Session::open(&plan_of(args))?;
    let tell = |pid: u32, version: &str| {
        say(format_args!("recording {pid} (CPython {version}) to {}", args.output.display()));
    };
    let tell: Option<Tell<'_>> = (!args.quiet).then_some(&tell);
    let hint = family.attach(&mut session, tell)?;
    if !args.quiet {
        hint.iter().for_each(say);
    }
    let mut keeper = Keeper::begin(file, args.on_oom, session.head())?;
    let progress = Progress::of_time("recording", args.duration, args.quiet);
    let traced = trace(session, stops.or_after(args.duration), &mut keeper).await?;
    drop(progress);
    end(args, keeper, &traced)?;
    Ok(0)
}

async fn of_command(args: &RecordArgs, file: RecordingFile) -> Result<u8> {
    let mut session = Session::open(&plan_of(args))?;
    let mut keeper = Keeper::begin(file, args.on_oom, session.head())?;
    let mut started = Started::begin(&mut session, &args.command, &[])?;
    let traced = trace(session, started.until_end(args.duration), &mut keeper).await;
    let kept = traced.and_then(|traced| end(args, keeper, &traced));
    // A recording that fails is no reason to disturb the command.
    let code = started.code().await;
    kept.map(|()| code)
}

fn plan_of(args: &RecordArgs) -> Plan {
    let (window, calls) = (args.window, args.calls);
    Plan { window, calls, keep_entries: true, ..plan(&args.probes, args.verbose) }
}

/// Traces, and hands what happened to the keeper window by window.
async fn trace(
    mut session: Session,
    stop: impl Future<Output = ()>,
    keeper: &mut Keeper,
) -> Result<Traced> {
    let mut stop = std::pin::pin!(stop);
    loop {
        let step = session.step(&mut stop).await?;
        let (entries, files) = (session.take_entries(), session.files());
        keeper.keep(entries, &files)?;
        if step != Step::Window {
            break;
        }
    }
    let mut traced = session.finish()?;
    keeper.keep(std::mem::take(&mut traced.entries), &traced.files)?;
    Ok(traced)
}

fn end(args: &RecordArgs, keeper: Keeper, traced: &Traced) -> Result<()> {
    let saved = keeper.finish(traced.killed)?;
    if args.quiet {
        return Ok(());
    }
    match saved {
        Some(saved) => say(format_args!(
            "{} windows in {} bytes of {}; `memtrace report {}` shows them",
            saved.windows,
            saved.bytes,
            args.output.display(),
            args.output.display()
        )),
        None => say("no process was killed, so nothing is kept"),
    }
    Ok(())
}
