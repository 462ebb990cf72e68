//! What stands above and below whatever is shown: the state, the sum, the keys.

use ratatui::text::{Line, Span};

use super::cells::Cells;
use super::palette::Palette;
use super::{law, lines, processes};
use crate::report::figures::{count, mib, mib_unit};
use crate::report::fit::{cut_end, width};
use crate::report::printable;
use crate::report::remarks;
use crate::top::model::{Focus, Measure, Page, Picture, Rows, Screen};
use crate::units::Nanos;

/// Columns from which on nothing is missing that is worth mentioning.
const ENOUGH: usize = 80;

/// The first line: what is shown, for how long, in what state.
pub(super) fn head(screen: &Screen, columns: usize, palette: Palette) -> Line<'static> {
    let time = screen.picture().map_or(Nanos(0), |picture| picture.profile.duration);
    let (state, style) = if screen.is_paused() {
        (format!("PAUSED at {}", clock(time)), palette.notice())
    } else if let Some(why) = screen.ended() {
        (format!("ENDED: {}", printable(why)), palette.notice())
    } else if screen.is_stale() {
        let seconds = screen.silence().0 / 1_000_000_000;
        (format!("STALE: nothing new for {seconds} s"), palette.alarm())
    } else if screen.picture().is_none() {
        ("waiting".to_owned(), palette.dim())
    } else {
        ("● live".to_owned(), palette.well())
    };
    let state = cut_end(&state, columns.saturating_sub(1)).into_owned();

    let rows = screen.processes();
    let choice = screen.choice();
    let number = count(rows.len() as u64, "process", "processes");
    let brief = screen.picture().map_or("", |picture| brief(picture, choice.measure));
    let what = format!("{} {}{brief}", choice.scope.as_str(), choice.measure.as_str());
    let covered = screen.picture().map(|picture| picture.recent.covered(choice.span));
    let covered = covered.unwrap_or(Nanos(0)).seconds();
    let parts = [
        (" memtrace top".to_owned(), palette.heading()),
        (format!("  {}", clock(time)), palette.plain()),
        (format!("  {number}"), palette.plain()),
        (format!("  {what} by {}, MiB", choice.order.as_str()), palette.dim()),
        (format!("  rates over {covered:.0} s"), palette.dim()),
    ];
    let mut cells = Cells::new();
    for (text, style) in parts {
        if cells.used() + width(&text) + width(&state) + 3 > columns {
            break;
        }
        cells.push(text, style);
    }
    cells.blanks(columns.saturating_sub(cells.used() + width(&state) + 1));
    cells.push(state, style);
    cells.line(columns, palette.plain())
}

/// What figures are where they are not the whole of what was counted.
fn brief(picture: &Picture, measure: Measure) -> &'static str {
    match measure {
        Measure::Net | Measure::Grown | Measure::Resident
            if remarks::are_thinned(&picture.profile) =>
        {
            " of walked stacks"
        }
        Measure::Live | Measure::Allocated if remarks::are_estimated(&picture.profile) => {
            " (estimated)"
        }
        _ => "",
    }
}

/// The law for the process of the selected row, and what a filter keeps from view.
pub(super) fn sums(
    screen: &Screen,
    rows: &Rows,
    columns: usize,
    palette: Palette,
) -> Vec<Line<'static>> {
    let processes = screen.processes();
    let selected = match screen.focus() {
        Focus::Processes => processes.get(screen.selected_process(&processes)).map(|row| row.life),
        Focus::Lines => rows.rows.get(screen.selected(&rows.rows)).map(|row| row.key.life),
    };
    let life = selected.or(screen.choice().only).or(processes.first().map(|row| row.life));
    let process = life.zip(screen.picture()).and_then(|(life, picture)| picture.process(life));
    let room = columns.saturating_sub(2);
    let mut lines = Vec::new();
    if let Some(process) = process {
        let (text, holds) = law::sum(process, processes.len() > 1, room);
        let style = if holds { palette.bold() } else { palette.alarm() };
        lines.push(Line::from(Span::styled(format!(" {text}"), style)));
    }
    if let Some((events, bytes)) = processes::losses(&processes) {
        let lost = count(events, "event was", "events were");
        let text = format!(" !! {lost} lost, {} net: the rows `lost`", mib_unit(bytes));
        lines.push(Line::from(Span::styled(cut_end(&text, room).into_owned(), palette.alarm())));
    }
    if screen.is_typing() || !screen.choice().filter.is_empty() {
        lines.push(filter(screen, rows, room, palette));
    }
    lines
}

