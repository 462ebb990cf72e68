//! memory_profiler, line by line, of the functions that bear `@profile`.

use std::fs;

use anyhow::{Context, Result};

use super::{Lines, Place, Start, Tool, nothing};

pub(super) fn tool() -> Tool {
    Tool {
        name: "memory_profiler",
        figure: "increment of RSS",
        start: Start::Launch(|place| {
            let (python, file) = (place.tool("python"), place.file("a.txt"));
            let words = [&*python, "-m", "memory_profiler", "--precision", "6", "-o", &file];
            place.launch(&words)
        }),
        then: nothing,
        answer,
        by_line: true,
    }
}

/// `line usage MiB increment MiB occurrences source`
fn answer(place: &Place) -> Result<Lines> {
    let text = fs::read_to_string(place.file("a.txt")).context("no table")?;
    let mut lines = Lines::new();
    for row in text.lines() {
        let words: Vec<&str> = row.split_whitespace().take(5).collect();
        if let [line, _, "MiB", increment, "MiB"] = words[..] {
            lines.insert(line.parse()?, increment.parse::<f64>()? * 1_048_576.0);
        }
    }
    Ok(lines)
}
