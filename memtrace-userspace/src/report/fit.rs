//! Columns on a terminal: how many a text takes, and cutting it to fit.
//!
//! Counts terminal cells, not bytes or characters (a CJK character takes two). Expects text that
//! [`printable`](super::printable()) has been over; does not escape anything itself.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const ELLIPSIS: &str = "…";

/// Cells that `text` takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text` in at most `columns` cells, its middle replaced by `…`: of a path, both the beginning and
/// the end say something. The end keeps the odd cell and two thirds of the room.
pub(crate) fn cut_middle(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let room = columns.saturating_sub(1);
    let head = prefix(text, room / 3);
    let tail = suffix(text, room - width(head));
    if columns == 0 { Cow::Borrowed("") } else { Cow::Owned(format!("{head}{ELLIPSIS}{tail}")) }
}

/// `text` in at most `columns` cells, its end replaced by `…`.
pub(crate) fn cut_end(text: &str, columns: usize) -> Cow<'_, str> {
    // A byte is at least a cell's worth of text only for ASCII, but never more than one cell a byte.
    if text.len() <= columns || width(text) <= columns {
        return Cow::Borrowed(text);
    }
    match columns.checked_sub(1) {
        None => Cow::Borrowed(""),
        Some(room) => Cow::Owned(format!("{}{ELLIPSIS}", prefix(text, room))),
    }
}

/// `text` with tabs replaced by spaces up to the next multiple of eight, as Python counts indents.
pub(crate) fn expand_tabs(text: &str) -> Cow<'_, str> {
    if !text.contains('\t') {
        return Cow::Borrowed(text);
    }
    let mut expanded = String::with_capacity(text.len() + 16);
    let mut column = 0;
    for c in text.chars() {
        let cells = if c == '\t' { 8 - column % 8 } else { c.width().unwrap_or(1) };
        if c == '\t' {
            expanded.extend(std::iter::repeat_n(' ', cells));
        } else {
            expanded.push(c);
        }
        column += cells;
    }
    Cow::Owned(expanded)
}

/// `text` in lines of at most `columns` cells, broken at blanks; a longer word stays whole.
pub(crate) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The longest beginning of `text` that fits.
fn prefix(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(1);
        if used > columns {
            return &text[..at];
        }
    }
    text
}

/// The longest end of `text` that fits.
fn suffix(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let mut from = text.len();
    for (at, c) in text.char_indices().rev() {
        used += c.width().unwrap_or(1);
        if used > columns {
            break;
        }
        from = at;
    }
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_cut_and_the_result_fits() {
        let check = |text: &str, columns, cut: &str| {
            assert_eq!(cut_middle(text, columns), cut);
            assert!(width(cut) <= columns, "{cut:?} is wider than {columns}");
        };
        check("/srv/app.py", 11, "/srv/app.py");
        check("/usr/lib/python3.12/json/decoder.py", 16, "/usr/…decoder.py");
        check("abcdef", 1, "…");
        check("abcdef", 0, "");
        // Each of these takes two cells: three and a half don't fit, so one cell stays free.
        check("数据处理程序", 8, "数…程序");
    }

    #[test]
    fn the_end_is_cut_and_the_result_fits() {
        assert_eq!(cut_end("abcdef", 6), "abcdef");
        assert_eq!(cut_end("abcdef", 4), "abc…");
        assert_eq!(cut_end("数据处理", 4), "数…");
        assert_eq!(cut_end("数据", 4), "数据");
        assert_eq!(cut_end("abc", 0), "");
    }

    #[test]
    fn lines_are_broken_at_blanks() {
        assert_eq!(wrapped("a bb  ccc dddd", 6), ["a bb", "ccc", "dddd"]);
        assert_eq!(wrapped("数据 abcdefgh", 5), ["数据", "abcdefgh"]);
        assert!(wrapped(" ", 5).is_empty());
    }

    #[test]
    fn tabs_reach_the_next_multiple_of_eight() {
        assert_eq!(expand_tabs("\tx"), "        x");
        assert_eq!(expand_tabs("abc\tx"), "abc     x");
        assert_eq!(expand_tabs("abcdefgh\tx"), "abcdefgh        x");
    }
}
