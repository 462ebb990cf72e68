//! From a source file's bytes to its text, as PEP 263 has it.
//!
//! UTF-8 and Latin-1 are decoded exactly. Of any other encoding the ASCII part is right, and what
//! isn't UTF-8 becomes U+FFFD: enough to know a line by, and no table of encodings to carry.

/// The text of a source file.
pub(super) fn decode(bytes: &[u8]) -> String {
    if let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        return String::from_utf8_lossy(rest).into_owned();
    }
    match declared(bytes) {
        Some(name) if is_latin_1(&name) => bytes.iter().copied().map(char::from).collect(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The encoding that one of the first two lines declares, in lower case, `_` as `-`.
fn declared(bytes: &[u8]) -> Option<String> {
    for line in bytes.split(|byte| *byte == b'\n').take(2) {
        let line = line.trim_ascii_start();
        if let Some(comment) = line.strip_prefix(b"#") {
            if let Some(name) = coding(comment) {
                return Some(name);
            }
        } else if !line.is_empty() {
            return None; // a second line counts only below a comment or nothing
        }
    }
    None
}

/// `coding[:=][ \t]*([-\w.]+)`, the regular expression of PEP 263, its first match.
fn coding(comment: &[u8]) -> Option<String> {
    const WORD: &[u8] = b"coding";
    let starts = comment.windows(WORD.len()).enumerate().filter(|(_, window)| *window == WORD);
    for (at, _) in starts {
        let rest = &comment[at + WORD.len()..];
        let [b':' | b'=', rest @ ..] = rest else { continue };
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let name: String = rest
            .iter()
            .skip_while(|byte| matches!(byte, b' ' | b'\t'))
            .take_while(|byte| is_name(byte))
            .map(|byte| char::from(byte.to_ascii_lowercase()))
            .map(|c| if c == '_' { '-' } else { c })
            .collect();
        if !name.is_empty() {
            return Some(name);
        }
    }
    None
}

/// Whether it is one of Python's names for Latin-1 (`encodings/aliases.py`), or one with an end
/// of line after it (`latin-1-unix`), as Emacs writes.
fn is_latin_1(name: &str) -> bool {
    let name =
        ["-unix", "-dos", "-mac"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    matches!(
        name,
        "latin-1"
            | "latin1"
            | "latin"
            | "l1"
            | "iso-8859-1"
            | "iso8859-1"
            | "8859"
            | "cp819"
            | "ibm819"
            | "iso-ir-100"
            | "csisolatin1"
            | "iso-latin-1"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declared_encoding_decides() {
        let check = |bytes: &[u8], text: &str| assert_eq!(decode(bytes), text);
        check("größe = 1\n".as_bytes(), "größe = 1\n");
        check(b"# -*- coding: latin-1 -*-\ns = '\xfc'\n", "# -*- coding: latin-1 -*-\ns = 'ü'\n");
        check(
            b"#!/usr/bin/python\n# vim: set fileencoding=ISO_8859-1 :\n\xe9",
            "#!/usr/bin/python\n# vim: set fileencoding=ISO_8859-1 :\né",
        );
        check(b"# coding: latin-1-unix\n\xe9", "# coding: latin-1-unix\né");
        check(b"\n# coding=l1\n\xe9", "\n# coding=l1\né");
    }

    #[test]
    fn what_is_no_declaration_is_utf_8() {
        let check = |bytes: &[u8], text: &str| assert_eq!(decode(bytes), text);
        check(b"\xef\xbb\xbf# coding: latin-1\n", "# coding: latin-1\n"); // BOM: UTF-8
        check(b"x = 1\n# coding: latin-1\n\xe9", "x = 1\n# coding: latin-1\n\u{fffd}");
        check(b"\n\n# coding: latin-1\n\xe9", "\n\n# coding: latin-1\n\u{fffd}"); // third line
        check(b"# coding latin-1\n\xe9", "# coding latin-1\n\u{fffd}"); // neither : nor =
        check(b"# coding: koi8-r\nx = '\xc1'", "# coding: koi8-r\nx = '\u{fffd}'");
        check(b"", "");
    }
}
