//! One line of a table: cells of fixed widths, side by side.
//!
//! Text is made printable and cut to its cell here, so that no name from a target can break a line
//! or leave its column.

use std::borrow::Cow;

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::report::figures;
use crate::report::fit::{cut_end, cut_middle, width};
use crate::report::printable;
use crate::units::Bytes;

/// A line under construction.
#[derive(Debug, Default)]
pub(super) struct Cells {
    spans: Vec<Span<'static>>,
    used: usize,
}

impl Cells {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Columns so far.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// A number, at the right of its cell. It is never cut: wrong digits are worse than a crooked
    /// table.
    pub(super) fn number(&mut self, text: &str, columns: usize, style: Style) {
        self.blanks(columns.saturating_sub(width(text)));
        self.push(text.to_owned(), style);
        self.blanks(1);
    }

    /// A text whose end says least.
    pub(super) fn text(&mut self, text: &str, columns: usize, style: Style) {
        let safe = printable(text);
        self.padded(cut_end(&safe, columns), columns, style);
    }

    /// A path, whose middle says least.
    pub(super) fn path(&mut self, text: &str, columns: usize, style: Style) {
        let safe = printable(text);
        self.padded(cut_middle(&safe, columns), columns, style);
    }

    fn padded(&mut self, text: Cow<'_, str>, columns: usize, style: Style) {
        let free = columns.saturating_sub(width(&text));
        self.push(text.into_owned(), style);
        self.blanks(free + 1);
    }

    pub(super) fn blanks(&mut self, count: usize) {
        if count > 0 {
            self.push(" ".repeat(count), Style::new());
        }
    }

    /// Text as it is, which must be harmless.
    pub(super) fn push(&mut self, text: String, style: Style) {
        self.used += width(&text);
        self.spans.push(Span::styled(text, style));
    }

    /// The line, in a style over all its cells, up to the edge.
    pub(super) fn line(mut self, columns: usize, style: Style) -> Line<'static> {
        self.blanks(columns.saturating_sub(self.used));
        Line::from(self.spans).style(style)
    }
}

/// `+0.500`, `-0.500`, `0.000`
pub(super) fn signed(bytes: Bytes) -> String {
    let text = figures::mib(bytes);
    if bytes > Bytes::ZERO { format!("+{text}") } else { text }
}

/// The part of a list of `length` that is shown in `room` rows with `selected` in its middle.
pub(super) fn window(selected: usize, length: usize, room: usize) -> std::ops::Range<usize> {
    let last = length.saturating_sub(room);
    let from = selected.saturating_sub(room / 2).min(last);
    from..length.min(from + room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_row_is_always_in_the_window() {
        for length in 0..12 {
            for room in 1..8 {
                for selected in 0..length {
                    let shown = window(selected, length, room);
                    assert!(
                        shown.contains(&selected),
                        "{selected} of {length} in {room}: {shown:?}"
                    );
                    assert_eq!(shown.len(), length.min(room));
                }
            }
        }
        assert_eq!(window(0, 0, 5), 0..0);
    }

    #[test]
    fn cells_keep_their_widths_whatever_is_in_them() {
        let mut cells = Cells::new();
        cells.number("1.5", 6, Style::new());
        cells.path("/srv/数据处理/app.py", 10, Style::new());
        cells.text("a\nb\x1b[2J", 6, Style::new());
        let line = cells.line(40, Style::new());
        assert_eq!(line.to_string(), "   1.5 /sr…app.py a\\x0a…".to_owned() + &" ".repeat(16));
        assert_eq!(line.width(), 40);
    }
}
