//! Scalene, with memory, its answer as JSON.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Lines, Place, Start, Tool, nothing};

pub(super) fn tool() -> Tool {
    Tool {
        name: "scalene",
        figure: "MB allocated (`n_malloc_mb`), sampled",
        start: Start::Launch(|place| {
            let (scalene, file) = (place.tool("scalene"), place.file("a.json"));
            let folder = Path::new(&place.program).parent().unwrap_or(Path::new("/"));
            let folder = folder.display().to_string();
            let words = [&*scalene, "run", "--memory", "--program-path", &folder, "-o", &file];
            place.launch(&words)
        }),
        then: nothing,
        answer,
        by_line: true,
    }
}

fn answer(place: &Place) -> Result<Lines> {
    let text = fs::read_to_string(place.file("a.json")).context("Scalene wrote no profile")?;
    let profile: Value = serde_json::from_str(&text)?;
    let mut lines = Lines::new();
    let file = &profile["files"][&place.program]["lines"];
    for line in file.as_array().into_iter().flatten() {
        let (number, mb) = (line["lineno"].as_u64(), line["n_malloc_mb"].as_f64());
        if let (Some(number), Some(mb)) = (number, mb) {
            lines.insert(u32::try_from(number)?, mb * 1_048_576.0);
        }
    }
    Ok(lines)
}
