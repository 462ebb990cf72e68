//! The source text of functions, as the table shows it: whole where that is not too long, else what
//! surrounds the lines with figures.
//!
//! Which functions and which lines is the table's choice. Figures are not repeated here: the page
//! has them by line.

use serde::Serialize;

use super::texts::{TextNumber, Texts};
use crate::profile::ProcessProfile;
use crate::report::SourceText;
use crate::report::table::TableOptions;
use crate::report::table::choice::{self, Function};
use crate::report::table::functions::{contents, lines_of, note, shown_lines};

/// One function's text.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct FunctionText {
    /// Number of the function.
    function: usize,
    /// What a reader must know of its file.
    note: Option<TextNumber>,
    /// Lines without a gap between them: the number of the first, and their texts.
    parts: Vec<(u32, Vec<TextNumber>)>,
}

/// The texts of the functions that hold the lines that grew most, those with the largest first.
pub(super) fn of<'a>(
    texts: &mut Texts,
    process: &ProcessProfile,
    text: &dyn Fn(&str) -> Option<&'a SourceText>,
    choice: &TableOptions,
) -> Vec<FunctionText> {
    let (functions, _) = choice::functions(process, &[], choice);
    functions.iter().map(|function| function_text(texts, function, text(function.file))).collect()
}

fn function_text(
    texts: &mut Texts,
    function: &Function<'_>,
    text: Option<&SourceText>,
) -> FunctionText {
    let source = lines_of(text);
    let mut parts: Vec<(u32, Vec<TextNumber>)> = Vec::new();
    for number in shown_lines(function, source) {
        let line = texts.harmless(contents(source, number));
        match parts.last_mut() {
            Some((first, part)) if *first + part.len() as u32 == number => part.push(line),
            _ => parts.push((number, vec![line])),
        }
    }
    // The lines know their function by its own first line, which `Function` may have moved.
    let place = &function.lines[0].place;
    FunctionText {
        function: texts.function(&place.file, &place.function, place.function_line),
        note: note(function, text).map(|note| texts.harmless(note)),
        parts,
    }
}
