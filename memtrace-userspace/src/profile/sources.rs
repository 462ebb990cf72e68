//! The source text that tables show beside their figures.
//!
//! A plain map that somebody else fills ([`crate::source::gather`]). It reads nothing: a report
//! that shows source stays a pure function.

use std::collections::BTreeMap;

/// One file's text, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceText {
    /// It could be read.
    Text {
        /// Its lines, without their ends.
        lines: Vec<String>,
        /// Whether the file was changed after the program had started, so that what stands on a
        /// line may not be what ran.
        changed: bool,
    },
    /// Why it could not be read, as the end of a sentence.
    Unreadable(String),
}

impl SourceText {
    /// Splits `text` into lines as Python does: at `\n`, `\r\n` and `\r`, and nowhere else.
    #[must_use]
    pub fn new(text: &str, changed: bool) -> Self {
        let mut lines = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
            lines.push(rest[..end].to_owned());
            let after = &rest[end..];
            rest = after.strip_prefix("\r\n").unwrap_or(after.get(1..).unwrap_or(""));
        }
        Self::Text { lines, changed }
    }
}

/// Source texts by process (its index in the profile) and file (as the target names it).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceTexts {
    texts: BTreeMap<usize, BTreeMap<String, SourceText>>,
}

impl SourceTexts {
    /// No texts: tables then show places and figures only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps `text` as that of `file` in the process with this index.
    pub fn insert(&mut self, process: usize, file: &str, text: SourceText) {
        self.texts.entry(process).or_default().insert(file.to_owned(), text);
    }

    /// The texts of some processes, which are given by their places here and stand in this order in
    /// the result.
    #[must_use]
    pub fn of(mut self, processes: &[usize]) -> Self {
        let mut texts = BTreeMap::new();
        for (new, old) in processes.iter().enumerate() {
            texts.extend(self.texts.remove(old).map(|of_process| (new, of_process)));
        }
        Self { texts }
    }

    /// What was kept; `None` if nobody tried to read it.
    #[must_use]
    pub fn get(&self, process: usize, file: &str) -> Option<&SourceText> {
        self.texts.get(&process)?.get(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_python_ends_them() {
        let check = |text: &str, lines: &[&str]| {
            let expected = lines.iter().map(ToString::to_string).collect();
            let expected = SourceText::Text { lines: expected, changed: false };
            assert_eq!(SourceText::new(text, false), expected);
        };
        check("", &[]);
        check("a\nb\n", &["a", "b"]);
        check("a\r\nb\rc", &["a", "b", "c"]);
        check("\n\na", &["", "", "a"]);
        check("a\x0cb\u{2028}c\n", &["a\x0cb\u{2028}c"]);
    }
}
