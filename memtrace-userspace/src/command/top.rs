//! `memtrace top`: trace, and show on a live screen what grows while it grows.
//!
//! This thread traces; the screen ([`display`]) and what can be saved ([`spool`]) have threads of their
//! own, so that none waits for another. What is drawn, and what keys do, is not decided here.

use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::display::Display;
use self::spool::Spool;
use super::color;
use super::family::Family;
use super::progress::say;
use super::sources::SourceKeeper;
use super::trace::{Stops, plan, restore};
use crate::cli::TopArgs;
use crate::history::Entry;
use crate::kernel::support;
use crate::profile::Profile;
use crate::python::processes::{self, Finding, PythonProcess};
use crate::python::{Images, Interpreter};
use crate::session::{Plan, Session, SessionError, Step, Traced};
use crate::source::TargetFiles;
use crate::top::model::{Refused, Screen};
use crate::top::show::{News, Wish, panic_if_tested};
use crate::top::terminal::FullScreen;
use crate::top::view::Palette;
use crate::units::Nanos;

mod display;
mod spool;

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
    let mut candidates = Candidates::find(&args.pids, args.children)?;
    let ends = Ends::new().context("signals")?;
    let plan = Plan { window: args.window, keep_entries: true, ..plan(&args.probes, false) };
    let mut session = Session::open(&plan)?;
    let hint = candidates.attach(&mut session)?;

    let mut screen = Screen::new(candidates.refused);
    screen.expect_every(Nanos(args.window.as_nanos() as u64));
    let spool = Spool::start(session.head())?;
    let display = Display::start(screen, Palette::new(color::wanted(true)))?;
    // From here on nothing returns before the terminal is put back.
    let mut user = User { display, spool, sources: SourceKeeper::default(), ends };
    user.remark(hint);
    let traced = trace(session, &mut user).await;
    let over = match &traced {
        Ok(Some(_)) => None,
        Ok(None) => Some("all targets have ended".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(over) = over {
        // The last picture stays until the user has seen enough of it.
        user.display.tell(News::Over(over));
        user.attend().await;
    }
    let closed = user.display.close().await;
    restore();
    let finished = traced.and_then(|session| session.map(Session::finish).transpose());
    for saved in user.spool.close() {
        say(&saved);
    }
    finished?;
    closed
}

/// Traces and tells the user. When the user has seen enough, the session is given back; when no
/// target is left, it is finished.
async fn trace(mut session: Session, user: &mut User) -> Result<Option<Session>, SessionError> {
    loop {
        let step = session.step(&mut pin!(user.attend())).await?;
        match step {
            Step::Window => {
                user.tell(session.profile(), session.files(), session.take_entries());
                panic_if_tested("trace");
            }
            Step::Asked => return Ok(Some(session)),
            Step::NoTargets => {
                let Traced { profile, files, entries, .. } = session.finish()?;
                user.tell(profile, files, entries);
                return Ok(None);
            }
        }
    }
}

/// Whoever sits before the screen.
struct User {
    display: Display,
    spool: Spool,
    sources: SourceKeeper,
    ends: Ends,
}

impl User {
    /// The figures of a window, and what they were made from since the last one.
    fn tell(&mut self, profile: Profile, files: Vec<Option<Arc<TargetFiles>>>, new: Vec<Entry>) {
        let new = self.sources.with_sources(new, &files);
        self.display.tell(News::Window(profile, files));
        let remark = self.spool.add(new);
        self.remark(remark);
    }

    fn remark(&mut self, remark: Option<String>) {
        if let Some(remark) = remark {
            self.display.tell(News::Message(remark));
        }
    }

    /// Does what the user wants, until that is to end. Nothing is lost when this is given up and
    /// begun again.
    async fn attend(&mut self) {
        loop {
            let remark = tokio::select! {
                wish = self.display.wish() => match wish {
                    Some(Wish::Save) => self.spool.save(),
                    None => return,
                },
                Some(said) = self.spool.said() => Some(said),
                () = self.ends.signal() => return,
            };
            self.remark(remark);
        }
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
#[derive(Default)]
struct Candidates {
    named: Option<Family>,
    /// Without names, all that can be.
    found: Vec<(u32, Interpreter)>,
    refused: Vec<Refused>,
}

impl Candidates {
    /// The processes named; without any, all that can be traced.
    fn find(pids: &[u32], children: bool) -> Result<Self> {
        if !pids.is_empty() {
            let named = Some(Family::look_at(pids, children)?);
            return Ok(Self { named, ..Self::default() });
        }
        support::require()?;
        let all = processes::list(&mut Images::new()).context("the processes can't be listed")?;
        let all = Self::of(all);
        if all.found.is_empty() { bail!(NOBODY) } else { Ok(all) }
    }

    fn of(all: Vec<PythonProcess>) -> Self {
        let mut candidates = Self::default();
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

    /// Attaches to them. The sentence is about who was not named and might have been.
    fn attach(&mut self, session: &mut Session) -> Result<Option<String>> {
        if let Some(family) = self.named.take() {
            return family.attach(session, None);
        }
        let mut attached = 0;
        for (pid, interpreter) in self.found.drain(..) {
            match session.attach(pid, interpreter) {
                Ok(_) => attached += 1,
                Err(SessionError::Gone(_)) => {}
                Err(error) => {
                    let command = processes::command(pid).unwrap_or_default();
                    self.refused.push(Refused { pid, command, why: error.to_string() });
                }
            }
        }
        if attached == 0 { bail!(NOBODY) } else { Ok(None) }
    }
}
