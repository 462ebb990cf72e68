//! Source text around a line, with the figures of the file's lines beside it.

use std::collections::BTreeMap;

use ratatui::text::{Line, Span};

use super::cells::{Cells, window};
use super::palette::Palette;
use crate::report::SourceText;
use crate::report::figures::mib;
use crate::report::fit::{cut_end, expand_tabs, width};
use crate::report::printable;
use crate::top::model::{Life, Screen, margin};
use crate::units::Bytes;

/// Cells of a bar.
const BAR: usize = 8;
/// Columns of the screen from which on there are bars.
const WITH_BAR: usize = 70;

/// The lines that there is room for, the one at which the user is among them; and how many the
/// file has.
pub(super) fn page(
    screen: &Screen,
    (life, file): (Life, &str),
    (line, left): (u32, usize),
    (columns, room): (usize, usize),
    palette: Palette,
) -> (Vec<Line<'static>>, usize) {
    let process = screen.picture().and_then(|picture| picture.process(life));
    let figures =
        process.map(|process| margin::margin(process, file, screen.choice())).unwrap_or_default();
    match screen.source_text(life, file) {
        None => (vec![Line::from(Span::styled(" reading …", palette.dim()))], usize::MAX),
        Some(SourceText::Unreadable(why)) => {
            let why = printable(why);
            let text = format!(" No source text, figures only: {why}");
            let text = cut_end(&text, columns).into_owned();
            let mut lines = vec![Line::from(Span::styled(text, palette.notice())), Line::default()];
            let page = Page { figures: &figures, line, left, columns, palette };
            lines.extend(figures.keys().take(room).map(|number| page.line(*number, "")));
            (lines, figures.keys().last().map_or(1, |last| *last as usize))
        }
        Some(SourceText::Text { lines: text, changed }) => {
            let mut lines = Vec::new();
            if *changed {
                let warning = " !! The file was changed after the program had started: what stands \
                               on a line may not be what ran.";
                let warning = cut_end(warning, columns).into_owned();
                lines.push(Line::from(Span::styled(warning, palette.notice())));
            }
            let last = figures.keys().last().map_or(0, |last| *last as usize);
            if last > text.len() {
                let warning = format!(
                    " !! There are figures up to line {last}, but the file has {} lines now.",
                    text.len()
                );
                let warning = cut_end(&warning, columns).into_owned();
                lines.push(Line::from(Span::styled(warning, palette.notice())));
            }
            let page = Page { figures: &figures, line, left, columns, palette };
            let at = (line as usize).saturating_sub(1).min(text.len().saturating_sub(1));
            let shown = window(at, text.len(), room.saturating_sub(lines.len()));
            for index in shown {
                let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
                lines.push(page.line(number, &text[index]));
            }
            (lines, text.len())
        }
    }
}

struct Page<'a> {
    figures: &'a BTreeMap<u32, Bytes>,
    line: u32,
    left: usize,
    columns: usize,
    palette: Palette,
}

impl Page<'_> {
    fn line(&self, number: u32, text: &str) -> Line<'static> {
        let palette = self.palette;
        let figure = self.figures.get(&number).copied();
        let is_here = number == self.line;
        let mut cells = Cells::new();
        cells.push(if is_here { "› " } else { "  " }.to_owned(), palette.bold());
        cells.number(&figure.map_or_else(String::new, mib), 10, palette.bold());
        if self.columns >= WITH_BAR {
            cells.text(&self.bar(figure), BAR, palette.trend());
        }
        cells.number(&number.to_string(), 5, palette.dim());
        let text = expand_tabs(text);
        let text = printable(&text);
        let text = skip(&text, self.left);
        let room = self.columns.saturating_sub(cells.used());
        cells.text(text, room, if figure.is_some() { palette.plain() } else { palette.dim() });
        cells.line(self.columns, if is_here { palette.selected() } else { palette.plain() })
    }

    /// As long as the figure is large, measured by the largest of the file.
    fn bar(&self, figure: Option<Bytes>) -> String {
        let size = |bytes: &Bytes| bytes.0.unsigned_abs();
        let largest = self.figures.values().map(size).max().unwrap_or(0).max(1);
        let Some(figure) = figure else { return String::new() };
        let eighths = u128::from(size(&figure)) * (BAR as u128 * 8) / u128::from(largest);
        let (full, rest) = ((eighths / 8) as usize, (eighths % 8) as usize);
        let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][rest];
        format!("{}{part}", "█".repeat(full))
    }
}

/// The text without its first columns.
fn skip(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        if used >= columns {
            return &text[at..];
        }
        used += width(c.encode_utf8(&mut [0; 4]));
    }
    if used > columns || columns == 0 { text } else { "" }
}

/// What stands over the page.
pub(super) fn title(screen: &Screen, (life, file): (Life, &str), columns: usize) -> String {
    let choice = screen.choice();
    let figure = format!("{} {} MiB", choice.scope.as_str(), choice.measure.as_str());
    let file = printable(file);
    let room = columns.saturating_sub(width(&figure) + 12);
    let file = crate::report::fit::cut_middle(&file, room);
    format!("{file}  {}  {figure}", life.pid)
}
