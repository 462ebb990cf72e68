//! A grid of cells with aligned columns.
//!
//! Every column is as wide as its widest cell, and at least as wide as it was asked to be; columns
//! of names give way, cut in the middle, when the whole wouldn't fit. Knows cells and widths only:
//! what is in them, and that it is harmless, is the caller's business.

use std::io::{self, Write};

use super::fit::{cut_middle, width};

/// A column of names is never cut to less, however narrow the terminal.
const LEAST_NAME: usize = 12;

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spec {
    pub(super) header: &'static str,
    pub(super) align: Align,
    /// At least so wide.
    pub(super) min: usize,
    /// Blanks before it.
    pub(super) gap: usize,
    /// Whether its cells may be cut in the middle.
    pub(super) gives_way: bool,
}

impl Spec {
    pub(super) const fn number(header: &'static str) -> Self {
        Self { header, align: Align::Right, min: 0, gap: 2, gives_way: false }
    }

    pub(super) const fn text(header: &'static str) -> Self {
        Self { header, align: Align::Left, min: 0, gap: 2, gives_way: false }
    }

    /// Text that may be cut in the middle.
    pub(super) const fn name(header: &'static str) -> Self {
        Self { gives_way: true, ..Self::text(header) }
    }

    pub(super) const fn least(self, min: usize, gap: usize) -> Self {
        Self { min, gap, ..self }
    }
}

/// Rows under headers.
#[derive(Debug)]
pub(super) struct Grid {
    specs: Vec<Spec>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    pub(super) fn new(specs: Vec<Spec>) -> Self {
        Self { specs, rows: Vec::new() }
    }

    /// A row; cells that are missing at its end stay empty.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Widths of the columns, so that all of them together take at most `limit`, where that is
    /// possible without cutting figures.
    fn widths(&self, limit: usize) -> Vec<usize> {
        let cell = |row: &Vec<String>, at: usize| row.get(at).map_or(0, |cell| width(cell));
        let widest = |(at, spec): (usize, &Spec)| {
            let cells = self.rows.iter().map(|row| cell(row, at)).max().unwrap_or(0);
            cells.max(width(spec.header)).max(spec.min)
        };
        let mut widths: Vec<_> = self.specs.iter().enumerate().map(widest).collect();

        let gaps: usize = self.specs.iter().map(|spec| spec.gap).sum();
        let stiff = |(spec, width): (&Spec, &usize)| if spec.gives_way { 0 } else { *width };
        let fixed: usize = self.specs.iter().zip(&widths).map(stiff).sum();
        let mut room = limit.saturating_sub(gaps + fixed);
        // The narrowest first: what it leaves of its share goes to the others.
        let mut names: Vec<_> = (0..widths.len()).filter(|at| self.specs[*at].gives_way).collect();
        names.sort_by_key(|at| widths[*at]);
        for (done, at) in names.iter().enumerate() {
            let share = room / (names.len() - done);
            widths[*at] = widths[*at].min(share.max(LEAST_NAME));
            room = room.saturating_sub(widths[*at]);
        }
        widths
    }

    /// Header (in `bold` if asked for), optionally a rule of `=`, then the rows, within `limit`
    /// columns as far as names can give way.
    pub(super) fn write(
        &self,
        out: &mut dyn Write,
        limit: usize,
        bold: bool,
        rule: bool,
    ) -> io::Result<()> {
        let widths = self.widths(limit);
        let header = self.line(&widths, |at| self.specs[at].header);
        writeln!(out, "{}", emphasis(&header, bold))?;
        if rule {
            writeln!(out, "{}", "=".repeat(width(&header)))?;
        }
        for row in &self.rows {
            let line = self.line(&widths, |at| row.get(at).map_or("", String::as_str));
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn line<'a>(&self, widths: &[usize], cell: impl Fn(usize) -> &'a str) -> String {
        let mut line = String::new();
        for (at, (spec, columns)) in self.specs.iter().zip(widths).enumerate() {
            let text = cut_middle(cell(at), *columns);
            let text = text.as_ref();
            let blanks = " ".repeat(columns.saturating_sub(width(text)));
            line.push_str(&" ".repeat(spec.gap));
            match spec.align {
                Align::Left => line.extend([text, blanks.as_str()]),
                Align::Right => line.extend([blanks.as_str(), text]),
            }
        }
        line.truncate(line.trim_end_matches(' ').len());
        line
    }
}

/// `text`, bold on a terminal that shows it.
pub(super) fn emphasis(text: &str, bold: bool) -> String {
    if bold { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_is_in_them() {
        let mut grid = Grid::new(vec![Spec::number("MiB"), Spec::text("Name"), Spec::number("n")]);
        grid.row(vec!["-1.000".into(), "数据".into(), "1".into()]);
        grid.row(vec!["1048576.000".into(), "a".into(), "22".into()]);
        grid.row(vec!["0.000".into()]);
        let mut out = Vec::new();
        grid.write(&mut out, usize::MAX, false, true).unwrap();
        let expected = "\
\x20         MiB  Name   n
=======================
       -1.000  数据   1
  1048576.000  a     22
        0.000
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn names_give_way_and_figures_do_not() {
        let mut grid = Grid::new(vec![Spec::number("MiB"), Spec::name("File"), Spec::name("Name")]);
        let long = "0123456789".repeat(4);
        grid.row(vec!["123456.789".into(), long.clone(), "fourteen chars".into()]);
        // 2 + 10 for the figure, 2 + 2 for gaps: of 50 cells 34 are left, 17 for each name. The
        // shorter one needs 14, so that the other gets 20.
        assert_eq!(grid.widths(50), [10, 20, 14]);
        assert_eq!(grid.widths(usize::MAX), [10, 40, 14]);
        assert_eq!(grid.widths(0), [10, LEAST_NAME, LEAST_NAME]);
        let mut out = Vec::new();
        grid.write(&mut out, 50, false, false).unwrap();
        let row = "  123456.789  012345…7890123456789  fourteen chars\n";
        assert!(String::from_utf8(out).unwrap().ends_with(row));
    }
}
