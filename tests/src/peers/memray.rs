//! memray: once as it is by default (malloc and mmap, so pymalloc's arenas), once with every object.

use std::fs;

use anyhow::{Context, Result};

use super::{Lines, Place, Start, Tool};

pub(super) fn arenas() -> Tool {
    Tool {
        name: "memray",
        figure: "bytes allocated and not freed at the end",
        start: Start::Launch(|place| {
            let memray = place.tool("memray");
            place.launch(&[&memray, "run", "-q", "-f", "-o", &place.file("a.bin")])
        }),
        then,
        answer,
        by_line: true,
    }
}

pub(super) fn objects() -> Tool {
    Tool {
        name: "memray, all objects",
        start: Start::Launch(|place| {
            let (memray, file) = (place.tool("memray"), place.file("a.bin"));
            let every = "--trace-python-allocators";
            place.launch(&[&memray, "run", "-q", "-f", every, "-o", &file])
        }),
        ..arenas()
    }
}

fn then(place: &Place) -> Vec<Vec<String>> {
    let (memray, from, to) = (place.tool("memray"), place.file("a.bin"), place.file("a.csv"));
    let words = [&*memray, "transform", "csv", "--leaks", "-f", "-o", &to, &from];
    vec![words.map(str::to_owned).to_vec()]
}

/// Stacks are `function;file;line|…`, the innermost first.
fn answer(place: &Place) -> Result<Lines> {
    let file = fs::File::open(place.file("a.csv")).context("memray's table")?;
    let mut lines = Lines::new();
    for row in csv::Reader::from_reader(file).records() {
        let row = row?;
        let bytes: f64 = row.get(2).context("size")?.parse()?;
        let ours = row.get(5).context("stack_trace")?.split('|').find_map(|frame| {
            let mut parts = frame.rsplitn(3, ';');
            let line = parts.next()?.parse().ok()?;
            (parts.next()? == place.program).then_some(line)
        });
        if let Some(line) = ours {
            *lines.entry(line).or_default() += bytes;
        }
    }
    Ok(lines)
}
