//! The screen on a real terminal, in a thread of its own: news in, wishes out.
//!
//! Tracing must not wait for a terminal that takes its time, nor for a file system that hangs while
//! source text is read; so both happen here. What a wish means is the other side's business.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use super::log::Keeping;
use super::model::{Life, Refused, Request, Screen};
use super::terminal::{FullScreen, Input};
use super::view::Palette;
use crate::profile::Profile;
use crate::report::SourceText;
use crate::source::TargetFiles;
use crate::units::Nanos;

/// How often news are looked for while no key is pressed.
const TICK: Duration = Duration::from_millis(50);

/// What the trace has to say.
pub enum News {
    /// A window has closed: the figures, and the files of each process, in the profile's order.
    Window(Profile, Vec<Option<Arc<TargetFiles>>>),
    /// A process that can't be traced.
    Refused(Refused),
    /// Something for the user.
    Message(String),
    /// There will be no further windows, and why.
    Over(String),
}

/// What the user wants of the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// A recording of what was traced so far.
    Save,
}

/// Shows the screen until the user ends it or the other end of `news` is dropped. The terminal is
/// then as it was.
///
/// # Errors
///
/// When the terminal can't be used, or is gone.
pub fn show(
    screen: Screen,
    palette: Palette,
    news: &Receiver<News>,
    wish: impl Fn(Wish),
    log: &Keeping,
) -> io::Result<()> {
    let mut terminal = FullScreen::enter(palette)?;
    let mut show = Show { screen, files: HashMap::new(), last: Instant::now(), changed: true };
    loop {
        loop {
            match news.try_recv() {
                Ok(news) => show.learn(news),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        if let Some(line) = log.news() {
            show.learn(News::Message(line));
        }
        show.look_at_the_clock();
        if std::mem::take(&mut show.changed) {
            terminal.draw(&mut show.screen)?;
            panic_if_tested("screen");
        }
        let input = terminal.next(TICK)?;
        show.changed |= input != Input::Nothing;
        let Input::Key(key) = input else { continue };
        match show.screen.press(key) {
            Some(Request::Quit) => return Ok(()),
            Some(Request::Redraw) => terminal.forget()?,
            Some(Request::Save) => wish(Wish::Save),
            Some(Request::ReadSource(life, file)) => {
                // The page says that it reads, should that take its time.
                terminal.draw(&mut show.screen)?;
                show.read_source(life, &file);
            }
            None => {}
        }
    }
}

struct Show {
    screen: Screen,
    files: HashMap<Life, Arc<TargetFiles>>,
    /// When the last window closed.
    last: Instant,
    /// Whether there is something new to draw.
    changed: bool,
}

impl Show {
    /// A second more of silence is something new.
    fn look_at_the_clock(&mut self) {
        let now = Nanos(self.last.elapsed().as_nanos() as u64);
        self.changed |= now.seconds().floor() > self.screen.silence().seconds().floor();
        self.screen.waited(now);
    }

    fn learn(&mut self, news: News) {
        self.changed = true;
        match news {
            News::Window(profile, files) => {
                let lives = profile.processes.iter().map(Life::of);
                self.files = lives.zip(files).filter_map(|(life, it)| Some((life, it?))).collect();
                self.screen.take(Arc::new(profile));
                self.last = Instant::now();
            }
            News::Refused(refused) => self.screen.refuse(refused),
            News::Message(message) => self.screen.say(&message),
            News::Over(why) => self.screen.end(&why),
        }
    }

    fn read_source(&mut self, life: Life, file: &str) {
        let text = match self.files.get(&life) {
            Some(files) => files.text(file),
            None => SourceText::Unreadable("the target's root could not be opened".to_owned()),
        };
        self.screen.source(life, file, text);
    }
}

/// Panics when a test wants to see what becomes of the terminal then.
pub(crate) fn panic_if_tested(place: &str) {
    #[cfg(debug_assertions)]
    if std::env::var_os("MEMTRACE_TEST_PANIC").is_some_and(|wanted| wanted == place) {
        panic!("as the test wants it");
    }
    let _ = place;
}
