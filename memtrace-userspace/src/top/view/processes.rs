//! The table of processes: RSS, growth, rate, events and losses, and what tracing costs.

use ratatui::style::Style;
use ratatui::text::Line;

use super::cells::{Cells, signed, window};
use super::palette::Palette;
use super::trend::trend;
use crate::profile::Ending;
use crate::report::figures;
use crate::report::fit::width;
use crate::report::table::command_line;
use crate::top::model::{Focus, ProcessRow, Screen};
use crate::units::Bytes;

/// Columns of the screen from which on a column of the table is there.
const WITH_EVENTS: usize = 60;
const WITH_COST: usize = 70;
const WITH_COMMAND: usize = 70;
/// These come on top of what 80 columns hold.
const WITH_PYTHON: usize = 100;
const WITH_TREND: usize = 110;

/// What a smaller screen lacks, and from which width on it is there.
pub(super) const IF_WIDE: [(usize, &str); 3] =
    [(WITH_EVENTS, "losses"), (WITH_COST, "cost"), (WITH_COMMAND, "command")];

struct Columns {
    all: usize,
    pid: usize,
    bytes: usize,
    python: usize,
    events: usize,
    lost: usize,
    cost: usize,
    trend: usize,
}

impl Columns {
    fn fit(screen: &Screen, rows: &[ProcessRow<'_>], all: usize) -> Self {
        let digits = |number: u64| number.to_string().len();
        let pids = rows.iter().map(|row| row.life.pid);
        let pids = pids.chain(screen.refused().iter().map(|refused| refused.pid));
        let figures = rows.iter().flat_map(|row| {
            let rss = figures::mib(row.process.after.total());
            [width(&rss), width(&signed(row.growth)), width(&signed(row.per_minute))]
        });
        let most = |figure: fn(&ProcessRow<'_>) -> u64| rows.iter().map(figure).max().unwrap_or(0);
        let from = |least: usize, wide: usize| if all < least { 0 } else { wide };
        Self {
            all,
            pid: pids.map(|pid| digits(pid.into())).max().unwrap_or(0).max(5),
            bytes: figures.max().unwrap_or(0).max(8),
            python: from(WITH_PYTHON, 7),
            events: from(WITH_EVENTS, digits(most(|row| row.process.events)).max(6)),
            lost: from(WITH_EVENTS, digits(most(|row| row.process.lost_events)).max(4)),
            cost: from(WITH_COST, 6),
            trend: from(WITH_TREND, (all.saturating_sub(80) / 2).clamp(8, 60)),
        }
    }
}

/// The head and as many rows as there is room for.
pub(super) fn table(
    screen: &Screen,
    (all, room): (usize, usize),
    palette: Palette,
) -> Vec<Line<'static>> {
    let rows = screen.processes();
    let columns = Columns::fit(screen, &rows, all);
    let selected = screen.selected_process(&rows);
    let count = rows.len() + screen.refused().len();
    let mut lines = vec![head(&columns, palette)];
    for at in window(selected, count, room.saturating_sub(1)) {
        lines.push(match rows.get(at) {
            Some(row) => line(screen, row, at == selected, &columns, palette),
            None => refused(screen, at - rows.len(), &columns, palette),
        });
    }
    lines
}

fn head(columns: &Columns, palette: Palette) -> Line<'static> {
    let mut cells = Cells::new();
    let style = palette.heading();
    cells.blanks(2);
    cells.number("PID", columns.pid, style);
    if columns.python > 0 {
        cells.text("Python", columns.python, style);
    }
    cells.number("RSS", columns.bytes, style);
    cells.number("Growth", columns.bytes, style);
    cells.number("MiB/min", columns.bytes, style);
    if columns.trend > 0 {
        cells.text("Trend", columns.trend, style);
    }
    if columns.events > 0 {
        cells.number("Events", columns.events, style);
        cells.number("Lost", columns.lost, style);
    }
    if columns.cost > 0 {
        cells.number("Cost", columns.cost, style);
        cells.text("Command", columns.all.saturating_sub(cells.used()), style);
    }
    cells.line(columns.all, Style::new())
}

fn line(
    screen: &Screen,
    row: &ProcessRow<'_>,
    is_selected: bool,
    columns: &Columns,
    palette: Palette,
) -> Line<'static> {
    let process = row.process;
    let plain = palette.plain();
    let is_only = screen.choice().only == Some(row.life);
    let focused = screen.focus() == Focus::Processes;
    let mut cells = Cells::new();
    let marker = match (is_selected && focused, is_only) {
        (true, _) => "› ",
        (false, true) => "* ",
        (false, false) => "  ",
    };
    cells.push(marker.to_owned(), palette.bold());
    cells.number(&row.life.pid.to_string(), columns.pid, plain);
    if columns.python > 0 {
        cells.text(process.python.as_deref().unwrap_or("none"), columns.python, plain);
    }
    cells.number(&figures::mib(process.after.total()), columns.bytes, palette.bold());
    cells.number(&signed(row.growth), columns.bytes, plain);
    cells.number(&signed(row.per_minute), columns.bytes, palette.rate(row.per_minute));
    if columns.trend > 0 {
        let recent = screen.picture().map(|picture| &picture.recent);
        let growth = recent.map(|recent| recent.rss_growth(row.life, columns.trend));
        cells.text(&trend(&growth.unwrap_or_default()), columns.trend, palette.trend());
    }
    if columns.events > 0 {
        cells.number(&process.events.to_string(), columns.events, plain);
        let lost = if process.lost_events > 0 { palette.alarm() } else { plain };
        cells.number(&process.lost_events.to_string(), columns.lost, lost);
    }
    if columns.cost > 0 {
        let cost = (row.cost.probe + row.cost.userspace) * 100.0;
        cells.number(&format!("{cost:.1}%"), columns.cost, plain);
        let left = columns.all.saturating_sub(cells.used());
        cells.text(&command(row), left, plain);
    }
    let style = match (is_selected && focused, process.ending) {
        (true, _) => palette.selected(),
        (false, Ending::Running) => palette.plain(),
        (false, Ending::Exited | Ending::Execed) => palette.dim(),
    };
    cells.line(columns.all, style)
}

/// The command, after what else one must know of the process.
fn command(row: &ProcessRow<'_>) -> String {
    let state = match (row.process.ending, &row.process.python) {
        (Ending::Exited, _) => "(exited) ",
        (Ending::Execed, _) => "(called exec) ",
        (Ending::Running, None) => "(not Python) ",
        (Ending::Running, Some(_)) => "",
    };
    format!("{state}{}", command_line(&row.process.command))
}

fn refused(screen: &Screen, at: usize, columns: &Columns, palette: Palette) -> Line<'static> {
    let mut cells = Cells::new();
    if let Some(refused) = screen.refused().get(at) {
        cells.blanks(2);
        cells.number(&refused.pid.to_string(), columns.pid, palette.plain());
        let text = format!("not traced: {}", refused.why);
        cells.text(&text, columns.all.saturating_sub(cells.used()), palette.plain());
    }
    cells.line(columns.all, palette.dim())
}

/// Lost events and bytes of all processes.
pub(super) fn losses(rows: &[ProcessRow<'_>]) -> Option<(u64, Bytes)> {
    let events = rows.iter().map(|row| row.process.lost_events).sum();
    let bytes = rows.iter().map(|row| row.process.lost_bytes).sum();
    (events > 0).then_some((events, bytes))
}
