//! What is to be seen: profiles and key presses in, rows out.
//!
//! A [`Screen`] gets one profile a window and the keys that were pressed, and keeps of the past what
//! rates and trends need ([`recent`]). It draws nothing, and what it can't do itself (end, read
//! source, save) it asks for with a [`Request`]. Time comes in with the profiles; it has no clock.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::profile::{ProcessProfile, Profile};
use crate::report::SourceText;
use crate::units::Nanos;

pub mod callers;
pub mod choice;
pub mod key;
pub mod margin;
pub mod natives;
mod press;
pub mod processes;
pub mod recent;
pub mod rows;
pub mod totals;

pub use choice::{Choice, Measure, Order, Scope};
pub use key::{Key, Request};
pub use natives::{NativeName, NativeSum, Natives};
pub use processes::{ProcessRow, Refused};
pub use recent::{Life, Recent, Subject};
pub use rows::{Below, Fold, Row, RowKey, Rows};

/// A trace that says nothing for so many windows, and for so long, is worth a word.
const STALE: (u64, Nanos) = (3, Nanos(3_000_000_000));

/// Source texts that are kept.
const SOURCES: usize = 16;

/// A moment of the trace, and what led there.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The newest profile.
    pub profile: Arc<Profile>,
    /// The windows before it.
    pub recent: Recent,
    /// Native functions, with `--native`.
    pub natives: Arc<Natives>,
}

impl Picture {
    /// The process with this life, if it has one in this picture.
    #[must_use]
    pub fn process(&self, life: Life) -> Option<&ProcessProfile> {
        self.profile.processes.iter().find(|process| Life::of(process) == life)
    }
}

/// Which of the two tables the arrows move in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Focus {
    /// Lines.
    #[default]
    Lines,
    /// Processes.
    Processes,
}

/// What covers the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// The keys.
    Help,
    /// A process in full, and a line of it.
    Detail {
        /// The process.
        life: Life,
        /// The row that was selected.
        row: Option<RowKey>,
    },
    /// Source text.
    Source {
        /// Whose.
        life: Life,
        /// `co_filename`
        file: String,
        /// The line that the user is at, from 1.
        line: u32,
        /// Columns that are scrolled out at the left.
        left: usize,
    },
}

/// Everything that is seen, and everything that decides it.
#[derive(Debug)]
pub struct Screen {
    live: Option<Picture>,
    /// What is shown while paused.
    frozen: Option<Picture>,
    refused: Vec<Refused>,
    choice: Choice,
    focus: Focus,
    /// `None`: the first row, whichever that is.
    selected: Option<RowKey>,
    selected_process: Option<Life>,
    opened: HashSet<RowKey>,
    page: Option<Page>,
    /// First line of a page that is shown; [`crate::top::view`] corrects it when there are fewer.
    pub(super) scroll: usize,
    /// Rows that a page up or down moves by; set by [`crate::top::view`].
    pub(super) page_rows: usize,
    /// The filter as it was before the user began to type a new one.
    typing: Option<String>,
    message: Option<String>,
    sources: BTreeMap<(Life, String), SourceText>,
    waited: Nanos,
    /// When the last profile is old.
    stale_after: Nanos,
    ended: Option<String>,
}

impl Screen {
    /// A screen without a profile yet. `refused` are processes that can't be traced.
    #[must_use]
    pub fn new(refused: Vec<Refused>) -> Self {
        Self {
            live: None,
            frozen: None,
            refused,
            choice: Choice::default(),
            focus: Focus::default(),
            selected: None,
            selected_process: None,
            opened: HashSet::new(),
            page: None,
            scroll: 0,
            page_rows: 1,
            typing: None,
            message: None,
            sources: BTreeMap::new(),
            waited: Nanos(0),
            stale_after: STALE.1,
            ended: None,
        }
    }

    /// Takes in the profile at the end of a window.
    pub fn take(&mut self, profile: Arc<Profile>) {
        let mut recent = self.live.take().map_or_else(Recent::default, |live| live.recent);
        recent.take(&profile);
        let natives = Arc::new(Natives::of(&profile));
        self.live = Some(Picture { profile, recent, natives });
        self.waited = Nanos(0);
    }

    /// Says how often there will be a profile.
    pub fn expect_every(&mut self, window: Nanos) {
        let (windows, least) = STALE;
        self.stale_after = Nanos(window.0.saturating_mul(windows)).max(least);
    }

    /// So long ago was the last profile.
    pub fn waited(&mut self, since: Nanos) {
        self.waited = since;
    }

    /// There will be no further profiles.
    pub fn end(&mut self, why: &str) {
        self.ended = Some(why.to_owned());
    }

    /// The answer to [`Request::ReadSource`].
    pub fn source(&mut self, life: Life, file: &str, text: SourceText) {
        if self.sources.len() >= SOURCES {
            self.sources.clear();
        }
        self.sources.insert((life, file.to_owned()), text);
    }

    /// Tells the user something, until the next key.
    pub fn say(&mut self, message: &str) {
        self.message = Some(message.to_owned());
    }

    /// A process that can't be traced after all.
    pub fn refuse(&mut self, refused: Refused) {
        self.refused.push(refused);
    }

    /// What is shown: the newest profile, or the one at which the user paused.
    #[must_use]
    pub fn picture(&self) -> Option<&Picture> {
        self.frozen.as_ref().or(self.live.as_ref())
    }

    /// Whether the user has paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    /// Time since the last profile.
    #[must_use]
    pub fn silence(&self) -> Nanos {
        self.waited
    }

    /// Whether that is longer than it should be.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.waited >= self.stale_after
    }

    /// Why there are no further profiles.
    #[must_use]
    pub fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// The rows of the table of lines.
    #[must_use]
    pub fn rows(&self) -> Rows {
        self.picture()
            .map(|picture| rows::rows(picture, &self.choice, &self.opened))
            .unwrap_or_default()
    }

    /// Which of these rows is the selected one.
    #[must_use]
    pub fn selected(&self, rows: &[Row]) -> usize {
        let wanted = self.selected.as_ref();
        let found = wanted.and_then(|key| rows.iter().position(|row| row.key == *key));
        found.unwrap_or(0)
    }

    /// The rows of the table of processes.
    #[must_use]
    pub fn processes(&self) -> Vec<ProcessRow<'_>> {
        self.picture()
            .map(|picture| processes::process_rows(picture, &self.choice))
            .unwrap_or_default()
    }

    /// Which of these rows is the selected one.
    #[must_use]
    pub fn selected_process(&self, rows: &[ProcessRow<'_>]) -> usize {
        let wanted = self.selected_process;
        let found = wanted.and_then(|life| rows.iter().position(|row| row.life == life));
        found.unwrap_or(0)
    }

    /// Processes that are not traced.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// What was chosen.
    #[must_use]
    pub fn choice(&self) -> &Choice {
        &self.choice
    }

    /// Where the arrows move.
    #[must_use]
    pub fn focus(&self) -> Focus {
        self.focus
    }

    /// What covers the tables.
    #[must_use]
    pub fn page(&self) -> Option<&Page> {
        self.page.as_ref()
    }

    /// Whether the user types a filter.
    #[must_use]
    pub fn is_typing(&self) -> bool {
        self.typing.is_some()
    }

    /// What the user is told.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The source text of a file, once it is there.
    #[must_use]
    pub fn source_text(&self, life: Life, file: &str) -> Option<&SourceText> {
        self.sources.get(&(life, file.to_owned()))
    }
}
