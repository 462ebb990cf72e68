//! What a hit costs on this machine: a child of memtrace's own allocates and frees, with the lens's probes
//! in it and without.

use std::io::Error;

use memtrace_common::layout::PyLayout;
use memtrace_common::lens::WEIGHT_ONE;

use super::watch::Watch;
use crate::allocator::{self, SeenFiles};
use crate::kernel::{COUNTS, Probes};
use crate::python::maps::Mappings;
use crate::session::calibration::{Calibration, Work};
use crate::session::pace::Costs;

/// Measures it.
pub(super) fn calibrate(probes: &mut Probes) -> Result<Costs, Error> {
    let mut child = Calibration::start()?;
    let pid = child.pid();
    let mut round = || child.round(Work::Allocations);
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
