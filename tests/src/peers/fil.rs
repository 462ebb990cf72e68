//! Fil: the peak, as folded stacks.

use std::fs;

use anyhow::{Context, Result};

use super::{Lines, Place, Start, Tool, nothing};

pub(super) fn tool() -> Tool {
    Tool {
        name: "Fil",
        figure: "bytes allocated at the peak",
        start: Start::Launch(|place| {
            let fil = place.tool("fil-profile");
            place.launch(&[&fil, "--no-browser", "-o", &place.file("fil"), "run"])
        }),
        then: nothing,
        answer,
        by_line: true,
    }
}

/// `file:line (function);… bytes`, the innermost last.
fn answer(place: &Place) -> Result<Lines> {
    let mut folders = fs::read_dir(place.file("fil")).context("Fil wrote nothing")?;
    let folder = folders.next().context("Fil wrote nothing")??.path();
    let text = fs::read_to_string(folder.join("peak-memory.prof"))?;
    let name = place.program.trim_start_matches('/');
    let mut lines = Lines::new();
    for row in text.lines() {
        let Some((stack, bytes)) = row.rsplit_once(' ') else { continue };
        let ours = stack.rsplit(';').find_map(|frame| {
            let (file, rest) = frame.split_once(':')?;
            let line = rest.split_once(' ')?.0.parse().ok()?;
            file.ends_with(name).then_some(line)
        });
        if let Some(line) = ours {
            *lines.entry(line).or_default() += bytes.parse::<f64>()?;
        }
    }
    Ok(lines)
}
