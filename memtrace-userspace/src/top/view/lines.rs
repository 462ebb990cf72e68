//! The table of lines: head, rows, and which columns there is room for.

use ratatui::style::Style;
use ratatui::text::Line;

use super::cells::{Cells, signed, window};
use super::palette::Palette;
use super::trend::trend;
use crate::report::figures;
use crate::report::fit::width;
use crate::report::printable;
use crate::top::model::callers::Caller;
use crate::top::model::{Below, Choice, Fold, Measure, Order, Picture, Row, Scope, Subject};

/// Columns of the screen from which on a column of the table is there.
const WITH_TREND: usize = 60;
const WITH_FUNCTION: usize = 60;
const WITH_EVENTS: usize = 70;

/// What a smaller screen lacks, and from which width on it is there.
pub(super) const IF_WIDE: [(usize, &str); 3] =
    [(WITH_TREND, "trend"), (WITH_FUNCTION, "function"), (WITH_EVENTS, "events")];

/// Where the columns stand.
struct Columns {
    all: usize,
    /// Zero where all rows are of one process.
    pid: usize,
    value: usize,
    rate: usize,
    trend: usize,
    events: usize,
    place: usize,
    function: usize,
}

impl Columns {
    fn fit(rows: &[Row], heads: &Heads, several: bool, all: usize) -> Self {
        let widest = |cell: &dyn Fn(&Row) -> usize, least: usize| {
            rows.iter().map(cell).max().unwrap_or(0).max(least)
        };
        let digits = |number: u64| number.to_string().len();
        let mut columns = Self {
            all,
            pid: if several { widest(&|row| digits(row.key.life.pid.into()), 3) } else { 0 },
            value: widest(&|row| width(&value(row)), width(&heads.value).max(8)),
            rate: widest(&|row| width(&rate(row)), width(&heads.rate).max(8)),
            trend: if all < WITH_TREND { 0 } else { (all.saturating_sub(50) / 3).clamp(8, 60) },
            events: if all < WITH_EVENTS {
                0
            } else {
                widest(&|row| digits(row.events), width(&heads.events))
            },
            place: 0,
            function: 0,
        };
        let fixed = [columns.pid, columns.value, columns.rate, columns.trend, columns.events];
        // The marker; and a blank after each column.
        let used: usize =
            2 + fixed.iter().filter(|width| **width > 0).map(|w| w + 1).sum::<usize>();
        let left = all.saturating_sub(used);
        if all < WITH_FUNCTION {
            columns.place = left;
            return columns;
        }
        let function = widest(&|row| width(&function(row)), 8);
        let place = widest(&|row| indent(row) + width(&name(row)), 9);
        columns.function = function.min((left / 3).max(left.saturating_sub(place + 1)));
        columns.place = left.saturating_sub(columns.function + 1);
        columns
    }
}

/// The heads of the columns that are sorted by, or change.
struct Heads {
    value: String,
    rate: String,
    events: String,
    place: String,
}

impl Heads {
    fn of(choice: &Choice) -> Self {
        let head = |text: &str, order: Order| {
            if choice.order == order { format!("{text} ▼") } else { text.to_owned() }
        };
        let scope = match choice.scope {
            Scope::Own => "Self",
            Scope::Cumulative => "Cum.",
        };
        Self {
            value: head(&format!("{scope} {}", choice.measure.as_str()), Order::Size),
            rate: head("MiB/min", Order::Rate),
            events: head("Events", Order::Events),
            place: head("File:line", Order::Place),
        }
    }
}

/// The head and as many rows as there is room for, the selected one among them.
pub(super) fn table(
    picture: &Picture,
    choice: &Choice,
    rows: &[Row],
    selected: Option<usize>,
    (all, room): (usize, usize),
    palette: Palette,
) -> Vec<Line<'static>> {
    let several = crate::top::model::rows::processes(picture, choice).len() > 1;
    let shown = window(selected.unwrap_or(0), rows.len(), room.saturating_sub(1));
    let heads = Heads::of(choice);
    let columns = Columns::fit(&rows[shown.clone()], &heads, several, all);
    let mut lines = vec![head(&heads, &columns, palette)];
    for at in shown {
        let is_selected = selected == Some(at);
        lines.push(line(picture, choice, &rows[at], is_selected, &columns, palette));
    }
    lines
}

fn head(heads: &Heads, columns: &Columns, palette: Palette) -> Line<'static> {
    let mut cells = Cells::new();
    let style = palette.heading();
    cells.blanks(2);
    if columns.pid > 0 {
        cells.number("PID", columns.pid, style);
    }
    cells.number(&heads.value, columns.value, style);
    cells.number(&heads.rate, columns.rate, style);
    if columns.trend > 0 {
        cells.text("Trend", columns.trend, style);
    }
    if columns.events > 0 {
        cells.number(&heads.events, columns.events, style);
    }
    cells.text(&heads.place, columns.place, style);
    if columns.function > 0 {
        cells.text("Function", columns.function, style);
    }
    cells.line(columns.all, Style::new())
}

