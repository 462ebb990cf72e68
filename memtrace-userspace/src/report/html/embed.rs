//! JSON that can stand inside a page: compact, and without `<`, so that no text in it can end the
//! element around it.
//!
//! Texts come printable already ([`Texts`](super::texts::Texts)); this escapes for HTML only.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

/// Writes `value`.
pub(super) fn write(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(out, InsideHtml);
    value.serialize(&mut serializer)?;
    Ok(())
}

/// serde_json's compact form, with what HTML gives a meaning to as escapes.
struct InsideHtml;

impl Formatter for InsideHtml {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&']) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            write!(writer, "\\u{:04x}", from.as_bytes()[0])?;
            rest = &from[1..];
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_escapes_and_reads_back_the_same() {
        let text = "</script><script>alert(\"1\")</script> <!-- &amp; ü\\ -->";
        let mut out = Vec::new();
        write(&mut out, &text).unwrap();
        let written = String::from_utf8(out).unwrap();
        assert!(!written.contains(['<', '>', '&']), "{written}");
        assert!(written.starts_with(r#""\u003c/script\u003e\u003cscript\u003e"#), "{written}");
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }
}
