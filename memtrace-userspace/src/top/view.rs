//! The picture of a [`Screen`]: nothing but widgets for a frame.
//!
//! Pure but for two notes to the screen: how many rows a page has, and that a page was scrolled
//! beyond its end. Knows nothing of terminals; tests draw into memory.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::model::{Focus, Page, Screen};

mod cells;
mod detail;
mod frame;
mod help;
mod law;
mod lines;
mod palette;
mod processes;
mod source;
mod trend;

pub use palette::Palette;

/// The smallest screen that anything is shown on.
pub const LEAST: (u16, u16) = (40, 10);

/// Draws the screen as it is now.
pub fn draw(frame: &mut Frame<'_>, screen: &mut Screen, palette: Palette) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let (width, height) = LEAST;
        let words = [
            format!("memtrace top needs {width}×{height},"),
            format!("this is {}×{}.", area.width, area.height),
            "q quits; tracing goes on.".to_owned(),
        ];
        let lines: Vec<_> = words.into_iter().map(Line::raw).collect();
        frame.render_widget(Paragraph::new(lines), area);
        return;
    }
    let columns = usize::from(area.width);
    let room = usize::from(area.height) - 2;
    let mut lines = vec![frame::head(screen, columns, palette)];
    let body = match screen.page().cloned() {
        None => tables(screen, columns, room, palette),
        Some(page) => self::page(screen, &page, columns, room, palette),
    };
    lines.extend(body.into_iter().take(room));
    lines.resize(room + 1, Line::default());
    lines.push(frame::foot(screen, columns, palette));
    render(frame, area, lines);
}

fn render(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'static>>) {
    frame.render_widget(Paragraph::new(lines).style(Style::new()), area);
}

/// Processes, lines, and the sum.
fn tables(
    screen: &mut Screen,
    columns: usize,
    room: usize,
    palette: Palette,
) -> Vec<Line<'static>> {
    let processes = screen.processes().len() + screen.refused().len();
    let rows = screen.rows();
    let sums = frame::sums(screen, &rows, columns, palette);
    // Lines get most of the room, unless the user is at the processes.
    let most = match screen.focus() {
        Focus::Lines => (room / 5).max(1),
        Focus::Processes => room / 2,
    };
    let of_processes = 1 + processes.min(most).max(1);
    let of_lines = room.saturating_sub(of_processes + sums.len());

    let mut lines = processes::table(screen, (columns, of_processes), palette);
    lines.resize(of_processes, Line::default());
    let selected = screen.selected(&rows.rows);
    let selected = (screen.focus() == Focus::Lines).then_some(selected);
    let mut table = Vec::new();
    if let Some(picture) = screen.picture() {
        let size = (columns, of_lines);
        table = lines::table(picture, screen.choice(), &rows.rows, selected, size, palette);
    }
    if rows.rows.is_empty() {
        table.push(Line::styled(nothing(screen, rows.hidden_rows), palette.dim()));
    }
    table.resize(of_lines, Line::default());
    lines.extend(table);
    lines.extend(sums);
    screen.page_rows = match screen.focus() {
        Focus::Lines => of_lines,
        Focus::Processes => of_processes,
    }
    .saturating_sub(2);
    lines
}

fn nothing(screen: &Screen, hidden: usize) -> &'static str {
    if screen.picture().is_none() {
        "  waiting for the end of the first window …"
    } else if hidden > 0 {
        "  no row passes the filter; Esc takes it away"
    } else {
        "  no line has changed RSS so far"
    }
}

fn page(
    screen: &mut Screen,
    page: &Page,
    columns: usize,
    room: usize,
    palette: Palette,
) -> Vec<Line<'static>> {
    screen.page_rows = room.saturating_sub(2);
    let heading = |text: String| Line::styled(format!(" {text}"), palette.heading());
    let (title, lines) = match page {
        Page::Source { life, file, line, left } => {
            let of = (*life, file.as_str());
            let size = (columns, room - 1);
            let (lines, last) = source::page(screen, of, (*line, *left), size, palette);
            screen.correct_source_line(u32::try_from(last).unwrap_or(u32::MAX));
            let title = source::title(screen, of, columns);
            return [vec![heading(title)], lines].concat();
        }
        Page::Help => ("help".to_owned(), help::page(columns, palette)),
        Page::Detail { life, row } => {
            ("detail".to_owned(), detail::page(screen, *life, row.as_ref(), columns, palette))
        }
    };
    let last = lines.len().saturating_sub(room - 1);
    screen.scroll = screen.scroll.min(last);
    let more = if last > 0 {
        format!("  ({}–{} of {})", screen.scroll + 1, screen.scroll + room - 1, lines.len())
    } else {
        String::new()
    };
    let shown = lines.into_iter().skip(screen.scroll).take(room - 1);
    std::iter::once(heading(format!("{title}{more}"))).chain(shown).collect()
}
