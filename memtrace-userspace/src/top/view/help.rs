//! The keys, and what is to be read from the screen.

use ratatui::text::Line;

use super::cells::Cells;
use super::frame::missing;
use super::palette::Palette;
use super::trend::LEGEND;

const KEYS: [(&str, &str); 19] = [
    ("↑ ↓ j k", "move; also Page Up, Page Down, Home, End"),
    ("Enter", "open a line to its callers, or close it (also → ←)"),
    ("n", "with --native: hide or show native functions (↳)"),
    ("v", "its source; n and N go to the next line with figures"),
    ("d", "the line and its process in full, with the sum"),
    ("Tab", "to the processes and back; Enter there: only this one"),
    ("Esc", "back; all processes again; no filter"),
    ("/", "filter: words that must be in file, line or function;"),
    ("", "!word must not be. Enter keeps it, Esc takes it back"),
    ("g", "figures: net, grown, resident;"),
    ("", "with --lens allocator also live and allocated"),
    ("c", "self (the line alone) or cumulative (what it called, too)"),
    ("o", "order: size, rate, events, place"),
    ("w", "rates over 10 or 60 windows"),
    ("p, Space", "pause: the picture stays, tracing goes on"),
    ("s", "save what was traced so far as a recording"),
    ("Ctrl-L", "draw everything anew"),
    ("?", "this page"),
    ("q, Ctrl-C", "end; the processes run on as if nothing had been"),
];

const WORDS: [(&str, &str); 12] = [
    ("Self net", "RSS that the line grew, less what of that was given back"),
    ("grown", "what it grew, whatever became of it"),
    ("resident", "of that, what is still in RSS"),
    ("live", "allocated and not freed, be it resident or not"),
    ("allocated", "what it asked the allocator for"),
    ("MiB/min", "growth of that figure a minute, over the last windows"),
    ("Trend", "growth in each window, the newest at the right:"),
    ("", LEGEND[0]),
    ("", LEGEND[1]),
    ("", "- it shrank   · no change"),
    ("Events", "changes of RSS: not how often a line ran"),
    ("Cost", "of one CPU: time in probes, and memtrace's own"),
];

const ROWS: [&str; 4] = [
    "Dim rows are what no line answers for. With `Self net`, all rows of a process",
    "together are the growth of its RSS, and so",
    "  before attach + lines + unattributed = RSS now",
    "stands below the table. A remainder would be shown there, never hidden.",
];

/// The page.
pub(super) fn page(columns: usize, palette: Palette) -> Vec<Line<'static>> {
    let pair = |(name, meaning): &(&str, &str)| {
        let mut cells = Cells::new();
        cells.blanks(1);
        cells.text(name, 10, palette.bold());
        cells.text(meaning, columns.saturating_sub(13), palette.plain());
        cells.line(0, palette.plain())
    };
    let mut lines = Vec::new();
    let missing = missing(columns);
    if !missing.is_empty() {
        // In halves, so that the names fit wherever a screen is drawn at all.
        let (some, others) = missing.split_at(missing.len().div_ceil(2));
        lines.push(pair(&("No room", some.join(", ").as_str())));
        if !others.is_empty() {
            lines.push(pair(&("for", others.join(", ").as_str())));
        }
        lines.push(Line::default());
    }
    lines.extend(KEYS.iter().map(pair));
    lines.push(Line::default());
    lines.extend(WORDS.iter().map(pair));
    lines.push(Line::default());
    lines.extend(ROWS.iter().map(|text| {
        let mut cells = Cells::new();
        cells.blanks(1);
        cells.text(text, columns.saturating_sub(2), palette.plain());
        cells.line(0, palette.plain())
    }));
    lines
}
