//! Folded stacks: golden files, and sums that equal the JSON report's.

use std::collections::BTreeMap;

use memtrace::profile::{Memory, ProcessProfile, Profile, Reason, lines_of};
use memtrace::report::{Measure, StackOptions, folded};
use memtrace::units::Bytes;
use serde_json::Value;

use super::build::*;
use super::{check, json_report};

pub(crate) fn printed(profile: &Profile, options: &StackOptions) -> String {
    let mut out = Vec::new();
    folded::write(&mut out, profile, options).unwrap();
    String::from_utf8(out).unwrap()
}

fn of(measure: Measure) -> StackOptions {
    StackOptions { measure, split_threads: false }
}

/// The stacks as a reader of the form takes them: frames, and the number after the last blank.
pub(crate) fn parsed(text: &str) -> BTreeMap<Vec<&str>, i64> {
    let lines = text.lines().filter(|line| !line.starts_with("# "));
    let parsed: Vec<_> = lines
        .map(|line| {
            let (stack, size) = line.rsplit_once(' ').unwrap();
            (stack.split(';').collect(), size.parse::<i64>().unwrap())
        })
        .collect();
    let count = parsed.len();
    let stacks: BTreeMap<_, _> = parsed.into_iter().collect();
    assert_eq!(stacks.len(), count, "a stack stands there twice:\n{text}");
    stacks
}

/// What stacks of lines and what rows come to: those below `shrank` count as less than nothing.
fn sums(stacks: &BTreeMap<Vec<&str>, i64>) -> (i64, i64) {
    let (mut lines, mut rows) = (0, 0);
    for (frames, size) in stacks {
        assert!(*size > 0, "{frames:?}");
        let signed = if frames[0] == "shrank" { -size } else { *size };
        let row = frames.last().unwrap().starts_with('[');
        *(if row { &mut rows } else { &mut lines }) += signed;
    }
    (lines, rows)
}

/// The stacks that the documentation shows.
#[test]
fn the_folded_stacks_of_a_server() {
    // In bytes: 32 MiB = 33554432, 4 = 4194304, 2.5 = 2621440, 1.5 = 1572864, 0.25 = 262144.
    // The remainder of -0.25 is below `shrank`.
    let text = printed(&profile(vec![server()]), &of(Measure::Net));
    check("folded.txt", &text);
    let (lines, rows) = sums(&parsed(&text));
    assert_eq!((lines, rows), (40_370_176, 1_310_720));
}

#[test]
fn the_folded_stacks_by_each_other_measure() {
    let profile = profile(vec![server()]);
    let sums = |measure| sums(&parsed(&printed(&profile, &of(measure))));
    // 40 + 4 + 2.5 MiB; rows have their net only: 1.5 - 0.25.
    assert_eq!(sums(Measure::Grown), (48_758_784, 1_310_720));
    // 31.5 + 4 + 2.5
    assert_eq!(sums(Measure::Resident), (39_845_888, 1_310_720));
    // 900 + 64 + 40; 12 + 0
    assert_eq!(sums(Measure::Events), (1004, 12));
}

/// Two threads at one stack: one grew 3 MiB there, the other gave 1 MiB back more than it grew.
fn two_threads() -> ProcessProfile {
    let own = line(APP, "handle", 6, 8, Memory::ZERO);
    let mut returned = stack(1, &[&own], Memory::ZERO);
    returned.returned = memory(1.0, 0.0, 0.0);
    let stacks = vec![stack(0, &[&own], memory(3.0, 0.0, 0.0)), returned];
    ProcessProfile {
        after: memory(2.0, 0.0, 0.0),
        threads: server().threads,
        lines: lines_of(&stacks),
        stacks,
        ..process(7, &["python"], Memory::ZERO)
    }
}

#[test]
fn threads_are_one_stack_or_one_each() {
    let profile = profile(vec![two_threads()]);
    let text = printed(&profile, &of(Measure::Net));
    let stack = vec!["process 7: python", "handle (/srv/app.py:8)"];
    assert_eq!(parsed(&text), BTreeMap::from([(stack, 2 << 20)]));

    let split = StackOptions { split_threads: true, ..of(Measure::Net) };
    let text = printed(&profile, &split);
    let (process, leaf) = ("process 7: python", "handle (/srv/app.py:8)");
    let grew = vec![process, "thread 4242: python", leaf];
    let shrank = vec!["shrank", process, "thread 4250: worker-1", leaf];
    assert_eq!(parsed(&text), BTreeMap::from([(grew, 3 << 20), (shrank, 1 << 20)]));
}

