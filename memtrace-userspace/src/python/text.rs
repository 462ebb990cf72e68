//! Text that comes from a target: decoding CPython's strings, and making text safe to print.
//!
//! Pure. Every string of a target that people see goes through [`printable`], here and nowhere
//! else: a file may be called `\x1b]0;…`, and a terminal would obey.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Decodes the data of a `str`: `width` bytes a character (1, 2 or 4, PEP 393), in the machine's
/// byte order. Width 1 is Latin-1, of which ASCII is a part. What is no character (a lone
/// surrogate, a number beyond Unicode, a cut last character, another width) becomes U+FFFD.
#[must_use]
pub fn decode(bytes: &[u8], width: u8) -> String {
    let unit = |unit: &[u8]| match *unit {
        [a] => u32::from(a),
        [a, b] => u32::from(u16::from_ne_bytes([a, b])),
        [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]),
        _ => u32::MAX,
    };
    if !matches!(width, 1 | 2 | 4) {
        return char::REPLACEMENT_CHARACTER.to_string();
    }
    bytes
        .chunks(usize::from(width))
        .map(|bytes| {
            let whole = bytes.len() == usize::from(width);
            char::from_u32(if whole { unit(bytes) } else { u32::MAX })
                .unwrap_or(char::REPLACEMENT_CHARACTER)
        })
        .collect()
}

/// The text with everything that a terminal might act on written out: control characters (C0,
/// DEL, C1) as `\xNN`, and the characters that reorder or break lines as `\u{…}`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_active) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        let number = u32::from(character);
        let written = match character {
            '\n' => safe.write_str("\\n"),
            '\t' => safe.write_str("\\t"),
            '\r' => safe.write_str("\\r"),
            _ if !is_active(character) => safe.write_char(character),
            _ if number < 0x100 => write!(safe, "\\x{number:02x}"),
            _ => write!(safe, "\\u{{{number:x}}}"),
        };
        debug_assert!(written.is_ok(), "writing to a String does not fail");
    }
    Cow::Owned(safe)
}

/// Control characters, line and paragraph separators, and the bidirectional controls of Unicode
/// (UAX 9), with which one name can be made to look like another.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_width_is_decoded() {
        assert_eq!(decode(b"caf\xe9", 1), "caf\u{e9}");
        let wide: Vec<u8> =
            [0x0416u16, 0x4e2d, 0x41].iter().flat_map(|c| c.to_ne_bytes()).collect();
        assert_eq!(decode(&wide, 2), "\u{416}\u{4e2d}A");
        let wider: Vec<u8> = [0x1f40du32, 0x41].iter().flat_map(|c| c.to_ne_bytes()).collect();
        assert_eq!(decode(&wider, 4), "\u{1f40d}A");
        assert_eq!(decode(b"", 1), "");
    }

    #[test]
    fn what_is_no_character_is_replaced() {
        let surrogate: Vec<u8> = [0xd800u16, 0x42].iter().flat_map(|c| c.to_ne_bytes()).collect();
        assert_eq!(decode(&surrogate, 2), "\u{fffd}B");
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff, 1], 4), "\u{fffd}\u{fffd}");
        assert_eq!(decode(b"abc", 3), "\u{fffd}");
        assert_eq!(decode(b"abc", 0), "\u{fffd}");
    }

    #[test]
    fn control_characters_are_made_harmless_and_the_rest_is_left() {
        assert!(matches!(printable("/srv/\u{4e2d}.py"), Cow::Borrowed("/srv/\u{4e2d}.py")));
        assert_eq!(printable("a\x1b]0;x\x07\n\u{9b}b"), "a\\x1b]0;x\\x07\\n\\x9bb");
        assert_eq!(printable("x\u{202e}yp.exe"), "x\\u{202e}yp.exe");
        assert_eq!(printable("\x7f\t"), "\\x7f\\t");
    }
}
