//! The standard library's tracemalloc, one frame deep, as it is by default.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Lines, Place, Start, Tool, nothing};
use crate::resources;

pub(super) fn tool() -> Tool {
    Tool {
        name: "tracemalloc",
        figure: "bytes of objects alive at the end",
        start: Start::Launch(|place| {
            let around = resources::workspace().join("tests/programs/peers_tracemalloc.py");
            let around = around.display().to_string();
            place.launch(&[&place.tool("python"), &around, &place.file("a.json")])
        }),
        then: nothing,
        answer,
        by_line: true,
    }
}

fn answer(place: &Place) -> Result<Lines> {
    let text = fs::read_to_string(place.file("a.json")).context("no snapshot")?;
    let snapshot: Value = serde_json::from_str(&text)?;
    let mut lines = Lines::new();
    for (line, bytes) in snapshot["lines"].as_object().context("lines")? {
        lines.insert(line.parse()?, bytes.as_f64().context("bytes")?);
    }
    Ok(lines)
}
