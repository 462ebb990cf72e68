//! `memtrace daemon`: the whole machine, until a signal ends it.
//!
//! What takes privileges is done first; then they are given up, and only then other threads begin.

use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

use super::progress::say;
use super::trace::{Stops, restore};
use crate::cli::DaemonArgs;
use crate::daemon::board::Board;
use crate::daemon::config::Config;
use crate::daemon::container::Names;
use crate::daemon::metrics::Bound;
use crate::daemon::store::Store;
use crate::daemon::watch::{Watch, bounds, lock};
use crate::daemon::web::Server;
use crate::daemon::{privileges, push};
use crate::kernel::Options;
use crate::session::{Binding, Plan, Session, Step};

/// From the signal to the end.
const ENDING: Duration = Duration::from_secs(1);

/// Does it.
///
/// # Errors
///
/// A configuration that can't be meant, or anything that keeps it from tracing or serving.
pub async fn run(args: &DaemonArgs) -> Result<()> {
    let config = read(args.config.as_deref())?;
    if args.check {
        if config.http.enabled {
            Server::check(&config.http)?;
        }
        push::settings(&config)?;
        say("the configuration is sound");
        return Ok(());
    }
    let mut signals = Signals::new().context("signals")?;
    privileges::raise_file_limit();
    let server = match config.http.enabled {
        true => Some(Server::prepare(&config.http)?),
        false => None,
    };
    let stores = push::settings(&config)?;
    let mut session = Session::open(&plan(&config, args.verbose))?;
    session.set_most_stacks(config.limits.stacks);
    privileges::drop_the_rest().context("privileges that are not needed can't be given up")?;

    let store = Store::new(session.head().clone(), bounds(&config));
    let board = Arc::new(Mutex::new(Board::new(store, Names::below(Path::new("/")))));
    if let Some(server) = server {
        let address = server.address().context("the server's address")?;
        say(format_args!("listening on {}://{address}", server.scheme()));
        let bound = Bound { lines: config.metrics.lines, groups: config.metrics.groups };
        server.start(Arc::clone(&board), bound)?;
    }
    let (sinks, meters) = push::start(&stores)?;
    lock(&board).stores = meters;
    let mut watch = Watch::new(config, Arc::clone(&board), sinks);
    // Threads that were started before are not concerned.
    session.lead();
    watch.look_around(&mut session)?;
    say("watching all Python processes; SIGHUP reads the configuration again");
    loop {
        let mut wish = None;
        let step = session.step(&mut pin!(async { wish = Some(signals.next().await) })).await?;
        match step {
            Step::Window | Step::NoTargets => watch.window(&mut session)?,
            Step::Asked if wish == Some(Wish::Reload) => match read(args.config.as_deref()) {
                Ok(config) => {
                    watch.reload(&mut session, config)?;
                    say("the configuration was read again");
                }
                Err(error) => warn!("the configuration stays as it was: {error:#}"),
            },
            Step::Asked => break,
        }
    }
    restore();
    watch.finish(session, ENDING)?;
    Ok(())
}

fn read(file: Option<&Path>) -> Result<Config> {
    match file {
        None => Ok(Config::default()),
        Some(file) => Ok(Config::read(file)?),
    }
}

fn plan(config: &Config, verbose: bool) -> Plan {
    Plan {
        follow: true,
        binding: Binding::Auto,
        uprobes: config.trace.uprobes,
        window: config.trace.window.0,
        keep_entries: true,
        machine: true,
        lens: None,
        max_overhead: config.trace.max_overhead.0,
        calls: false,
        options: Options {
            ring_bytes: config.trace.ring.0 as u32,
            native: false,
            lens: false,
            verbose,
        },
    }
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    End,
    Reload,
}

struct Signals {
    stops: Stops,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { stops: Stops::new()?, hangup: signal(SignalKind::hangup())? })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            () = self.stops.signal() => Wish::End,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }
}