fn filter(screen: &Screen, rows: &Rows, room: usize, palette: Palette) -> Line<'static> {
    let words = printable(&screen.choice().filter).into_owned();
    let mut text = format!(" filter: {words}");
    if screen.is_typing() {
        text.push('▏');
    }
    let hidden = count(rows.hidden_rows as u64, "row", "rows");
    let sum = if lines::adds_up(screen.choice()) {
        format!("  ({} shown + {} in {hidden} hidden)", mib(rows.shown), mib(rows.hidden))
    } else {
        format!("  ({hidden} hidden)")
    };
    text.push_str(&sum);
    Line::from(Span::styled(cut_end(&text, room).into_owned(), palette.notice()))
}

/// The keys of the tables, the most needed first.
const TABLES: [(&str, &str); 12] = [
    ("?", "help"),
    ("q", "quit"),
    ("⏎", "callers"),
    ("v", "source"),
    ("d", "detail"),
    ("/", "filter"),
    ("p", "pause"),
    ("g", "measure"),
    ("c", "self/cumulative"),
    ("o", "order"),
    ("Tab", "processes"),
    ("s", "save"),
];

/// The last line: what the user is told, or which keys do what.
pub(super) fn foot(screen: &Screen, columns: usize, palette: Palette) -> Line<'static> {
    if let Some(message) = screen.message() {
        let text = format!(" {}", printable(message));
        return Line::from(Span::styled(cut_end(&text, columns).into_owned(), palette.notice()));
    }
    if screen.is_typing() {
        return keys(&[("Enter", "keep"), ("Esc", "take back")], columns, palette);
    }
    match screen.page() {
        Some(Page::Help) => keys(&[("Esc", "back"), ("↑↓", "scroll")], columns, palette),
        Some(Page::Detail { .. }) => keys(
            &[("Esc", "back"), ("↑↓", "scroll"), ("v", "source"), ("p", "pause"), ("q", "quit")],
            columns,
            palette,
        ),
        Some(Page::Source { .. }) => keys(
            &[
                ("Esc", "back"),
                ("n N", "next with figures"),
                ("←→", "sideways"),
                ("g", "measure"),
                ("c", "cumulative"),
                ("q", "quit"),
            ],
            columns,
            palette,
        ),
        None if columns < ENOUGH => no_room(columns, palette),
        None => {
            let mut pairs = TABLES.to_vec();
            if screen.picture().is_some_and(|picture| !picture.natives.is_empty()) {
                pairs.insert(3, ("n", "native"));
            }
            keys(&pairs, columns, palette)
        }
    }
}

/// As many as fit.
fn keys(pairs: &[(&str, &str)], columns: usize, palette: Palette) -> Line<'static> {
    let mut cells = Cells::new();
    for (key, what) in pairs {
        if cells.used() + width(key) + width(what) + 3 > columns {
            break;
        }
        cells.blanks(if cells.used() == 0 { 1 } else { 2 });
        cells.push((*key).to_owned(), palette.bold());
        cells.blanks(1);
        cells.push((*what).to_owned(), palette.dim());
    }
    cells.line(0, palette.plain())
}

/// Columns of the tables that so narrow a screen has no room for.
pub(super) fn missing(columns: usize) -> Vec<&'static str> {
    let all = processes::IF_WIDE.into_iter().chain(lines::IF_WIDE);
    all.filter(|(from, _)| columns < *from).map(|(_, name)| name).collect()
}

/// The most needed keys, and what there is no room for: by name, or where the names are.
fn no_room(columns: usize, palette: Palette) -> Line<'static> {
    let missing = missing(columns);
    let mut line = keys(&[("?", "help"), ("q", "quit")], columns, palette);
    let left = columns.saturating_sub(line.width());
    let names = format!("  no room: {}", missing.join(" "));
    let number = format!("  no room: {} columns (?)", missing.len());
    let text = if width(&names) <= left { names } else { number };
    if !missing.is_empty() {
        line.spans.push(Span::styled(text, palette.dim()));
    }
    line
}

/// `00:01:23`
fn clock(time: Nanos) -> String {
    let seconds = time.0 / 1_000_000_000;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
