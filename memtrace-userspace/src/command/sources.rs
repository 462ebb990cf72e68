//! Source text for a recording: each function's lines, once, when it first shows up in a window.
//!
//! A recording outlives its process and is read on other machines; the text as the target saw it is
//! to be had now or never.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::history::Entry;
use crate::history::entry::{Function, Names, PlaceId, Source, SpaceId, StackName, Window};
use crate::report::SourceText;
use crate::source::TargetFiles;

/// The longest function whose text is kept, in lines.
const MOST_LINES: u32 = 2000;

/// Which functions there are, and whose text was kept.
#[derive(Default)]
pub(crate) struct SourceKeeper {
    texts: Vec<String>,
    functions: Vec<Function>,
    /// By place: its function.
    places: Vec<u32>,
    stacks: Vec<Vec<PlaceId>>,
    /// By space: its position in the order of beginnings.
    spaces: HashMap<SpaceId, usize>,
    /// Functions and stacks by the files that they were read from: workers share their parent's.
    kept: HashSet<(usize, u32)>,
    seen: HashSet<(usize, u32)>,
}

impl SourceKeeper {
    /// The entries, each followed by the text of what is new in it. Every entry must pass here, in
    /// order. `files` are those of the processes, in the order in which they began.
    pub(crate) fn with_sources(
        &mut self,
        entries: Vec<Entry>,
        files: &[Option<Arc<TargetFiles>>],
    ) -> Vec<Entry> {
        let mut all = Vec::with_capacity(entries.len());
        for entry in entries {
            let sources = self.of(&entry, files);
            all.push(entry);
            all.extend(sources.into_iter().map(Entry::Source));
        }
        all
    }

    fn of(&mut self, entry: &Entry, files: &[Option<Arc<TargetFiles>>]) -> Vec<Source> {
        match entry {
            Entry::Names(names) => self.learn(names),
            Entry::Began(began) => {
                self.spaces.insert(began.space, self.spaces.len());
            }
            Entry::Window(window) => {
                let position = self.spaces.get(&window.space).copied();
                let files = position.and_then(|position| files.get(position)?.as_ref());
                return files.map_or_else(Vec::new, |files| self.of_window(window, files));
            }
            Entry::Known(_) | Entry::Ended(_) | Entry::Source(_) => {}
        }
        Vec::new()
    }

    fn learn(&mut self, names: &Names) {
        self.texts.extend(names.texts.iter().cloned());
        self.functions.extend(names.functions.iter().cloned());
        self.places.extend(names.places.iter().map(|place| place.function.0));
        for stack in &names.stacks {
            self.stacks.push(match stack {
                StackName::Lines { frames, .. } => frames.clone(),
                StackName::Unattributed { .. } => Vec::new(),
                StackName::Native { below, .. } => {
                    self.stacks.get(below.0 as usize).cloned().unwrap_or_default()
                }
            });
        }
    }

    fn of_window(&mut self, window: &Window, files: &Arc<TargetFiles>) -> Vec<Source> {
        let origin = Arc::as_ptr(files) as usize;
        let mut read: HashMap<u32, SourceText> = HashMap::new();
        let mut sources = Vec::new();
        for change in &window.changes {
            if !self.seen.insert((origin, change.stack.0)) {
                continue;
            }
            let frames = self.stacks.get(change.stack.0 as usize).cloned().unwrap_or_default();
            for PlaceId(place) in frames {
                let Some(number) = self.places.get(place as usize).copied() else { continue };
                if !self.kept.insert((origin, number)) {
                    continue;
                }
                let Some(function) = self.functions.get(number as usize) else { continue };
                let Some(name) = self.texts.get(function.file.0 as usize) else { continue };
                let text = read.entry(function.file.0).or_insert_with(|| files.text(name));
                sources.push(source(window.space, function, text));
            }
        }
        sources
    }
}

/// The part of a file's text that is the function's.
fn source(space: SpaceId, function: &Function, text: &SourceText) -> Source {
    let (lines, changed, unreadable) = match text {
        SourceText::Unreadable(why) => (Vec::new(), false, Some(why.clone())),
        SourceText::Text { lines, changed } => {
            let first = function.first_line.max(1);
            let last = function.last_line.min(first.saturating_add(MOST_LINES - 1));
            let taken = (first..=last).map_while(|line| lines.get(line as usize - 1).cloned());
            (taken.collect(), *changed, None)
        }
    };
    let first_line = function.first_line.max(1);
    Source { space, file: function.file, first_line, lines, changed, unreadable }
}
