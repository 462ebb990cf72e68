//! Opening a line to its callers.

use memtrace::profile::{Memory, ProcessProfile, lines_of};
use memtrace::top::model::{Fold, Screen};
use memtrace::units::Bytes;

use super::{word, words};
use crate::build::{line, memory, process, stack};
use crate::script::at;
use crate::{press, watched};

/// A screen with one process that has these stacks (line numbers, leaf first) and their growth.
fn with_stacks(stacks: &[(&[u32], f64)]) -> Screen {
    let stacks: Vec<_> = stacks
        .iter()
        .map(|(frames, size)| {
            let lines: Vec<_> =
                frames.iter().map(|n| line("/a.py", "f", 1, *n, Memory::ZERO)).collect();
            stack(0, &lines.iter().collect::<Vec<_>>(), memory(*size, 0.0, 0.0))
        })
        .collect();
    let lines = lines_of(&stacks);
    let before = memory(1.0, 0.0, 0.0);
    let after = before + lines.iter().map(|line| line.self_net).sum();
    let process = ProcessProfile { after, stacks, lines, ..process(1, &["python"], before) };
    let mut screen = Screen::new(Vec::new());
    screen.take(at(1, vec![process]));
    screen
}

fn sizes(screen: &Screen) -> Vec<(String, f64)> {
    let rows = screen.rows().rows;
    rows.iter().map(|row| (word(row), row.value.unwrap_or(Bytes::ZERO).mib())).collect()
}

fn check(screen: &Screen, expected: &[(&str, f64)]) {
    let found = sizes(screen);
    let found: Vec<_> = found.iter().map(|(word, size)| (word.as_str(), *size)).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_line_opens_to_its_callers_largest_first() {
    let mut screen = watched(30);
    press(&mut screen, "<enter>");
    check(
        &screen,
        &[
            ("25", 37.5),
            (">46", 30.0),
            (">57", 7.5),
            ("39", 7.5),
            ("353", 2.0),
            ("31", 1.5),
            ("native thread", 0.5),
            ("kernel (swap, reclaim, khugepaged)", -0.25),
        ],
    );
    press(&mut screen, "<down><enter>");
    assert_eq!(words(&screen)[..4], ["25", ">46", ">>761", ">57"]);
    // Closing the line closes all of it.
    press(&mut screen, "<home><enter>");
    assert_eq!(words(&screen)[..2], ["25", "39"]);
    press(&mut screen, "<enter>");
    assert_eq!(words(&screen)[..3], ["25", ">46", ">57"]);
}

#[test]
fn callers_add_up_to_the_line_also_where_stacks_begin_with_it() {
    // 9 is called by 2 (4 MiB) and by 3 (2 MiB), and is a thread's first line (1 MiB).
    let mut screen = with_stacks(&[(&[9, 2, 1], 4.0), (&[9, 3], 2.0), (&[9], 1.0)]);
    press(&mut screen, "<enter>");
    check(&screen, &[("9", 7.0), (">2", 4.0), (">3", 2.0), (">nobody", 1.0)]);
    let folds: Vec<Fold> = screen.rows().rows.iter().map(|row| row.fold).collect();
    assert_eq!(folds, [Fold::Open, Fold::Closed, Fold::None, Fold::None]);
    // Moving in the tree: right opens, left closes, left again goes to the line.
    press(&mut screen, "<down><right>");
    check(&screen, &[("9", 7.0), (">2", 4.0), (">>1", 4.0), (">3", 2.0), (">nobody", 1.0)]);
    press(&mut screen, "<left>");
    check(&screen, &[("9", 7.0), (">2", 4.0), (">3", 2.0), (">nobody", 1.0)]);
    press(&mut screen, "<left><left>");
    check(&screen, &[("9", 7.0)]);
}

#[test]
fn a_chain_of_single_callers_is_shown_at_once() {
    let mut screen = with_stacks(&[(&[9, 8, 7, 6, 1], 4.0), (&[9, 8, 7, 5, 1], 2.0)]);
    press(&mut screen, "<enter>");
    assert_eq!(words(&screen), ["9", ">8", ">>7", ">>>6", ">>>5"]);
    let depths: Vec<usize> = screen.rows().rows.iter().map(|row| row.depth).collect();
    // No step to the right where nothing branches.
    assert_eq!(depths, [0, 1, 1, 2, 2]);
}

#[test]
fn a_long_chain_goes_on_when_asked_to() {
    let frames: Vec<u32> = (1..=20).rev().collect();
    let mut screen = with_stacks(&[(&frames, 4.0)]);
    press(&mut screen, "<enter>");
    let rows = screen.rows().rows;
    assert_eq!(rows.len(), 10);
    assert_eq!(rows[9].fold, Fold::Closed);
    press(&mut screen, "<end><enter>");
    assert_eq!(words(&screen).len(), 19);
    press(&mut screen, "<end><enter>");
    assert_eq!(words(&screen).len(), 20);
}

#[test]
fn recursion_counts_each_stack_once() {
    // 5 calls itself: cumulative 4 + 2, with 5 calling 5 on the first stack only.
    let mut screen = with_stacks(&[(&[9, 5, 5, 1], 4.0), (&[8, 5, 1], 2.0)]);
    press(&mut screen, "c/:5<enter>");
    check(&screen, &[("5", 6.0)]);
    press(&mut screen, "<enter>");
    check(&screen, &[("5", 6.0), (">5", 4.0), (">1", 2.0)]);
}

#[test]
fn a_line_that_nobody_calls_says_so() {
    let mut screen = with_stacks(&[(&[9], 4.0)]);
    press(&mut screen, "<enter>");
    assert_eq!(words(&screen), ["9"]);
    assert!(screen.message().unwrap().contains("begin here"));
    press(&mut screen, "<down>");
    assert_eq!(screen.message(), None);
}
