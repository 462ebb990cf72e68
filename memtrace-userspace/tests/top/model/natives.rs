//! Native functions below the rows that called them.

use std::sync::Arc;

use memtrace::profile::{Memory, NativeFrame, NativeRow, ProcessProfile, Reason, lines_of};
use memtrace::top::model::{Below, Row, Screen};
use memtrace::units::Bytes;

use super::word;
use crate::build::{line, memory, process, stack, unattributed};
use crate::script::at;
use crate::{check, press, text};

fn frame(function: &str, library: &str, file: &str, line: u32) -> Arc<NativeFrame> {
    let [function, library, file] = [function, library, file].map(str::to_owned);
    Arc::new(NativeFrame { function, library, file, line })
}

/// `name` in libc, called by `fill` of an extension, called by Python's machinery.
fn in_libc(name: &str, line: u32) -> Vec<Arc<NativeFrame>> {
    vec![
        frame(name, "libc.so.6", "/build/string.c", line),
        frame("fill", "ext.cpython-312-x86_64-linux-gnu.so", "/build/ext.c", 42),
        frame("PyObject_Vectorcall", "libpython3.12.so.1.0", "", 0),
    ]
}

/// Line 9, called by line 2, grew 10 MiB in native functions and 1 MiB in one that is not known; line 2
/// itself 2 MiB; a thread without Python 1.5 MiB.
fn native_process() -> ProcessProfile {
    let lines = [9, 2].map(|number| line("/a.py", "f", 1, number, Memory::ZERO));
    let [leaf, caller] = &lines;
    let of = |frames: &[&memtrace::profile::LineFigures], mib, native| {
        let mut stack = stack(0, frames, memory(mib, 0.0, 0.0));
        stack.native = native;
        stack
    };
    let both = [leaf, caller];
    let mut stacks = vec![
        of(&both, 4.0, in_libc("memset", 7)),
        of(&both, 2.0, in_libc("memset", 7)),
        of(&both, 1.0, in_libc("memset", 8)),
        of(&both, 2.0, vec![frame("touch", "ext.so", "/build/ext.c", 12)]),
        of(&both, 0.5, vec![frame("grow", "", "", 0)]),
        of(&both, 0.25, in_libc("memcpy", 0)),
        of(&both, 0.25, in_libc("memmove", 0)),
        of(&both, 1.0, Vec::new()),
        of(&[caller], 2.0, in_libc("memset", 7)),
    ];
    // It came and went.
    let mut gone = of(&both, 3.0, in_libc("read", 0));
    gone.returned = gone.grown;
    gone.resident = Bytes::ZERO;
    stacks.push(gone);
    let mut thread = unattributed(Reason::NativeThread, "gc", memory(1.5, 0.0, 0.0), 3);
    thread.native = vec![NativeRow {
        frames: vec![frame("mark", "libgc.so", "", 0)],
        net: memory(1.0, 0.0, 0.0),
        events: 2,
    }];
    let before = memory(1.0, 0.0, 0.0);
    let lines = lines_of(&stacks);
    let grown: Memory = lines.iter().map(|line| line.self_net).sum();
    let after = before + grown + thread.net;
    let unattributed = vec![thread];
    ProcessProfile { after, stacks, lines, unattributed, ..process(1, &["python"], before) }
}

fn with_natives() -> Screen {
    let mut screen = Screen::new(Vec::new());
    screen.take(at(1, vec![native_process()]));
    screen
}

fn name(row: &Row) -> String {
    match &row.key.below {
        None => word(row),
        Some(Below::Others) => format!("and {} more", row.natives),
        Some(Below::Native(native)) => native.function.clone(),
    }
}

fn expect(screen: &Screen, expected: &[(&str, f64)]) {
    let rows = screen.rows().rows;
    let found: Vec<_> = rows.iter().map(|row| (name(row), row.value)).collect();
    let found: Vec<_> = found
        .iter()
        .map(|(name, value)| (name.as_str(), value.map_or(f64::NAN, Bytes::mib)))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_line_has_its_largest_native_functions_below_it() {
    let mut screen = with_natives();
    let closed = [
        ("9", 11.0),
        ("memset", 7.0),
        ("touch", 2.0),
        ("grow", 0.5),
        ("and 2 more", 0.5),
        ("2", 2.0),
        ("memset", 2.0),
        ("native thread", 1.5),
        ("mark", 1.0),
    ];
    expect(&screen, &closed);
    check("native.txt", &text(&mut screen, 100, 18));
    // Opened: all of them, also what came and went; then the callers.
    press(&mut screen, "<enter>");
    let open = [
        ("9", 11.0),
        ("memset", 7.0),
        ("touch", 2.0),
        ("grow", 0.5),
        ("memcpy", 0.25),
        ("memmove", 0.25),
        ("read", 0.0),
        (">2", 11.0),
    ];
    expect(&screen, &[&open[..], &closed[5..]].concat());
    // From a native function to its line, and to its source.
    press(&mut screen, "<down><left>");
    assert_eq!(screen.selected(&screen.rows().rows), 0);
    press(&mut screen, "<enter>");
    expect(&screen, &closed);
}

#[test]
fn hidden_native_functions_leave_the_rows_as_they_were() {
    let mut screen = with_natives();
    press(&mut screen, "<down>n");
    expect(&screen, &[("9", 11.0), ("2", 2.0), ("native thread", 1.5)]);
    assert_eq!(screen.selected(&screen.rows().rows), 0);
    press(&mut screen, "n");
    assert_eq!(screen.rows().rows.len(), 9);
    // Without any there is nothing to hide.
    let mut screen = crate::watched(3);
    let before = screen.rows();
    press(&mut screen, "n");
    assert!(screen.message().unwrap().contains("--native"));
    assert_eq!(screen.rows(), before);
}

#[test]
fn cumulative_figures_have_what_called_lines_did_in_native_code() {
    let mut screen = with_natives();
    press(&mut screen, "c/:2<enter>");
    // 7 below line 9, 2 of its own.
    expect(
        &screen,
        &[("2", 13.0), ("memset", 9.0), ("touch", 2.0), ("grow", 0.5), ("and 2 more", 0.5)],
    );
    press(&mut screen, "g");
    expect(
        &screen,
        &[("2", 16.0), ("memset", 9.0), ("read", 3.0), ("touch", 2.0), ("and 3 more", 1.0)],
    );
}

#[test]
fn a_filter_finds_native_functions_and_their_libraries() {
    let mut screen = with_natives();
    press(&mut screen, "/libgc<enter>");
    expect(&screen, &[("native thread", 1.5), ("mark", 1.0)]);
}

#[test]
fn the_detail_of_a_line_names_its_native_functions_in_full() {
    let mut screen = with_natives();
    press(&mut screen, "<down>d");
    check("native-detail.txt", &text(&mut screen, 80, 40));
}
