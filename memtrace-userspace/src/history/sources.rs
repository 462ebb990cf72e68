//! Source texts that came with a recording, function by function, put together by file.

use std::collections::BTreeMap;

use super::entry::Source;
use crate::profile::{SourceText, SourceTexts};

/// Lines of one file, as far as they are known.
#[derive(Debug, Default)]
struct File {
    lines: BTreeMap<u32, String>,
    changed: bool,
    unreadable: Option<String>,
}

/// Texts by process (index into the spaces) and file.
#[derive(Debug, Default)]
pub(super) struct Sources {
    files: BTreeMap<(usize, String), File>,
}

/// A line number beyond this is none: `co_firstlineno` may say anything.
const LAST_LINE: u32 = 1 << 20;

/// Empty lines that stand for what lies between functions, in all files together: a few entries of a
/// hostile recording must not become gigabytes.
const MOST_PADDING: usize = 1 << 20;

impl Sources {
    pub(super) fn add(&mut self, space: usize, file: &str, source: &Source) {
        let file = self.files.entry((space, file.to_owned())).or_default();
        file.changed |= source.changed;
        for (number, line) in (source.first_line.max(1)..LAST_LINE).zip(&source.lines) {
            file.lines.insert(number, line.clone());
        }
        if source.unreadable.is_some() {
            file.unreadable.clone_from(&source.unreadable);
        }
    }

    /// For these spaces, in this order; lines between the functions that were recorded are empty.
    pub(super) fn texts(&self, spaces: impl Iterator<Item = usize>) -> SourceTexts {
        let mut texts = SourceTexts::new();
        let mut padding = MOST_PADDING;
        for (position, space) in spaces.enumerate() {
            let range = (space, String::new())..(space + 1, String::new());
            for ((_, name), file) in self.files.range(range) {
                texts.insert(position, name, file.text(&mut padding));
            }
        }
        texts
    }
}

impl File {
    fn text(&self, padding: &mut usize) -> SourceText {
        let (Some((last, _)), None) = (self.lines.last_key_value(), &self.unreadable) else {
            let why = self.unreadable.clone().unwrap_or_else(|| "it was not recorded".to_owned());
            return SourceText::Unreadable(why);
        };
        match padding.checked_sub(*last as usize - self.lines.len()) {
            Some(left) => *padding = left,
            None => return SourceText::Unreadable("its lines lie too far apart".to_owned()),
        }
        let lines = (1..=*last).map(|number| self.lines.get(&number).cloned().unwrap_or_default());
        SourceText::Text { lines: lines.collect(), changed: self.changed }
    }
}