#[test]
fn the_folded_stacks_of_hostile_names() {
    let name = "a;b 12\n# c\u{1b}[2J";
    let own = line(name, name, 1, 2, Memory::ZERO);
    let stacks = vec![stack(0, &[&own, &own], memory(1.0, 0.0, 0.0))];
    let process = ProcessProfile {
        after: memory(3.0, 0.0, 0.0),
        threads: vec![memtrace::profile::Thread { tid: 3, name: name.to_owned() }],
        lines: lines_of(&stacks),
        stacks,
        unattributed: vec![unattributed(Reason::NativeThread, name, memory(2.0, 0.0, 0.0), 1)],
        ..process(3, &[name, &"x".repeat(100_000)], Memory::ZERO)
    };
    let options = StackOptions { split_threads: true, ..of(Measure::Net) };
    let text = printed(&profile(vec![process]), &options);
    let stacks = parsed(&text);
    // process, thread and two frames; process and row
    assert_eq!(stacks.keys().map(Vec::len).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(sums(&stacks), (1 << 20, 2 << 20));
    check("folded-hostile.txt", &text);
}

#[test]
fn a_gap_in_the_law_is_a_stack() {
    let mut process = server();
    process.after.anon += Bytes(4096);
    let text = printed(&profile(vec![process]), &of(Measure::Net));
    assert!(text.starts_with("# process 4242: before attach 12582912 + lines 40370176 + "));
    assert!(text.contains(" + UNEXPLAINED 4096 = RSS now 54267904 bytes\n"));
    assert!(text.contains(";[UNEXPLAINED: the sum does not add up] 4096\n"));
}

#[test]
fn lines_without_stacks_are_told() {
    // The law holds, but only two of the three stacks are there: 2.5 MiB of lines have none.
    let mut process = server();
    process.stacks.pop();
    let text = printed(&profile(vec![process]), &of(Measure::Net));
    assert!(text.contains(";[UNEXPLAINED: the sum does not add up] 2621440\n"));
}

#[test]
fn gaps_of_two_kinds_that_cancel_are_told() {
    let mut process = server();
    process.after += memory(1.0, -1.0, 0.0);
    let text = printed(&profile(vec![process]), &of(Measure::Net));
    assert!(text.contains(" + UNEXPLAINED 0 = RSS now 54263808 bytes\n"));
}

#[test]
fn the_folded_stacks_of_any_profile_come_to_what_json_says() {
    let sum = |process: &Value, rows: &str, key: &str| -> i64 {
        process[rows].as_array().unwrap().iter().map(|row| row[key].as_i64().unwrap()).sum()
    };
    for seed in 1..=60 {
        let mut random = Random::seeded(2000 + seed);
        let profile = profile(vec![random.process(10), random.process(20)]);
        let json = json_report::printed(&profile);
        let json: Value = serde_json::from_str(&json).unwrap();
        for measure in Measure::ALL {
            for split_threads in [false, true] {
                let text = printed(&profile, &StackOptions { measure, split_threads });
                let stacks = parsed(&text);
                for process in json["processes"].as_array().unwrap() {
                    let root = format!("process {}: python", process["pid"]);
                    let own = |frames: &[&str]| frames[0] == root || frames[1] == root;
                    let own = stacks.iter().filter(|(frames, _)| own(frames));
                    let own = own.map(|(frames, size)| (frames.clone(), *size)).collect();
                    let (lines, rows) = match measure {
                        Measure::Grown => ("self_grown_bytes", "net_bytes"),
                        Measure::Net => ("self_net_bytes", "net_bytes"),
                        Measure::Resident => ("self_resident_bytes", "net_bytes"),
                        Measure::Events => ("self_events", "events"),
                        Measure::Allocated => ("allocated_bytes", "allocated_bytes"),
                        Measure::Allocations => ("allocations", "allocations"),
                        Measure::Live => ("live_bytes", "live_bytes"),
                    };
                    let lines = sum(process, "lines", lines);
                    let rows = sum(process, "unattributed", rows);
                    assert_eq!(sums(&own), (lines, rows), "seed {seed}, {measure}");
                    let [before, after] = ["rss_before_bytes", "rss_after_bytes"]
                        .map(|key| process[key].as_i64().unwrap());
                    if measure == Measure::Net {
                        assert_eq!(before + lines + rows, after, "seed {seed}");
                    }
                }
            }
        }
    }
}