fn line(
    picture: &Picture,
    choice: &Choice,
    row: &Row,
    is_selected: bool,
    columns: &Columns,
    palette: Palette,
) -> Line<'static> {
    let mut cells = Cells::new();
    let plain = palette.plain();
    let caller = !row.key.callers.is_empty() || row.key.below.is_some();
    cells.push(if is_selected { "› " } else { "  " }.to_owned(), palette.bold());
    if columns.pid > 0 {
        cells.number(&row.key.life.pid.to_string(), columns.pid, plain);
    }
    cells.number(&value(row), columns.value, if caller { plain } else { palette.bold() });
    cells.number(&rate(row), columns.rate, row.per_minute.map_or(plain, |rate| palette.rate(rate)));
    if columns.trend > 0 {
        cells.text(&trend_of(picture, choice, row, columns.trend), columns.trend, palette.trend());
    }
    if columns.events > 0 {
        cells.number(&row.events.to_string(), columns.events, plain);
    }
    place(row, columns, &mut cells);
    let style = match (is_selected, &row.key.subject) {
        (true, _) => palette.selected(),
        (false, Subject::Line(_)) if !caller => palette.plain(),
        (false, _) => palette.dim(),
    };
    cells.line(columns.all, style)
}

fn trend_of(picture: &Picture, choice: &Choice, row: &Row, cells: usize) -> String {
    if row.per_minute.is_none() {
        return String::new();
    }
    let (life, subject) = (row.key.life, &row.key.subject);
    trend(&picture.recent.growth(life, subject, choice.scope, choice.measure, cells))
}

/// File and line, with the callers' indent, and the function; or the reason over both.
fn place(row: &Row, columns: &Columns, cells: &mut Cells) {
    let fold = match (row.fold, &row.key.below) {
        (Fold::None, None) => "  ",
        (Fold::Closed, _) => "▸ ",
        (Fold::Open, _) => "▾ ",
        (Fold::None, Some(_)) => "↳ ",
    };
    let indent = indent(row) - 2;
    cells.blanks(indent);
    cells.push(fold.to_owned(), Style::new());
    let columns_left = columns.place.saturating_sub(indent + 2);
    let both = columns_left + if columns.function > 0 { columns.function + 1 } else { 0 };
    let name = name(row);
    let function = function(row);
    if row.key.place().is_none() || function.is_empty() {
        cells.text(&name, both, Style::new());
        return;
    }
    cells.path(&name, columns_left, Style::new());
    if columns.function > 0 {
        cells.text(&function, columns.function, Style::new());
    }
}

/// Columns before the name.
fn indent(row: &Row) -> usize {
    2 + 2 * row.depth.min(10)
}

fn name(row: &Row) -> String {
    let key = &row.key;
    if let Some(below) = &key.below {
        return native(below, row);
    }
    if key.callers.last() == Some(&Caller::Nobody) {
        return "(nobody: stacks begin here)".to_owned();
    }
    let name = match (key.place(), &key.subject) {
        (Some(place), _) => format!("{}:{}", place.file, place.line),
        (None, Subject::Unattributed { reason, name }) if !name.is_empty() => {
            format!("{}: {name}", reason.as_str())
        }
        (None, Subject::Unattributed { reason, .. }) => reason.as_str().to_owned(),
        (None, Subject::Line(_)) => String::new(),
    };
    printable(&name).into_owned()
}

/// `touch (growth) growth.c:31`
fn native(below: &Below, row: &Row) -> String {
    let name = match below {
        Below::Others => format!("{} more native functions", row.natives),
        Below::Native(name) => {
            let library = match name.short_library.as_str() {
                "" => String::new(),
                library => format!(" ({library})"),
            };
            let place = match &row.places[..] {
                [] => String::new(),
                [(file, line), others @ ..] => {
                    let file = file.rsplit('/').next().unwrap_or_default();
                    let more = if others.is_empty() { "" } else { ", …" };
                    format!(" {}{more}", source_line(file, *line))
                }
            };
            format!("{}{library}{place}", name.function)
        }
    };
    printable(&name).into_owned()
}

/// A line may be missing where its file is known: compilers tell of code that belongs to none.
pub(super) fn source_line(file: &str, line: u32) -> String {
    if line == 0 { file.to_owned() } else { format!("{file}:{line}") }
}

/// Of a native function: as what it was called.
fn function(row: &Row) -> String {
    let text = match &row.key.below {
        None => row.key.place().map_or("", |place| &place.function),
        Some(Below::Native(name)) if name.called_as != name.function => &name.called_as,
        Some(_) => "",
    };
    match row.key.below {
        Some(_) if !text.is_empty() => format!("as {text}"),
        _ => text.to_owned(),
    }
}

fn value(row: &Row) -> String {
    row.value.map_or_else(|| "–".to_owned(), figures::mib)
}

fn rate(row: &Row) -> String {
    row.per_minute.map_or_else(String::new, signed)
}

/// What the rows come to, where that says something: the net growth of lines alone.
pub(super) fn adds_up(choice: &Choice) -> bool {
    choice.measure == Measure::Net && choice.scope == Scope::Own
}
