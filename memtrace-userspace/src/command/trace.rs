//! What commands that trace share: the targets, the plan, the stop, the report.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::output::Output;
use crate::cli::{Bind, Format, ProbeArgs, TraceArgs};
use crate::kernel::Options;
use crate::python::{Images, Interpreter};
use crate::report::{SourceTexts, json, table};
use crate::session::{Binding, Plan, Traced, look_at};
use crate::source;

/// Length of a window of time where nobody asks for another.
const WINDOW: Duration = Duration::from_secs(1);

/// What is meant by what was typed.
pub(super) fn plan(args: &ProbeArgs, verbose: bool) -> Plan {
    Plan {
        follow: !args.no_follow,
        binding: match args.bind {
            Bind::Slot => Binding::Auto,
            Bind::FrameEval => Binding::FrameEvaluation,
        },
        uprobes: !args.no_uprobes,
        window: WINDOW,
        keep_entries: false,
        options: Options { ring_bytes: args.ring_bytes, verbose },
    }
}

/// Looks at processes, each once. One that can't be traced is an error.
pub(super) fn look_at_all(pids: &[u32]) -> Result<Vec<(u32, Interpreter)>> {
    let pids: BTreeSet<u32> = pids.iter().copied().collect();
    let mut images = Images::new();
    pids.into_iter().map(|pid| Ok((pid, look_at(pid, &mut images)?))).collect()
}

/// The signals that end tracing. After the first one their usual effect is back, so that a second
/// Ctrl-C ends memtrace.
pub(super) struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Ready when tracing shall end: a signal, or the time is over.
    pub(super) async fn or_after(&mut self, args: &TraceArgs) {
        let time = async {
            match args.duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.signal() => restore(),
            () = time => {}
        }
    }

    /// Ready when a signal has come. Its usual effect is not back then.
    pub(super) async fn signal(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Gives SIGINT and SIGTERM their default effect back.
pub(super) fn restore() {
    for number in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the default action is no handler of ours.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
}

/// Whether the user has nothing against colours.
pub(super) fn wants_color() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes the report.
pub(super) fn report(output: Output, args: &TraceArgs, traced: &Traced) -> Result<()> {
    let width = output.terminal_width();
    let color = width.is_some() && wants_color();
    let options = table::TableOptions {
        top_lines: args.limit,
        columns: args.columns.clone(),
        width: width.unwrap_or(table::TableOptions::default().width),
        color,
        ..Default::default()
    };
    output.write(|out: &mut dyn Write| {
        match args.format {
            Format::Json => json::write(out, &traced.profile)?,
            Format::Table => {
                let sources: SourceTexts = source::gather(&traced.profile, &options, &|index| {
                    traced.files.get(index)?.as_deref()
                });
                table::write(out, &traced.profile, &sources, &options)?;
            }
        }
        Ok(())
    })
}
