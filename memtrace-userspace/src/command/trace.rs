//! What commands that trace share: the targets, the plan, the stop, the report.

use std::time::Duration;

use anyhow::Result;
use memtrace_common::limits::DEFAULT_RING_BYTES;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::form::{Form, FormError};
use crate::cli::{Bind, FormArgs, LensKind, ProbeArgs, TraceArgs};
use crate::kernel::Options;
use crate::session::{Binding, LensPlan, Plan, Traced};
use crate::source;

/// Length of a window of time where nobody asks for another.
const WINDOW: Duration = Duration::from_secs(1);

/// What the allocator lens may take of a target's time where nobody says otherwise.
const MAX_OVERHEAD: f64 = 0.05;

/// What is meant by what was typed.
pub(super) fn plan(args: &ProbeArgs, verbose: bool) -> Plan {
    let lens = args.lens.lens == Some(LensKind::Allocator);
    Plan {
        follow: !args.no_follow,
        binding: match args.bind {
            Bind::Slot => Binding::Auto,
            Bind::FrameEval => Binding::FrameEvaluation,
        },
        uprobes: !args.no_uprobes,
        calls: false,
        window: WINDOW,
        keep_entries: false,
        machine: false,
        lens: lens.then_some(LensPlan {
            objects: args.lens.objects,
            max_overhead: (!args.lens.exact)
                .then_some(args.lens.max_overhead.unwrap_or(MAX_OVERHEAD)),
        }),
        max_overhead: if lens { None } else { args.lens.max_overhead },
        options: Options { ring_bytes: ring_bytes(args), native: args.native, verbose, lens },
    }
}

/// Pieces of stacks are 100 times as long as other records: a program that starts has thousands.
fn ring_bytes(args: &ProbeArgs) -> u32 {
    match args.ring_bytes {
        DEFAULT_RING_BYTES if args.native => 4 * DEFAULT_RING_BYTES,
        bytes => bytes,
    }
}

/// Views of the allocator lens want the lens.
pub(super) fn check_view(form: &FormArgs, probes: &ProbeArgs) -> Result<(), FormError> {
    let lens = probes.lens.lens == Some(LensKind::Allocator);
    match (form.leaks, form.temporary) {
        (true, _) if !lens => Err(FormError::NeedsLens { option: "--leaks" }),
        (_, true) if !lens => Err(FormError::NeedsLens { option: "--temporary" }),
        _ => Ok(()),
    }
}

/// The plan of `attach` and `run`.
pub(super) fn plan_of(args: &TraceArgs) -> Plan {
    Plan { calls: args.calls, ..plan(&args.probes, args.verbose) }
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
    pub(super) async fn or_after(&mut self, duration: Option<Duration>) {
        let time = async {
            match duration {
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

/// Writes the report.
pub(super) fn report(form: Form, traced: &Traced) -> Result<()> {
    form.write(&traced.profile, |options| {
        source::gather(&traced.profile, options, &|index| traced.files.get(index)?.as_deref())
    })
}
