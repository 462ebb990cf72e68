//! The rows that add up to RSS, and the largest blocks and files among them.

use std::io::{self, Write};

use super::{ExplainOptions, heading};
use crate::report::figures::{count, mib};
use crate::report::grid::{Grid, Spec};
use crate::report::printable;
use crate::snapshot::picture::{Kind, Snapshot};
use crate::units::Bytes;

/// Writes the kinds of memory, and their sum.
pub(super) fn write(
    out: &mut dyn Write,
    snapshot: &Snapshot,
    options: &ExplainOptions,
) -> io::Result<()> {
    heading(out, "Where RSS is (MiB)", options)?;
    let mut grid = Grid::new(vec![
        Spec::number("RSS").least(10, 0),
        Spec::number("%").least(5, 1),
        Spec::number("Swap").least(8, 1),
        Spec::number("Mapped").least(11, 1),
        Spec::text("Kind"),
    ]);
    let share = |bytes: Bytes| {
        let tenths = i128::from(bytes.0) * 1000 / i128::from(snapshot.rss_bytes.0.max(1));
        let sign = if tenths < 0 { "-" } else { "" };
        format!("{sign}{}.{}", tenths.abs() / 10, tenths.abs() % 10)
    };
    for row in &snapshot.rows {
        let name = match row.kind {
            Kind::OtherAllocator if !snapshot.other_allocators.is_empty() => {
                format!("{} ({})", row.kind.title(), snapshot.other_allocators.join(", "))
            }
            kind => kind.title().to_owned(),
        };
        let (rss, swap, mapped) = (row.rss_bytes, row.swap_bytes, row.mapped_bytes);
        grid.row(vec![mib(rss), share(rss), mib(swap), mib(mapped), printable(&name).into()]);
    }
    let sum = |of: fn(&crate::snapshot::picture::Row) -> Bytes| snapshot.rows.iter().map(of).sum();
    let (rss, swap): (Bytes, Bytes) = (sum(|row| row.rss_bytes), sum(|row| row.swap_bytes));
    let mapped: Bytes = sum(|row| row.mapped_bytes);
    let name = "together: Rss of smaps_rollup".to_owned();
    grid.row(vec![mib(rss), share(rss), mib(swap), mib(mapped), name]);
    grid.write(out, options.width, options.color, false)
}

/// Writes the largest blocks of malloc with mappings of their own.
pub(super) fn write_blocks(
    out: &mut dyn Write,
    snapshot: &Snapshot,
    options: &ExplainOptions,
) -> io::Result<()> {
    let blocks = snapshot.heap.as_ref().map_or(0, |heap| heap.mapped_blocks);
    if snapshot.largest_blocks.is_empty() || options.limit == 0 {
        return Ok(());
    }
    let blocks = count(blocks, "large block", "large blocks");
    heading(out, &format!("{blocks} of malloc, the largest first (MiB)"), options)?;
    let mut grid = Grid::new(vec![
        Spec::number("RSS").least(10, 0),
        Spec::number("Mapped").least(10, 1),
        Spec::text("Address"),
    ]);
    for block in snapshot.largest_blocks.iter().take(options.limit) {
        let address = format!("{:#x}", block.address);
        grid.row(vec![mib(block.rss_bytes), mib(block.mapped_bytes), address]);
    }
    grid.write(out, options.width, options.color, false)
}

/// Writes the files with the most resident pages.
pub(super) fn write_files(
    out: &mut dyn Write,
    snapshot: &Snapshot,
    options: &ExplainOptions,
) -> io::Result<()> {
    if snapshot.files.is_empty() || options.limit == 0 {
        return Ok(());
    }
    heading(out, "Files with the most resident pages (MiB)", options)?;
    let mut grid = Grid::new(vec![
        Spec::number("RSS").least(10, 0),
        Spec::number("Mapped").least(10, 1),
        Spec::name("File"),
    ]);
    for file in snapshot.files.iter().take(options.limit) {
        let path = printable(&file.path).into_owned();
        grid.row(vec![mib(file.rss_bytes), mib(file.mapped_bytes), path]);
    }
    grid.write(out, options.width, options.color, false)
}
