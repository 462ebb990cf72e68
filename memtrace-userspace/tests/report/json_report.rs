//! `memtrace.report/1`: one golden document, and what a reader may rely on.

use memtrace::profile::{Ending, Memory, Profile};
use memtrace::report::json;
use memtrace::units::{Bytes, Nanos};
use serde_json::Value;

use super::build::*;
use super::check;

pub(crate) fn printed(profile: &Profile) -> String {
    let mut out = Vec::new();
    json::write(&mut out, profile).unwrap();
    String::from_utf8(out).unwrap()
}

/// A server, and a child without Python that ended with a gap of one page and three losses.
fn two_processes() -> Profile {
    let mut child = process(4243, &["sh"], Memory::ZERO);
    child.parent = Some(4242);
    child.python = None;
    child.ending = Ending::Exited;
    (child.began, child.ended) = (Nanos(12_000_000_000), Some(Nanos(48_000_000_000)));
    child.after.anon = Bytes(4096);
    (child.lost_events, child.lost_bytes) = (3, Bytes(-4096));
    child.notes = vec!["three records were lost".to_owned()];
    profile(vec![server(), child])
}

#[test]
fn the_json_report_of_two_processes() {
    check("report.json", &printed(&two_processes()));
}

#[test]
fn the_json_report_has_the_keys_of_the_contract_in_order() {
    // Written from the contract, not from the output: keys may be added between, never renamed.
    let text = printed(&two_processes());
    let report: Value = serde_json::from_str(&text).unwrap();
    let check = |value: &Value, keys: &[&str]| {
        for key in keys {
            assert!(value.get(key).is_some(), "{key} is missing from {value}");
        }
    };
    check(
        &report,
        &["schema", "started_at", "duration_ns", "lens", "kernel", "exact", "processes"],
    );
    assert_eq!(report["schema"], "memtrace.report/1");
    assert_eq!(report["started_at"], "2026-08-05T10:00:00Z");
    assert_eq!(report["duration_ns"], 60_000_000_000_u64);
    assert_eq!(report["lens"], serde_json::json!(["rss"]));
    let server = &report["processes"][0];
    check(
        server,
        &[
            "pid",
            "command",
            "python",
            "rss_before_bytes",
            "rss_after_bytes",
            "rss_peak_bytes",
            "attributed_bytes",
            "unattributed",
            "events",
            "lost_events",
            "lost_bytes",
            "overhead",
            "lines",
        ],
    );
    check(&server["overhead"], &["probe_ns", "userspace_cpu_ns"]);
    check(&server["unattributed"][0], &["reason", "name", "net_bytes"]);
    check(
        &server["lines"][0],
        &[
            "file",
            "line",
            "function",
            "self_grown_bytes",
            "self_returned_bytes",
            "self_net_bytes",
            "self_resident_bytes",
            "cumulative_net_bytes",
            "cumulative_resident_bytes",
            "peak_rss_bytes",
            "events",
        ],
    );
    assert_eq!(server["rss_after_bytes"], 54_263_808); // 51.75 MiB
    assert_eq!(server["attributed_bytes"], 40_370_176); // 38.5 MiB
    assert_eq!(server["attributed"]["shmem"], 4 << 20);
    assert_eq!(server["law_gap_bytes"], 0);
    let child = &report["processes"][1];
    assert_eq!(child["python"], Value::Null);
    assert_eq!(child["parent_pid"], 4242);
    assert_eq!(child["ending"], "exited");
    assert_eq!(child["law_gap_bytes"], 4096);
}

#[test]
fn the_json_report_keeps_any_name_and_is_harmless_on_a_terminal() {
    let name = "a\u{1b}[2J\u{7f}\u{9b}31m\u{202e}\u{e0041}\"\\\n数据 ü 👩";
    let mut process = process(1, &[name], Memory::ZERO);
    process.lines = vec![line(name, name, 1, 1, Memory::ZERO)];
    let text = printed(&profile(vec![process]));
    let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}' || c == '\u{e0041}';
    assert!(!text.contains(acts));
    assert!(text.contains("数据 ü 👩"));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["processes"][0]["command"][0], name);
    assert_eq!(report["processes"][0]["lines"][0]["file"], name);
}
