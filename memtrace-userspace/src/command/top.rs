//! `memtrace top`: trace, and show on a live screen what grows while it grows.
//!
//! This thread traces; the screen has one of its own ([`display`]), so that neither waits for the
//! other. What is drawn, and what keys do, is not decided here.

use std::pin::pin;

use anyhow::{Context, Result, bail, ensure};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::display::Display;
use super::color;
use super::trace::{Stops, look_at_all, plan, restore};
use crate::cli::TopArgs;
use crate::kernel::support;
use crate::python::processes::{self, Finding, PythonProcess};
use crate::python::{Images, Interpreter};
use crate::session::{Plan, Session, SessionError, Step};
use crate::top::model::{Refused, Screen};
use crate::top::show::{News, Wish, panic_if_tested};
use crate::top::terminal::FullScreen;
use crate::top::view::Palette;
use crate::units::Nanos;

mod display;

const NO_TERMINAL: &str = "`memtrace top` draws on a terminal, and standard output is none that it can \
     draw on; `memtrace attach PID` prints a report instead";

const NOBODY: &str = "no Python process that can be traced is running here; `memtrace ps` lists \
     those that can't, with the reason";

/// Does it. Everything that can be refused is refused before the kernel is touched.
///
/// # Errors
///
/// There is no terminal, there is nothing to trace ([`SessionError`]), or one of the two fails.
pub async fn run(args: &TopArgs) -> Result<()> {
    ensure!(FullScreen::is_possible(), NO_TERMINAL);
    let mut candidates = Candidates::find(&args.pids)?;
    let mut stops = Ends::new().context("signals")?;
    let plan = Plan { window: args.window, ..plan(&args.probes, false) };
    let mut session = Session::open(&plan)?;
    candidates.attach(&mut session)?;

    let mut screen = Screen::new(candidates.refused);
    screen.expect_every(Nanos(args.window.as_nanos() as u64));
    let mut display = Display::start(screen, Palette::new(color::wanted(true)))?;
    let watched = watch(&mut session, &mut display, &mut stops).await;
    let over = match watched {
        Ok(Step::NoTargets) => {
            let traced = session.finish()?;
            display.tell(News::Window(traced.profile, traced.files));
            Ok("all targets have ended".to_owned())
        }
        Ok(Step::Asked | Step::Window) => {
            display.close().await?;
            restore();
            session.finish()?;
            return Ok(());
        }
        Err(error) => {
            drop(session);
            Err(error)
        }
    };
    // The last picture stays until the user has seen enough of it.
    display.tell(News::Over(over.as_ref().map_or_else(ToString::to_string, Clone::clone)));
    while let Some(Wish::Save) = wish(&mut display, &mut stops).await {}
    display.close().await?;
    Ok(over.map(drop)?)
}

/// Traces and tells the screen, until the user ends it or no target is left.
async fn watch(
    session: &mut Session,
    display: &mut Display,
    ends: &mut Ends,
) -> Result<Step, SessionError> {
    loop {
        let mut wanted = None;
        let step = {
            let asked = async { wanted = Some(wish(display, ends).await) };
            session.step(&mut pin!(asked)).await?
        };
        match (step, wanted) {
            (Step::Asked, Some(Some(Wish::Save))) => {}
            (Step::Window, _) => {
                display.tell(News::Window(session.profile(), session.files()));
                panic_if_tested("trace");
            }
            (step, _) => return Ok(step),
        }
    }
}

/// What the user wants; nothing more once the screen or memtrace shall end.
async fn wish(display: &mut Display, ends: &mut Ends) -> Option<Wish> {
    tokio::select! {
        wish = display.wish() => wish,
        () = ends.signal() => None,
    }
}

/// The signals that end it.
struct Ends {
    stops: Stops,
    hangup: Signal,
}

impl Ends {
    fn new() -> std::io::Result<Self> {
        Ok(Self { stops: Stops::new()?, hangup: signal(SignalKind::hangup())? })
    }

    async fn signal(&mut self) {
        tokio::select! {
            () = self.stops.signal() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// What is to be traced.
struct Candidates {
    found: Vec<(u32, Interpreter)>,
    /// Whether one that can't be traced keeps the others from it.
    strict: bool,
    refused: Vec<Refused>,
}

impl Candidates {
    /// The processes named; without any, all that can be traced.
    fn find(pids: &[u32]) -> Result<Self> {
        if !pids.is_empty() {
            return Ok(Self { found: look_at_all(pids)?, strict: true, refused: Vec::new() });
        }
        support::require()?;
        let all = processes::list(&mut Images::new()).context("the processes can't be listed")?;
        let all = Self::of(all);
        if all.found.is_empty() { bail!(NOBODY) } else { Ok(all) }
    }

    fn of(all: Vec<PythonProcess>) -> Self {
        let mut candidates = Self { found: Vec::new(), strict: false, refused: Vec::new() };
        for PythonProcess { pid, command, finding, .. } in all {
            let why = match finding {
                Finding::Traceable(interpreter) => {
                    candidates.found.push((pid, *interpreter));
                    continue;
                }
                Finding::Refused(refusal) => refusal.to_string(),
                Finding::Unknown(error) => error.to_string(),
            };
            candidates.refused.push(Refused { pid, command, why });
        }
        candidates
    }

    fn attach(&mut self, session: &mut Session) -> Result<()> {
        let mut attached = 0;
        for (pid, interpreter) in self.found.drain(..) {
            match session.attach(pid, interpreter) {
                Ok(_) => attached += 1,
                Err(error) if self.strict => return Err(error.into()),
                Err(SessionError::Gone(_)) => {}
                Err(error) => {
                    let command = processes::command(pid).unwrap_or_default();
                    self.refused.push(Refused { pid, command, why: error.to_string() });
                }
            }
        }
        if attached == 0 { bail!(NOBODY) } else { Ok(()) }
    }
}
