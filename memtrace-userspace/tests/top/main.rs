//! `memtrace top` without a terminal: what the screen knows, and what is drawn of it, compared whole
//! with `tests/golden/top/`.
//!
//! `MEMTRACE_BLESS=1` writes the golden files anew, to be read before they are committed.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "../report/build.rs"]
#[expect(dead_code, reason = "it serves the reports' tests, too")]
mod build;
mod document;
mod model;
mod script;
mod view;

use std::path::PathBuf;

use memtrace::top::model::{Key, Request, Screen};
use memtrace::top::view::{Palette, draw};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

/// A screen that has seen the service for so many seconds.
fn watched(seconds: u64) -> Screen {
    let mut screen = Screen::new(Vec::new());
    for second in 1..=seconds {
        screen.take(script::at(second, vec![script::service(second)]));
    }
    screen
}

/// Presses keys: characters, and names in angle brackets.
fn press(screen: &mut Screen, keys: &str) -> Option<Request> {
    let mut rest = keys;
    let mut answer = None;
    while let Some(c) = rest.chars().next() {
        let (key, after) = match rest.strip_prefix('<').and_then(|named| named.split_once('>')) {
            Some((name, after)) => (named(name), after),
            None => (Key::Char(c), &rest[c.len_utf8()..]),
        };
        answer = screen.press(key);
        rest = after;
    }
    answer
}

fn named(name: &str) -> Key {
    match name {
        "up" => Key::Up,
        "down" => Key::Down,
        "left" => Key::Left,
        "right" => Key::Right,
        "enter" => Key::Enter,
        "esc" => Key::Escape,
        "tab" => Key::Tab,
        "backspace" => Key::Backspace,
        "home" => Key::Home,
        "end" => Key::End,
        "pgup" => Key::PageUp,
        "pgdn" => Key::PageDown,
        "ctrl-c" => Key::Interrupt,
        "ctrl-l" => Key::Redraw,
        _ => panic!("no key is called {name}"),
    }
}

fn drawn(screen: &mut Screen, width: u16, height: u16, color: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, screen, Palette::new(color))).unwrap();
    terminal.backend().buffer().clone()
}

/// The text on a screen of this size, without the blanks at the ends of its lines.
fn text(screen: &mut Screen, width: u16, height: u16) -> String {
    let buffer = drawn(screen, width, height, true);
    let mut text = String::new();
    for y in 0..height {
        let mut line = String::new();
        let mut x = 0;
        while x < width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // A wide character stands in two cells.
            x += u16::try_from(unicode_width::UnicodeWidthStr::width(symbol).max(1)).unwrap();
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Compares `actual` with the golden file of this name.
fn check(name: &str, actual: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/top");
    let path = folder.join(name);
    if std::env::var_os("MEMTRACE_BLESS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, actual).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let (expected, found): (Vec<_>, Vec<_>) = (golden.lines().collect(), actual.lines().collect());
    for (number, pair) in (1..).zip(expected.iter().zip(&found)) {
        assert_eq!(pair.0, pair.1, "{name}, line {number}; the whole:\n{actual}");
    }
    assert_eq!(golden, actual, "{name}");
}
