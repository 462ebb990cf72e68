//! CSV: golden files, and sums that equal the JSON report's, read as a spreadsheet would.

use std::collections::BTreeMap;

use memtrace::profile::{Ending, Memory, ProcessProfile, Profile, Reason};
use memtrace::report::{Measure, csv as report};
use memtrace::units::Bytes;
use serde_json::Value;

use super::build::*;
use super::{check, json_report};

pub(crate) fn printed(profile: &Profile, sort: Measure) -> String {
    let mut out = Vec::new();
    report::write(&mut out, profile, sort).unwrap();
    String::from_utf8(out).unwrap()
}

type Row = BTreeMap<String, String>;

fn rows(text: &str) -> Vec<Row> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
}

fn number(row: &Row, column: &str) -> i64 {
    row[column].parse().unwrap()
}

#[test]
fn the_rows_of_two_processes() {
    // The server's law: 12582912 + 40370176 + 1310720 = 54263808. The child: 0 + 4096 of a gap.
    let mut child = process(4243, &["sh", "-c", "ls; true"], Memory::ZERO);
    child.parent = Some(4242);
    child.python = None;
    child.ending = Ending::Exited;
    child.after.anon = Bytes(4096);
    (child.lost_events, child.lost_bytes) = (3, Bytes(-4096));
    child.notes = vec!["three records were lost".to_owned(), "and \"more\"".to_owned()];
    check("report.csv", &printed(&profile(vec![server(), child]), Measure::Net));
}

#[test]
fn no_profile_has_the_header_all_the_same() {
    let text = printed(&profile(vec![]), Measure::Net);
    assert_eq!(text.lines().count(), 1);
    let some = printed(&profile(vec![server()]), Measure::Net);
    assert_eq!(text.lines().next(), some.lines().next());
}

#[test]
fn rows_are_sorted_by_the_measure_that_is_asked_for() {
    // Net: 32, 4, 2.5, 0, 0 MiB; events of their own: 900, 64, 40, 0, 0. Made to differ:
    let mut process = server();
    process.lines[2].self_events = 5000;
    let profile = profile(vec![process]);
    let order = |sort| -> Vec<_> {
        let rows = rows(&printed(&profile, sort));
        rows.iter().filter(|row| row["kind"] == "line").map(|row| number(row, "line")).collect()
    };
    assert_eq!(order(Measure::Net), [8, 10, 353, 16, 17]);
    assert_eq!(order(Measure::Events), [353, 8, 10, 16, 17]);
}

#[test]
fn hostile_names_are_neither_formulas_nor_rows() {
    let name = "=cmd|' /C calc'!A0\",\n\u{1b}[2J+1";
    let process = ProcessProfile {
        lines: vec![line(name, "-1+1", 1, 1, Memory::ZERO)],
        unattributed: vec![unattributed(Reason::NativeThread, "@SUM(A1:A9)", Memory::ZERO, 0)],
        notes: vec!["=1+1".to_owned()],
        ..process(1, &["+1", name], Memory::ZERO)
    };
    let text = printed(&profile(vec![process]), Measure::Net);
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
    let rows = rows(&text);
    assert_eq!(rows.len(), 4); // before, line, unattributed, after
    let signs = ['=', '+', '-', '@'];
    for (column, cell) in rows.iter().flatten() {
        assert!(!cell.starts_with(signs), "{column} is {cell:?}");
    }
    assert_eq!(rows[1]["file"], "'=cmd|' /C calc'!A0\",\\x0a\\x1b[2J+1");
}

#[test]
fn the_columns_of_any_profile_obey_the_law_and_say_what_json_says() {
    for seed in 1..=60 {
        let mut random = Random::seeded(3000 + seed);
        // The same pid twice, as after an exec: `process` tells the two apart.
        let profile = profile(vec![random.process(10), random.process(10)]);
        let json: Value = serde_json::from_str(&json_report::printed(&profile)).unwrap();
        let rows = rows(&printed(&profile, Measure::Grown));
        for (process, json) in (1..).zip(json["processes"].as_array().unwrap()) {
            let own = || rows.iter().filter(|row| number(row, "process") == process);
            let of = |kind: &'static str| own().filter(move |row| row["kind"] == kind);
            let sum = |kind, column: &str| of(kind).map(|row| number(row, column)).sum::<i64>();
            for column in ["net_bytes", "net_anon_bytes", "net_file_bytes", "net_shmem_bytes"] {
                let but_after = own().filter(|row| row["kind"] != "after");
                let law: i64 = but_after.map(|row| number(row, column)).sum();
                assert_eq!(law, sum("after", column), "seed {seed}, {column}");
            }
            assert_eq!(sum("before", "net_bytes"), json["rss_before_bytes"]);
            assert_eq!(sum("line", "net_bytes"), json["attributed_bytes"]);
            assert_eq!(sum("after", "net_bytes"), json["rss_after_bytes"]);
            assert_eq!(of("gap").count(), 0);
            let json_sum = |key: &str| -> i64 {
                let lines = json["lines"].as_array().unwrap();
                lines.iter().map(|line| line[key].as_i64().unwrap()).sum()
            };
            for key in [
                "self_grown_bytes",
                "self_returned_bytes",
                "self_resident_bytes",
                "cumulative_net_bytes",
                "cumulative_resident_bytes",
                "self_events",
            ] {
                let column =
                    if key == "self_events" { key } else { key.trim_start_matches("self_") };
                assert_eq!(sum("line", column), json_sum(key), "seed {seed}, {key}");
            }
        }
    }
}
