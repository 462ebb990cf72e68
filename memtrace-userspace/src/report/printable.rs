//! Making text that comes from a target harmless on a terminal.
//!
//! File names, function names, arguments and thread names are chosen by whoever runs the target.
//! Printed raw, they could move the cursor, retitle the terminal, forge a row of a table or reverse
//! the direction of a line. This escapes what a terminal acts on and leaves every other character
//! as it is. It does not measure, cut or decode.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` with control characters as `\xNN` and invisible or direction-changing ones as `\u{NNNN}`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(acts_on_terminal) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if !acts_on_terminal(c) {
            safe.push(c);
        } else if u32::from(c) <= 0xff {
            // Writing to a String can't fail.
            let _ = write!(safe, "\\x{:02x}", u32::from(c));
        } else {
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
        }
    }
    Cow::Owned(safe)
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and the marks that change the
/// direction of what follows or take no room at all.
pub(super) fn acts_on_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_unicode_is_left_alone() {
        for text in ["", "app.py", "größe.py", "数据.py", "naïve 👩‍👩‍👧 family", "a\\b"]
        {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn what_a_terminal_acts_on_is_escaped() {
        let check = |text: &str, safe: &str| assert_eq!(printable(text), safe);
        check("a\nb\tc\r", "a\\x0ab\\x09c\\x0d");
        check("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07");
        check("\u{9b}31m\x7f\0", "\\x9b31m\\x7f\\x00");
        check("evil\u{202e}yp.exe", "evil\\u{202e}yp.exe");
        check("a\u{2028}b\u{feff}", "a\\u{2028}b\\u{feff}");
    }
}
