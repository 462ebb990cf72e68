//! Native frames in every form that has them, and that they change no other figure.

use std::sync::Arc;

use memtrace::profile::{NativeFrame, NativeRow, ProcessProfile, Reason};
use memtrace::report::{Measure, StackOptions, TableOptions, table};

use super::build::*;
use super::folded_report::{parsed, printed};
use super::json_report;

fn frame(function: &str, library: &str, file: &str, line: u32) -> Arc<NativeFrame> {
    Arc::new(NativeFrame {
        function: function.to_owned(),
        library: library.to_owned(),
        file: file.to_owned(),
        line,
    })
}

/// The server, whose first stack (`block`: 40 MiB grown, 8 returned) was in `memset`, called by a
/// function of an extension, called by Python's machinery; 1 of 1.5 MiB of thread `gc` is known.
fn with_native() -> ProcessProfile {
    let mut server = server();
    let block = server.stacks.iter_mut().max_by_key(|stack| stack.grown.total()).unwrap();
    block.native = vec![
        frame("memset", "libc.so.6", "", 0),
        frame("fill_block", "ext.cpython-312-x86_64-linux-gnu.so", "/build/ext.c", 42),
        frame("PyObject_Vectorcall", "libpython3.12.so.1.0", "", 0),
    ];
    let gc = server.unattributed.iter_mut().find(|row| row.reason == Reason::NativeThread).unwrap();
    gc.native = vec![NativeRow {
        frames: vec![frame("mark", "libgc.so", "", 0), frame("start_thread", "libc.so.6", "", 0)],
        net: memory(1.0, 0.0, 0.0),
        events: 1,
    }];
    server
}

#[test]
fn a_table_has_both_ends_of_the_chain() {
    let options = TableOptions { width: 120, ..TableOptions::default() };
    let text = |process| {
        let mut out = Vec::new();
        table::write(&mut out, &profile(vec![process]), &Default::default(), &options).unwrap();
        String::from_utf8(out).unwrap()
    };
    let (with, without) = (text(with_native()), text(server()));
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let rows: Vec<_> = with.lines().filter(|line| !without.lines().any(|it| it == *line)).collect();
    let rows: Vec<_> = rows.into_iter().map(words).collect();
    let expected = [
        "Native functions by net growth (MiB)",
        "Net Grown Resident Events Grew in Called as By",
        "32.000 40.000 31.500 1024 memset (libc) fill_block /srv/app.py:8",
        "1.000 1.000 1.000 1 mark (libgc) mark native thread: gc",
    ];
    let events = rows.get(2).and_then(|row| row.get(3)).cloned().unwrap_or_default();
    let expected = expected.map(|line| words(&line.replace("1024", &events)));
    assert_eq!(rows, expected);
    // Nothing else is another.
    let left: Vec<_> = with.lines().filter(|line| without.lines().any(|it| it == *line)).collect();
    let same = without.lines().filter(|line| !line.is_empty()).count();
    assert_eq!(left.iter().filter(|line| !line.is_empty()).count(), same);
}

#[test]
fn stacks_go_on_above_their_line_and_come_to_the_same() {
    let options = StackOptions { measure: Measure::Net, split_threads: false };
    let texts = [with_native(), server()].map(|it| printed(&profile(vec![it]), &options));
    let [with, without] = texts.each_ref().map(|text| parsed(text));
    assert_eq!(with.values().sum::<i64>(), without.values().sum::<i64>());
    let size = |frames: &[&str]| {
        let found = with.iter().find(|(stack, _)| stack.ends_with(frames));
        found.map(|(_, size)| *size)
    };
    let chain = [
        "handle (/srv/app.py:8)",
        "PyObject_Vectorcall (libpython3.12.so.1.0)",
        "fill_block (ext.c:42 in ext.cpython-312-x86_64-linux-gnu.so)",
        "memset (libc.so.6)",
    ];
    assert_eq!(size(&chain), Some(32 << 20));
    let thread = ["[native thread: gc]", "start_thread (libc.so.6)", "mark (libgc.so)"];
    assert_eq!(size(&thread), Some(1 << 20));
    assert_eq!(size(&["[native thread: gc]"]), Some(1 << 19));
}

fn json(process: ProcessProfile) -> serde_json::Value {
    serde_json::from_str(&json_report::printed(&profile(vec![process]))).unwrap()
}

#[test]
fn json_has_functions_with_their_callers() {
    let document = json(with_native());
    let native = document["processes"][0]["native"].as_array().unwrap();
    let of = |name: &str| native.iter().find(|it| it["function"] == name).unwrap();
    assert_eq!(of("memset")["self_grown_bytes"], 40 << 20);
    assert_eq!(of("memset")["self_net_bytes"], 32 << 20);
    let fill = of("fill_block");
    assert_eq!(
        (&fill["self_net_bytes"], &fill["cumulative_net_bytes"]),
        (&0.into(), &(32 << 20).into())
    );
    assert_eq!(
        (&fill["places"][0]["file"], &fill["places"][0]["line"]),
        (&"/build/ext.c".into(), &42.into())
    );
    let caller = &fill["callers"][0];
    assert_eq!((&caller["file"], &caller["line"]), (&APP.into(), &8.into()));
    assert!(of("mark")["callers"][0]["file"].is_null());
    let document = json(server());
    assert!(document["processes"][0].get("native").is_none());
}
