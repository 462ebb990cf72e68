//! What a hit costs on this machine: a child of memtrace's own allocates and frees, with the lens's probes
//! in it and without.
//!
//! The child is this program again (`memtrace calibrate`, hidden): it waits for a line on its standard
//! input, does a round, says how many nanoseconds a pair took, and ends with its input.

use std::io::{BufRead as _, BufReader, Error, Write as _};
use std::process::{Command, Stdio};

use memtrace_common::layout::PyLayout;
use memtrace_common::lens::WEIGHT_ONE;

use super::watch::Watch;
use crate::allocator::{self, SeenFiles};
use crate::kernel::{COUNTS, Probes};
use crate::python::maps::Mappings;
use crate::session::pace::Costs;

/// Pairs of calls in a round.
pub const PAIRS: u32 = 5_000;
/// The best of so many rounds counts: other work on the machine only adds.
const ROUNDS: usize = 3;

/// Measures it.
pub(super) fn calibrate(probes: &mut Probes) -> Result<Costs, Error> {
    let mut child = Command::new("/proc/self/exe")
        .arg("calibrate")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let pid = child.id();
    let measured = match (child.stdin.take(), child.stdout.take()) {
        (Some(mut input), Some(output)) => {
            let mut output = BufReader::new(output);
            let mut round = || -> Result<f64, Error> {
                let mut best = f64::INFINITY;
                for _ in 0..ROUNDS {
                    input.write_all(b"\n")?;
                    let mut line = String::new();
                    output.read_line(&mut line)?;
                    best = best.min(line.trim().parse().map_err(Error::other)?);
                }
                Ok(best)
            };
            measure(pid, probes, &mut round)
        }
        _ => Err(Error::other("no pipes")),
    };
    // It ends when its input does; a zombie is collected here.
    child.wait()?;
    measured
}

fn measure(
    pid: u32,
    probes: &mut Probes,
    round: &mut dyn FnMut() -> Result<f64, Error>,
) -> Result<Costs, Error> {
    let without = round()?;
    let libraries = allocator::libraries(pid, &Mappings::of(pid)?, &mut SeenFiles::new());
    let begun = probes.begin(pid, &PyLayout::NONE, false).map_err(Error::other)?;
    let begun = begun.ok_or_else(|| Error::other("it is gone"))?;
    let mut set = |weight| {
        let maps = probes.lens().ok_or_else(|| Error::other("no maps"))?;
        maps.set(begun.space, weight, 1).map_err(Error::other)
    };
    set(WEIGHT_ONE)?;
    let (mut all, mut frees) = (Watch::new(pid, None), Watch::new(pid, None));
    let mut counts = Vec::new();
    for library in &libraries {
        let malloc = library.functions.iter().find(|function| function.name == "malloc");
        if let Some(point) = malloc.map(|function| &function.point)
            && probes.lens().is_some_and(|maps| maps.counts_calls())
        {
            // Nobody else has a slot yet.
            let place = [(point.file_offset, 0)];
            counts.extend(probes.attach_lens(COUNTS, pid, &point.path, &place));
        }
    }
    let with_counts = if counts.is_empty() { without } else { round()? };
    drop(counts);
    for mut library in libraries {
        let mut freeing = library.clone();
        freeing.functions.retain(|function| !function.allocates());
        frees.attach_library(pid, freeing, probes);
        library.functions.retain(|function| function.allocates());
        all.attach_library(pid, library, probes);
    }
    let with_all = round()?;
    drop(all);
    let with_frees = round()?;
    drop(frees);
    probes.close(&[pid]).map_err(Error::other)?;
    if let Some(maps) = probes.lens() {
        maps.forget(begun.space, []);
    }
    probes.forget(begun.mm, begun.space);
    Ok(Costs {
        allocation: (with_all - with_frees).max(100.0),
        free: (with_frees - without).max(100.0),
        // Where nothing is counted it is never asked for.
        count: (with_counts - without).max(100.0),
        factor: 1.0,
    })
}
