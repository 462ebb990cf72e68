//! memtrace itself, attached and as the one that starts the program.

use std::fs;

use anyhow::{Context, Result};

use super::{Lines, Place, Start, Tool, nothing};
use crate::report::{Line, Report};

pub(super) fn attach() -> Tool {
    Tool {
        name: "memtrace attach",
        figure: "resident bytes, grown less returned",
        start: Start::Attach(
            |place, pid| {
                let words = ["attach", &pid.to_string(), "-f", "json", "-o", &place.file("a.json")];
                command(place, &words)
            },
            "attached",
        ),
        then: nothing,
        answer: |place| answer(place, |line| line.self_net_bytes),
        by_line: true,
    }
}

pub(super) fn run() -> Tool {
    Tool {
        name: "memtrace run",
        figure: "bytes made resident, returned or not",
        start: Start::Launch(|place| {
            let mut words = command(place, &["run", "-f", "json", "-o", &place.file("a.json")]);
            words.push("--".to_owned());
            words.extend(place.launch(&[&place.tool("python")]));
            words
        }),
        then: nothing,
        answer: |place| answer(place, |line| line.self_grown_bytes),
        by_line: true,
    }
}

fn command(place: &Place, words: &[&str]) -> Vec<String> {
    let binary = place.memtrace.display().to_string();
    std::iter::once(binary).chain(words.iter().map(|word| (*word).to_owned())).collect()
}

#[allow(clippy::cast_precision_loss, reason = "bytes of less than a TiB")]
fn answer(place: &Place, figure: fn(&Line) -> i64) -> Result<Lines> {
    let text = fs::read_to_string(place.file("a.json")).context("memtrace's report")?;
    let report: Report = serde_json::from_str(&text)?;
    let mut lines = Lines::new();
    for line in report.processes.iter().flat_map(|process| &process.lines) {
        if line.file == place.program {
            *lines.entry(line.line).or_default() += figure(line) as f64;
        }
    }
    Ok(lines)
}
