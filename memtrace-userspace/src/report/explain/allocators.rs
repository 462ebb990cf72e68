//! The books of the two allocators: CPython's arenas, glibc's heap.

use std::io::{self, Write};

use super::{ExplainOptions, heading};
use crate::report::figures::{count, mib, mib_unit};
use crate::report::grid::{Grid, Spec};
use crate::snapshot::picture::{Arenas, Heap};

/// Writes how full arenas are, and what is in them by size.
pub(super) fn write_arenas(
    out: &mut dyn Write,
    arenas: &Arenas,
    options: &ExplainOptions,
) -> io::Result<()> {
    if arenas.arenas == 0 {
        return Ok(());
    }
    let title = format!(
        "CPython's {} of {}: {} hold a live block",
        count(arenas.arenas, "arena", "arenas"),
        mib_unit(arenas.arena_bytes),
        arenas.held
    );
    heading(out, &title, options)?;
    let mut grid = Grid::new(vec![
        Spec::text("Live").least(14, 2),
        Spec::number("Arenas"),
        Spec::number("Live MiB"),
        Spec::number("RSS MiB"),
    ]);
    let mut from = 0;
    for fill in &arenas.fill {
        if fill.arenas > 0 {
            grid.row(vec![
                format!("{from} to {} %", fill.up_to_percent),
                fill.arenas.to_string(),
                mib(fill.live_bytes),
                mib(fill.resident_bytes),
            ]);
        }
        from = fill.up_to_percent;
    }
    grid.write(out, options.width, options.color, false)?;
    let or_unknown = |number: Option<i64>| number.map_or("unknown".to_owned(), |it| it.to_string());
    writeln!(
        out,
        "  Blocks    {} live in {} in use; {} free",
        arenas.live_blocks,
        count(arenas.pools_in_use, "pool", "pools"),
        count(arenas.pools_free, "pool", "pools")
    )?;
    writeln!(
        out,
        "  Counted   {} by sys.getallocatedblocks(), {} of them malloc's",
        or_unknown(arenas.allocated_blocks),
        or_unknown(arenas.large_blocks)
    )?;
    if arenas.pools_torn + arenas.unreadable > 0 {
        writeln!(
            out,
            "  Missing   {} that changed at each reading, {} that could not be read",
            count(arenas.pools_torn, "pool", "pools"),
            arenas.unreadable
        )?;
    }
    write_classes(out, arenas, options)
}

fn write_classes(out: &mut dyn Write, arenas: &Arenas, options: &ExplainOptions) -> io::Result<()> {
    heading(out, "Blocks by size", options)?;
    let mut grid = Grid::new(vec![
        Spec::number("Bytes").least(7, 0),
        Spec::number("Pools"),
        Spec::number("Live"),
        Spec::number("Live MiB"),
        Spec::number("Free"),
        Spec::number("Free MiB"),
    ]);
    for class in arenas.classes.iter().filter(|class| class.pools > 0) {
        grid.row(vec![
            class.block_bytes.to_string(),
            class.pools.to_string(),
            class.live_blocks.to_string(),
            mib(class.live_bytes),
            class.free_blocks.to_string(),
            mib(class.free_bytes),
        ]);
    }
    grid.write(out, options.width, options.color, false)
}

/// Writes glibc's arenas.
pub(super) fn write_heap(
    out: &mut dyn Write,
    heap: &Heap,
    options: &ExplainOptions,
) -> io::Result<()> {
    let title = format!(
        "glibc's malloc: {} (MiB); malloc_trim(0) would give back {}",
        count(heap.arenas.len() as u64, "arena", "arenas"),
        mib_unit(heap.trim_bytes)
    );
    heading(out, &title, options)?;
    let mut grid = Grid::new(vec![
        Spec::text("Arena").least(16, 2),
        Spec::number("Threads"),
        Spec::number("System"),
        Spec::number("RSS"),
        Spec::number("In use"),
        Spec::number("Free"),
        Spec::number("Chunks"),
        Spec::number("Top"),
        Spec::number("Trimmable"),
    ]);
    // Those with the most memory, after the main one.
    let mut arenas: Vec<_> = heap.arenas.iter().collect();
    arenas.sort_by_key(|arena| (!arena.main, -arena.resident_bytes));
    for arena in arenas.iter().take(options.limit.max(1)) {
        let name = if arena.main { "main".to_owned() } else { format!("{:#x}", arena.address) };
        grid.row(vec![
            if arena.torn { format!("{name} (torn)") } else { name },
            arena.threads.to_string(),
            mib(arena.system_bytes),
            mib(arena.resident_bytes),
            mib(arena.in_use_bytes),
            mib(arena.free_bytes),
            arena.free_chunks.to_string(),
            mib(arena.top_bytes),
            mib(arena.trim_bytes),
        ]);
    }
    grid.write(out, options.width, options.color, false)?;
    if arenas.len() > options.limit.max(1) {
        writeln!(out, "  … and {} more arenas", arenas.len() - options.limit.max(1))?;
    }
    writeln!(
        out,
        "  Beside    {} with mappings of their own, {}",
        count(heap.mapped_blocks, "block", "blocks"),
        mib_unit(heap.mapped_bytes)
    )
}
