//! Objects that the garbage collector tracks, by type.

use std::io::{self, Write};

use super::{ExplainOptions, heading};
use crate::report::figures::{count, mib, mib_unit};
use crate::report::grid::{Grid, Spec};
use crate::report::printable;
use crate::snapshot::picture::Census;

/// Writes the types with the most bytes.
pub(super) fn write(
    out: &mut dyn Write,
    census: &Census,
    options: &ExplainOptions,
) -> io::Result<()> {
    let objects = count(census.objects, "object", "objects");
    let size = mib_unit(census.size_bytes);
    let title = format!("The garbage collector tracks {objects}, {size}");
    heading(out, &title, options)?;
    let mut grid = Grid::new(vec![
        Spec::number("MiB").least(10, 0),
        Spec::number("Objects"),
        Spec::name("Type"),
    ]);
    for row in census.types.iter().take(options.limit) {
        let name = printable(&row.name).into_owned();
        grid.row(vec![mib(row.size_bytes), row.count.to_string(), name]);
    }
    grid.write(out, options.width, options.color, false)?;
    let rest = census.types.iter().skip(options.limit);
    let (types, bytes) = (rest.clone().count() as u64, rest.map(|row| row.size_bytes).sum());
    if types > 0 {
        writeln!(out, "  … and {}, {}", count(types, "more type", "more types"), mib_unit(bytes))?;
    }
    if census.permanent > 0 {
        writeln!(
            out,
            "  {} of them are in the permanent generation (gc.freeze), which gc.get_objects() \
             leaves out",
            census.permanent
        )?;
    }
    if census.torn_links > 0 {
        writeln!(
            out,
            "  {} changed while they were followed",
            count(census.torn_links, "link", "links")
        )?;
    }
    writeln!(
        out,
        "  A type's bytes are its objects' own blocks: not a list's array, not a dict's table."
    )
}
