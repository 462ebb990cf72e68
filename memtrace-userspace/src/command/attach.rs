//! `memtrace attach`: trace running processes until told to stop, then report.

use anyhow::{Context, Result};

use super::family::{Family, Tell};
use super::form::Form;
use super::output::Output;
use super::progress::{Progress, say};
use super::trace::{Stops, check_view, plan_of, report};
use crate::cli::AttachArgs;
use crate::session::Session;

/// Does it. Everything that can be refused is refused before the kernel is touched.
///
/// # Errors
///
/// Anything that keeps the report from being written; see [`crate::session::SessionError`].
pub async fn run(args: &AttachArgs) -> Result<()> {
    check_view(&args.trace.form, &args.trace.probes)?;
    let form = Form::prepare(&args.trace.form, Output::open)?;
    let family = Family::look_at(&args.pids, args.children)?;
    let mut stops = Stops::new().context("signals")?;
    let mut session = Session::open(&plan_of(&args.trace))?;
    let tell = |pid: u32, version: &str| say(format_args!("attached to {pid} (CPython {version})"));
    let tell: Option<Tell<'_>> = (!args.trace.quiet).then_some(&tell);
    let hint = family.attach(&mut session, tell)?;
    if !args.trace.quiet {
        hint.iter().for_each(say);
    }
    let progress = Progress::of_time("tracing", args.trace.duration, args.trace.quiet);
    session.run(stops.or_after(args.trace.duration)).await?;
    drop(progress);
    let traced = session.finish()?;
    report(form, &traced)
}
