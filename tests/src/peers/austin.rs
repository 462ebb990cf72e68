//! Austin in its memory mode: every millisecond a stack, with what RSS rose by since the last.

use std::fs;

use anyhow::{Context, Result};

use super::{Lines, Place, Start, Tool, nothing};

pub(super) fn tool() -> Tool {
    Tool {
        name: "Austin",
        figure: "rise of RSS between samples, every ms",
        start: Start::Launch(|place| {
            let (austin, python) = (place.tool("austin"), place.tool("python"));
            place.launch(&[&austin, "-m", "-i", "1ms", "-o", &place.file("a.txt"), &python])
        }),
        then: nothing,
        answer,
        by_line: true,
    }
}

/// `P…;T…;file:function:line;… bytes`, the innermost last.
fn answer(place: &Place) -> Result<Lines> {
    let text = fs::read_to_string(place.file("a.txt")).context("Austin wrote nothing")?;
    let mut lines = Lines::new();
    for row in text.lines() {
        let Some((stack, bytes)) = row.rsplit_once(' ') else { continue };
        let ours = stack.rsplit(';').find_map(|frame| {
            let mut parts = frame.rsplitn(3, ':');
            let line = parts.next()?.parse().ok()?;
            (parts.nth(1)? == place.program).then_some(line)
        });
        if let (Some(line), Ok(bytes)) = (ours, bytes.parse::<f64>()) {
            *lines.entry(line).or_default() += bytes;
        }
    }
    Ok(lines)
}
