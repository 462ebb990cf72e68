//! Texts, each written once and referred to by its number.
//!
//! A place stands in thousands of stacks and a file's name in hundreds of places. Texts come from
//! targets, so they are made printable and bounded here: what the page gets can't reorder a row or
//! fill the screen. Functions and places are told apart by what they are, not by what is left of
//! their names.

use std::collections::HashMap;

use serde::Serialize;

use crate::profile::{NativeFrame, Place};
use crate::report::fit::cut_middle;
use crate::report::printable;

/// Longer names are cut in the middle. A path has at most 4096 bytes; a qualified name has no bound.
const LONGEST: usize = 512;

/// The number of a text.
pub(super) type TextNumber = usize;

/// The tables of a page.
#[derive(Debug, Default)]
pub(super) struct Texts {
    numbers: HashMap<String, TextNumber>,
    texts: Vec<String>,
    function_numbers: HashMap<(String, String, u32), usize>,
    functions: Vec<(TextNumber, TextNumber, u32)>,
    place_numbers: HashMap<Place, usize>,
    places: Vec<(usize, u32)>,
    native_numbers: HashMap<NativeFrame, usize>,
    natives: Vec<(TextNumber, TextNumber, TextNumber, u32)>,
}

/// What numbers in the page refer to.
#[derive(Debug, Serialize)]
pub(super) struct Tables {
    texts: Vec<String>,
    /// File, name, first line.
    functions: Vec<(TextNumber, TextNumber, u32)>,
    /// Function, line.
    places: Vec<(usize, u32)>,
    /// Native functions: name, library, file name (empty where it isn't known), line.
    natives: Vec<(TextNumber, TextNumber, TextNumber, u32)>,
}

impl Texts {
    /// A name from a target.
    pub(super) fn name(&mut self, name: &str) -> TextNumber {
        // Cut before and after: what is thrown away need not be escaped first.
        let cut = cut_middle(name, LONGEST);
        let text = cut_middle(&printable(&cut), LONGEST).into_owned();
        self.harmless(text)
    }

    /// A text that is printable and bounded already.
    pub(super) fn harmless(&mut self, text: String) -> TextNumber {
        if let Some(number) = self.numbers.get(&text) {
            return *number;
        }
        let number = self.texts.len();
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }

    /// A function, known by file, name and first line.
    pub(super) fn function(&mut self, file: &str, name: &str, first_line: u32) -> usize {
        let key = (file.to_owned(), name.to_owned(), first_line);
        if let Some(number) = self.function_numbers.get(&key) {
            return *number;
        }
        let texts = (self.name(file), self.name(name), first_line);
        self.functions.push(texts);
        let number = self.functions.len() - 1;
        self.function_numbers.insert(key, number);
        number
    }

    /// A line of a function.
    pub(super) fn place(&mut self, place: &Place) -> usize {
        if let Some(number) = self.place_numbers.get(place) {
            return *number;
        }
        let function = self.function(&place.file, &place.function, place.function_line);
        self.places.push((function, place.line));
        let number = self.places.len() - 1;
        self.place_numbers.insert(place.clone(), number);
        number
    }

    /// A native function at a line of its own.
    pub(super) fn native(&mut self, frame: &NativeFrame) -> usize {
        if let Some(number) = self.native_numbers.get(frame) {
            return *number;
        }
        // Where it was built is of no interest here.
        let file = frame.file.rsplit('/').next().unwrap_or_default();
        let texts =
            (self.name(&frame.function), self.name(&frame.library), self.name(file), frame.line);
        self.natives.push(texts);
        let number = self.natives.len() - 1;
        self.native_numbers.insert(frame.clone(), number);
        number
    }

    /// The tables for the page.
    pub(super) fn into_tables(self) -> Tables {
        let Self { texts, functions, places, natives, .. } = self;
        Tables { texts, functions, places, natives }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_once_cut_stay_different_places() {
        let place = |middle: char| Place {
            file: format!("/{}{middle}{}", "a".repeat(5000), "b".repeat(5000)),
            line: 1,
            function: "f\u{202e}\n".to_owned(),
            function_line: 1,
        };
        let mut texts = Texts::default();
        assert_eq!(texts.place(&place('x')), 0);
        assert_eq!(texts.place(&place('y')), 1);
        assert_eq!(texts.place(&place('x')), 0);
        let Tables { texts, functions, places, .. } = texts.into_tables();
        assert_eq!((functions.len(), places), (2, vec![(0, 1), (1, 1)]));
        assert_eq!(texts.len(), 2); // one file name, cut, and the function's
        assert_eq!(texts[0].chars().count(), LONGEST);
        assert_eq!(texts[1], "f\\u{202e}\\x0a");
    }
}
