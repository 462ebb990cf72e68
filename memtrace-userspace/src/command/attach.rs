//! `memtrace attach`: trace running processes until told to stop, then report.

use anyhow::{Context, Result};

use super::form::Form;
use super::output::Output;
use super::progress::Progress;
use super::trace::{Stops, plan, report};
use crate::cli::AttachArgs;
use crate::python::Images;
use crate::session::{Session, look_at};

/// Does it. Everything that can be refused is refused before the kernel is touched.
///
/// # Errors
///
/// Anything that keeps the report from being written; see [`crate::session::SessionError`].
pub async fn run(args: &AttachArgs) -> Result<()> {
    let form = Form::prepare(&args.trace.form, Output::open)?;
    let mut pids = args.pids.clone();
    pids.sort_unstable();
    pids.dedup();
    let mut images = Images::new();
    let mut found = Vec::new();
    for pid in pids {
        found.push((pid, look_at(pid, &mut images)?));
    }
    let mut stops = Stops::new().context("signals")?;
    let mut session = Session::open(&plan(&args.trace))?;
    for (pid, interpreter) in found {
        let version = session.attach(pid, interpreter)?;
        if !args.trace.quiet {
            eprintln!("memtrace: attached to {pid} (CPython {version})");
        }
    }
    let progress = Progress::of_time("tracing", args.trace.duration, args.trace.quiet);
    session.run(stops.or_after(&args.trace)).await?;
    drop(progress);
    let traced = session.finish()?;
    report(form, &traced)
}
