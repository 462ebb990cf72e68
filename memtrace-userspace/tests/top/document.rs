//! docs/top.md shows what `memtrace top` really looks like: its captures are made here.

use std::path::PathBuf;

use memtrace::report::SourceText;

use super::script::{SERVICE, service_text};
use super::{press, text, watched};

/// The screens of the document, in their order: keys, and lines of the terminal.
const CAPTURES: [(&str, u16); 4] = [("", 12), ("<enter>", 14), ("d", 26), ("v", 18)];

/// A screen as it is to stand in the document.
fn captured(keys: &str, height: u16) -> String {
    let mut screen = watched(30);
    let life = screen.rows().rows[0].key.life;
    screen.source(life, SERVICE, SourceText::new(&service_text(), false));
    press(&mut screen, keys);
    let indented = |line: &str| match line {
        "" => "\n".to_owned(),
        line => format!("    {line}\n"),
    };
    text(&mut screen, 80, height).lines().map(indented).collect()
}

#[test]
fn the_document_shows_true_screens_and_begins_with_one() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/top.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_title, mut rest) = document.split_once("\n\n").unwrap();
    for (number, (keys, height)) in CAPTURES.iter().enumerate() {
        let capture = captured(keys, *height);
        let at = rest.find(&capture);
        assert!(at.is_some(), "docs/top.md lacks, or has elsewhere, after {keys:?}:\n{capture}");
        assert!(number > 0 || at == Some(0), "docs/top.md does not begin with the screen");
        rest = &rest[at.unwrap() + capture.len()..];
    }
}
