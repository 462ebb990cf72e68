//! What must hold for any profile: the law in JSON, and the table saying the same as JSON.

use memtrace::report::{SourceTexts, TableOptions};
use serde_json::Value;

use super::build::{Random, profile, server};
use super::{json_report, table_report};

fn sum(rows: &Value, key: &str) -> i64 {
    rows.as_array().unwrap().iter().map(|row| row[key].as_i64().unwrap()).sum()
}

fn split_sum(rows: &Value, key: &str, kind: &str) -> i64 {
    rows.as_array().unwrap().iter().map(|row| row[key][kind].as_i64().unwrap()).sum()
}

#[test]
fn the_sample_profile_is_consistent() {
    let server = server();
    assert_eq!(memtrace::profile::lines_of(&server.stacks), server.lines);
    let mut net = vec![memtrace::units::Bytes::ZERO; server.lines.len()];
    for (line, change) in server.moments.iter().flat_map(|moment| &moment.changes) {
        net[*line] += *change;
    }
    let lines: Vec<_> = server.lines.iter().map(|line| line.self_net.total()).collect();
    assert_eq!(net, lines);
    assert_eq!(server.moments.last().unwrap().rss, server.after);
}

#[test]
fn the_report_of_any_profile_obeys_the_law() {
    for seed in 1..=60 {
        let process = Random::seeded(seed).process(1);
        let report = json_report::printed(&profile(vec![process]));
        let report: Value = serde_json::from_str(&report).unwrap();
        let process = &report["processes"][0];
        let lines = sum(&process["lines"], "self_net_bytes");
        let rows = sum(&process["unattributed"], "net_bytes");
        let before = process["rss_before_bytes"].as_i64().unwrap();
        assert_eq!(process["attributed_bytes"].as_i64().unwrap(), lines);
        assert_eq!(process["rss_after_bytes"].as_i64().unwrap(), before + lines + rows);
        assert_eq!(process["law_gap_bytes"], 0);
        for kind in ["anon", "file", "shmem"] {
            let lines = split_sum(&process["lines"], "self_net", kind);
            let rows = split_sum(&process["unattributed"], "net", kind);
            let before = process["rss_before"][kind].as_i64().unwrap();
            assert_eq!(process["rss_after"][kind].as_i64().unwrap(), before + lines + rows);
        }
    }
}

/// The numbers in `text`, in order.
fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// A number of thousandths that a table printed.
fn thousandths(printed: f64) -> i64 {
    (printed * 1000.0).round() as i64
}

#[test]
fn the_table_report_of_any_profile_says_what_json_says() {
    for seed in 1..=60 {
        let profile = profile(vec![Random::seeded(1000 + seed).process(1)]);
        let json = json_report::printed(&profile);
        let json: Value = serde_json::from_str(&json).unwrap();
        let process = &json["processes"][0];
        let table = table_report::printed(&profile, &SourceTexts::new(), &TableOptions::default());
        let row = |start: &str| {
            let row = table.lines().find(|line| line.trim_start().starts_with(start));
            row.map(|row| row.trim_start()[start.len()..].to_owned())
        };

        let figure = |key: &str| process[key].as_i64().unwrap() as f64;
        let rows = sum(&process["unattributed"], "net_bytes") as f64;
        let exact = [
            figure("rss_before_bytes"),
            figure("attributed_bytes"),
            rows,
            figure("rss_after_bytes"),
        ];
        assert_eq!(numbers(&row("in bytes:").unwrap()), exact);

        // Rounded, the sum still adds up, to the last digit printed.
        let law = numbers(&row("Sum").unwrap());
        let law: Vec<_> = law.into_iter().map(thousandths).collect();
        assert_eq!(law[0] + law[1] + law[2], law[3]);
        for (printed, exact) in law.iter().zip(exact) {
            let exact = exact * 1000.0 / f64::from(1 << 20);
            assert!((*printed as f64 - exact).abs() < 2.6, "{printed} for {exact}");
        }

        // The top lines and what "more lines" stands for come to all lines.
        let lines = process["lines"].as_array().unwrap();
        let top = table.lines().skip_while(|line| !line.starts_with("Top lines"));
        let top: Vec<_> = top.skip(2).take_while(|line| !line.is_empty()).collect();
        let (rest, shown): (Vec<&str>, _) = top.iter().partition(|line| line.starts_with('…'));
        assert_eq!(shown.len(), lines.len().min(20));
        let shown: i64 = shown.iter().map(|line| thousandths(numbers(line)[0])).sum();
        let rest: i64 = rest.iter().map(|line| thousandths(numbers(line)[1])).sum();
        let exact = figure("attributed_bytes") * 1000.0 / f64::from(1 << 20);
        assert!(((shown + rest) as f64 - exact).abs() <= 0.5 * 21.0);
    }
}
