//! What grew between two profiles: one golden of each form, and that all forms say the same.

use memtrace::profile::{Memory, Profile, Reason, lines_of};
use memtrace::report::diff::{Diff, Excess, Presence, json, table};
use memtrace::units::Bytes;
use serde_json::Value;

use super::build::*;
use super::check;

/// The sample server an hour later: `block` grew 10 MiB more and gave back as much as before, the
/// decoder holds 1 MiB less, `shared` is not there any more, and line 11 is new with 1 MiB.
///
/// Resident: `block` 31.5 → 41.5, line 11 0 → 1, decoder 2.5 → 1.5, `shared` 4 → 0; all lines
/// 38 → 44, so 6 MiB more. Net of lines: 38.5 + 10 + 1 - 1 - 4 = 44.5 MiB.
/// now: 12 + 44.5 + 1.25 = 57.75 MiB.
fn later() -> Profile {
    let mut server = server();
    let mut appended = line(APP, "handle", 6, 11, memory(1.0, 0.0, 0.0));
    appended.self_events = 3;
    server.stacks[0].grown = memory(50.0, 0.0, 0.0);
    server.stacks[0].resident = mib(41.5);
    server.stacks[2].returned = memory(1.0, 0.0, 0.0);
    server.stacks[2].resident = mib(1.5);
    server.stacks[1] = stack(1, &[&appended], memory(1.0, 0.0, 0.0));
    server.lines = lines_of(&server.stacks);
    server.after = memory(53.5, 4.25, 0.0);
    profile(vec![server])
}

fn table_of(diff: &Diff<'_>) -> String {
    let mut out = Vec::new();
    table::write(&mut out, diff, &table::DiffOptions::default()).unwrap();
    String::from_utf8(out).unwrap()
}

