//! memory_profiler, line by line, of the functions that bear `@profile`.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{Lines, Place, Start, Tool, nothing};

pub(super) fn tool() -> Tool {
    Tool {
        name: "memory_profiler",
        figure: "increment of RSS",
        start: Start::Launch(|place| {
            // With `-o` its file was empty for programs with functions that were not called.
            place.launch(&[&place.tool("python"), "-m", "memory_profiler"])
        }),
        then: nothing,
        answer,
        by_line: true,
    }
}

/// `line usage MiB increment MiB occurrences source`
fn answer(place: &Place) -> Result<Lines> {
    let text = fs::read_to_string(place.file("stdout.txt")).context("no table")?;
    let mut lines = Lines::new();
    for row in text.lines() {
        let words: Vec<&str> = row.split_whitespace().take(5).collect();
        if let [line, _, "MiB", increment, "MiB"] = words[..] {
            lines.insert(line.parse()?, increment.parse::<f64>()? * 1_048_576.0);
        }
    }
    ensure!(!lines.is_empty(), "no table in what it printed");
    Ok(lines)
}
