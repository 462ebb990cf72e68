//! Breakpoints in a process: its code, compared with the files that it comes from.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use anyhow::{Context, Result};

/// The places where a process's code is not what its file has, as `FILE+OFFSET`.
///
/// # Errors
/// When the process is gone.
pub fn of(pid: u32) -> Result<Vec<String>> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut found = Vec::new();
    for line in fs::read_to_string(format!("/proc/{pid}/maps"))?.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let &[range, access, offset, _, _, path] = words.as_slice() else { continue };
        if !access.contains('x') || !path.starts_with('/') {
            continue;
        }
        let number = |text: &str| u64::from_str_radix(text, 16).context("a number in maps");
        let (start, end) = range.split_once('-').context("a range in maps")?;
        let (start, end, offset) = (number(start)?, number(end)?, number(offset)?);
        let mut here = vec![0; usize::try_from(end - start)?];
        let read = memory.read_at(&mut here, start)?;
        let mut there = vec![0; read];
        let length = File::open(path)?.read_at(&mut there, offset)?.min(read);
        let differs = (0..length).filter(|&at| here[at] != there[at]);
        found.extend(differs.map(|at| format!("{path}+{:#x}", offset + at as u64)));
    }
    Ok(found)
}