fn json_of(diff: &Diff<'_>) -> String {
    let mut out = Vec::new();
    json::write(&mut out, diff).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_diff_of_an_hour_as_table_and_as_json() {
    let (before, after) = (profile(vec![server()]), later());
    assert_eq!(after.processes[0].law_gap(), Memory::ZERO);
    let diff = Diff::of(("monday.memtrace", &before), ("tuesday.memtrace", &after));
    check("diff.txt", &table_of(&diff));
    check("diff.json", &json_of(&diff));
}

#[test]
fn lines_are_sorted_by_what_they_hold_more_and_new_ones_are_marked() {
    let (before, after) = (profile(vec![server()]), later());
    let diff = Diff::of(("a", &before), ("b", &after));
    let lines: Vec<_> =
        diff.lines.iter().map(|line| (line.line, line.change(), line.presence())).collect();
    assert_eq!(
        lines,
        [
            (8, mib(10.0), Presence::Both),
            (11, mib(1.0), Presence::New),
            (353, mib(-1.0), Presence::Both),
            (10, mib(-4.0), Presence::Gone),
        ]
    );
    assert_eq!(diff.change(), mib(6.0));
}

#[test]
fn what_grew_above_a_bound_is_named() {
    let (before, after) = (profile(vec![server()]), later());
    let diff = Diff::of(("a", &before), ("b", &after));
    assert_eq!(diff.excess(mib(10.0)), None, "not above it, but at it");
    assert!(matches!(diff.excess(mib(9.75)), Some(Excess::Line(line)) if line.line == 8));
    // Backwards: `shared` holds 4 MiB more, all together 6 MiB less.
    let back = Diff::of(("b", &after), ("a", &before));
    assert!(matches!(back.excess(mib(3.0)), Some(Excess::Line(line)) if line.line == 10));
    assert_eq!(back.excess(mib(4.0)), None);
    // Many lines that each stay below it.
    let mut many = server();
    let stacks = (100..120).map(|number| {
        stack(0, &[&line(APP, "f", 90, number, Memory::ZERO)], memory(1.0, 0.0, 0.0))
    });
    many.stacks = stacks.collect();
    many.lines = lines_of(&many.stacks);
    let (nothing, many) = (profile(vec![process(1, &["a"], Memory::ZERO)]), profile(vec![many]));
    let diff = Diff::of(("a", &nothing), ("b", &many));
    assert_eq!(diff.excess(mib(10.0)), Some(Excess::AllLines(mib(20.0))));
}

#[test]
fn different_programs_are_told_and_compared() {
    let before = profile(vec![server()]);
    let mut other = server();
    other.command[1] = "/opt/other.py".to_owned();
    let other = profile(vec![other]);
    let diff = Diff::of(("a", &before), ("b", &other));
    assert!(!diff.same_programs());
    assert!(table_of(&diff).contains("different programs"));
    let report: Value = serde_json::from_str(&json_of(&diff)).unwrap();
    assert_eq!(report["same_programs"], false);
    assert_eq!(report["before"]["programs"], serde_json::json!(["app.py"]));
    assert_eq!(report["change_resident_bytes"], 0);
    // Another port, another folder, another worker: the same program.
    let mut same = server();
    same.command = ["python3.12", "/releases/7/app.py"].map(str::to_owned).to_vec();
    let mut worker = process(4243, &["sh"], Memory::ZERO);
    worker.parent = Some(4242);
    let same = profile(vec![same, worker]);
    assert!(Diff::of(("a", &before), ("b", &same)).same_programs());
}

#[test]
fn any_diff_adds_up_to_the_reports_of_both_sides() {
    let sum = |rows: &Value, key: &dyn Fn(&Value) -> i64| -> i64 {
        rows.as_array().unwrap().iter().map(key).sum()
    };
    for seed in 1..=40 {
        let mut random = Random::seeded(seed);
        let a = profile(vec![random.process(1), random.process(2)]);
        let b = profile(vec![random.process(1)]);
        let report: Value =
            serde_json::from_str(&json_of(&Diff::of(("a", &a), ("b", &b)))).unwrap();
        for (side, whole) in [("before", &a), ("after", &b)] {
            let whole: Value = serde_json::from_str(&super::json_report::printed(whole)).unwrap();
            let of = |key: &str| report[side][key].as_i64().unwrap();
            let processes = &whole["processes"];
            for key in ["rss_before_bytes", "rss_after_bytes", "attributed_bytes"] {
                assert_eq!(of(key), sum(processes, &|one| one[key].as_i64().unwrap()), "{key}");
            }
            assert_eq!(of("law_gap_bytes"), 0);
            let lines = |line: &Value| {
                let own = &line[side];
                own["self_grown_bytes"].as_i64().unwrap()
                    - own["self_returned_bytes"].as_i64().unwrap()
            };
            let rows = format!("{side}_net_bytes");
            let lines = sum(&report["lines"], &lines);
            let rows = sum(&report["unattributed"], &|row| row[&rows].as_i64().unwrap());
            assert_eq!(of("rss_before_bytes") + lines + rows, of("rss_after_bytes"), "{seed}");
        }
    }
}

#[test]
fn a_diff_is_harmless_on_a_terminal() {
    let named = |name: &str| {
        let mut process = process(1, &["python", name], Memory::ZERO);
        let own = line(name, name, 1, 1, Memory::ZERO);
        process.stacks = vec![stack(0, &[&own], memory(1.0, 0.0, 0.0))];
        process.lines = lines_of(&process.stacks);
        process.unattributed =
            vec![unattributed(Reason::NativeThread, name, memory(1.0, 0.0, 0.0), 1)];
        profile(vec![process])
    };
    let name = "a\u{1b}[2J\u{202e}\nb";
    let (evil, tame) = (named(name), named("tame"));
    let (diff, other) =
        (Diff::of((name, &evil), (name, &evil)), Diff::of(("t", &tame), ("t", &tame)));
    for (text, tame) in [(table_of(&diff), table_of(&other)), (json_of(&diff), json_of(&other))] {
        assert!(!text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'));
        assert_eq!(text.lines().count(), tame.lines().count(), "no line of its own:\n{text}");
    }
    let report: Value = serde_json::from_str(&json_of(&diff)).unwrap();
    assert_eq!(report["lines"][0]["file"], name);
}

#[test]
fn two_empty_profiles_have_nothing_to_compare() {
    let nothing = profile(vec![process(1, &["a"], Memory::ZERO)]);
    let diff = Diff::of(("a", &nothing), ("b", &nothing));
    assert!(table_of(&diff).contains("No Python line changed RSS in either."));
    assert_eq!(diff.excess(Bytes::ZERO), None);
}
