//! `memtrace run`: start a command, trace it from its first instruction, report at its end.

use anyhow::Result;

use super::form::Form;
use super::output::Output;
use super::started::Started;
use super::trace::{check_view, plan, report};
use crate::cli::RunArgs;
use crate::session::Session;

/// Does it; returns the command's own exit code.
///
/// # Errors
///
/// Anything that keeps the command from being started or the report from being written.
pub async fn run(args: &RunArgs) -> Result<u8> {
    check_view(&args.trace.form, &args.trace.probes)?;
    let form = Form::prepare(&args.trace.form, Output::beside_a_command)?;
    let mut session = Session::open(&plan(&args.trace.probes, args.trace.verbose))?;
    let mut started = Started::begin(&mut session, &args.command)?;
    session.run(started.until_end(args.trace.duration)).await?;
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
