//! What keys do.

use super::choice::SPANS;
use super::key::{Key, Request};
use super::margin::margin;
use super::recent::Life;
use super::rows::{Fold, Row, RowKey};
use super::{Focus, Page, Screen};
use crate::profile::Place;

/// Columns that source text moves by.
const SIDEWAYS: usize = 8;

impl Screen {
    /// Does what the key is for; what it can't do by itself, it asks for.
    pub fn press(&mut self, key: Key) -> Option<Request> {
        match key {
            Key::Interrupt => return Some(Request::Quit),
            Key::Redraw => return Some(Request::Redraw),
            _ => {}
        }
        self.message = None;
        if self.typing.is_some() {
            self.type_filter(key);
            return None;
        }
        match key {
            Key::Char('q') => return Some(Request::Quit),
            Key::Char('s') => return Some(Request::Save),
            Key::Char(' ' | 'p') => self.pause(),
            Key::Char('g') => {
                self.choice.measure = self.choice.measure.next(self.has_lens());
            }
            Key::Char('c') => self.choice.scope = self.choice.scope.next(),
            Key::Char('o') => self.choice.order = self.choice.order.next(),
            Key::Char('w') => {
                let [short, long] = SPANS;
                self.choice.span = if self.choice.span == short { long } else { short };
            }
            Key::Char('?' | 'h') => self.toggle_help(),
            _ => {
                return match self.page {
                    Some(Page::Source { .. }) => self.press_in_source(key),
                    Some(_) => self.press_on_page(key),
                    None => self.press_in_tables(key),
                };
            }
        }
        None
    }

    /// Whether the allocator lens looks at any process.
    fn has_lens(&self) -> bool {
        let mut processes =
            self.picture().into_iter().flat_map(|picture| &picture.profile.processes);
        processes.any(|process| process.lens.is_some())
    }

    fn pause(&mut self) {
        self.frozen = match self.frozen {
            Some(_) => None,
            None => self.live.clone(),
        };
    }

    fn toggle_help(&mut self) {
        self.scroll = 0;
        self.page = if self.page == Some(Page::Help) { None } else { Some(Page::Help) };
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Char(c) if !c.is_control() => self.choice.filter.push(c),
            Key::Backspace => drop(self.choice.filter.pop()),
            Key::Enter => self.typing = None,
            Key::Escape => self.choice.filter = self.typing.take().unwrap_or_default(),
            _ => {}
        }
    }

    fn press_in_tables(&mut self, key: Key) -> Option<Request> {
        match key {
            Key::Char('/') => self.typing = Some(self.choice.filter.clone()),
            Key::Tab => {
                self.focus = match self.focus {
                    Focus::Lines => Focus::Processes,
                    Focus::Processes => Focus::Lines,
                }
            }
            Key::Escape => self.step_back(),
            Key::Char('d') => self.open_detail(),
            Key::Char('n') => self.toggle_natives(),
            Key::Char('v') => return self.open_source(),
            _ => match self.focus {
                Focus::Lines => self.press_in_lines(key),
                Focus::Processes => self.press_in_processes(key),
            },
        }
        None
    }

    fn toggle_natives(&mut self) {
        if self.picture().is_none_or(|picture| picture.natives.is_empty()) {
            self.say("No native function is known: `memtrace top --native` shows them.");
            return;
        }
        self.choice.natives = !self.choice.natives;
        self.selected =
            self.selected.take().map(|key| if key.below.is_some() { key.root() } else { key });
    }

    /// Takes back one thing: the chosen process, else the filter.
    fn step_back(&mut self) {
        if self.choice.only.take().is_none() {
            self.choice.filter.clear();
        }
        self.focus = Focus::Lines;
    }

    fn press_in_processes(&mut self, key: Key) {
        let rows = self.processes();
        let at = self.selected_process(&rows);
        let lives: Vec<Life> = rows.iter().map(|row| row.life).collect();
        if key == Key::Enter {
            let chosen = lives.get(at).copied();
            self.choice.only = if self.choice.only == chosen { None } else { chosen };
            self.selected = None;
            self.focus = Focus::Lines;
        } else if let Some(to) = moved(key, at, lives.len(), self.page_rows) {
            self.selected_process = lives.get(to).copied();
        }
    }

    fn press_in_lines(&mut self, key: Key) {
        let rows = self.rows().rows;
        let at = self.selected(&rows);
        if let Some(to) = moved(key, at, rows.len(), self.page_rows) {
            // The first row is whichever grew most: that is what one wants to go on seeing.
            self.selected = rows.get(to).filter(|_| to > 0).map(|row| row.key.clone());
            return;
        }
        let Some(row) = rows.get(at) else { return };
        match (key, row.fold) {
            (Key::Enter | Key::Right, Fold::Closed) => self.open(row),
            (Key::Enter | Key::Left, Fold::Open) => self.close(&row.key),
            (Key::Left, _) if row.key != row.key.root() => self.selected = Some(row.key.root()),
            (Key::Enter, Fold::None) if row.key.place().is_none() => {
                self.say("No line answers for this: it has no callers.");
            }
            _ => {}
        }
    }

    fn open(&mut self, row: &Row) {
        let before = self.rows().rows.len();
        self.opened.insert(row.key.clone());
        self.selected = Some(row.key.clone());
        if self.rows().rows.len() == before {
            self.opened.remove(&row.key);
            self.say("Nobody calls this line: its stacks begin here.");
        }
    }

    fn close(&mut self, key: &RowKey) {
        self.opened.retain(|open| {
            let below = open.life == key.life && open.subject == key.subject;
            !(below && open.callers.starts_with(&key.callers))
        });
        self.selected = Some(key.clone());
    }

    /// The selected row, and its process; in the table of processes only the latter.
    fn chosen(&self) -> Option<(Life, Option<RowKey>)> {
        if self.focus == Focus::Processes {
            let rows = self.processes();
            return Some((rows.get(self.selected_process(&rows))?.life, None));
        }
        let rows = self.rows().rows;
        match rows.get(self.selected(&rows)) {
            Some(row) => Some((row.key.life, Some(row.key.clone()))),
            None => Some((self.processes().first()?.life, None)),
        }
    }

    fn open_detail(&mut self) {
        let Some((life, row)) = self.chosen() else { return };
        self.selected = row.clone().or(self.selected.take());
        self.page = Some(Page::Detail { life, row });
        self.scroll = 0;
    }

    fn open_source(&mut self) -> Option<Request> {
        let (life, row) = self.chosen()?;
        self.show_source(life, row)
    }

    fn show_source(&mut self, life: Life, row: Option<RowKey>) -> Option<Request> {
        let Some(place) = row.as_ref().and_then(RowKey::place) else {
            self.say("No line is selected, so there is no source to show.");
            return None;
        };
        let Place { file, line, .. } = place.clone();
        self.selected = row;
        self.page = Some(Page::Source { life, file: file.clone(), line, left: 0 });
        let known = self.source_text(life, &file).is_some();
        (!known).then_some(Request::ReadSource(life, file))
    }

    fn press_on_page(&mut self, key: Key) -> Option<Request> {
        match (key, &self.page) {
            (Key::Escape | Key::Enter | Key::Char('d'), _) => self.page = None,
            (Key::Char('v'), Some(Page::Detail { life, row })) => {
                let (life, row) = (*life, row.clone());
                return self.show_source(life, row);
            }
            _ => {
                if let Some(to) = moved(key, self.scroll, usize::MAX, self.page_rows) {
                    self.scroll = to;
                }
            }
        }
        None
    }

    fn press_in_source(&mut self, key: Key) -> Option<Request> {
        let figures = self.source_margin();
        let page_rows = self.page_rows;
        let Some(Page::Source { line, left, .. }) = &mut self.page else { return None };
        match key {
            Key::Escape | Key::Enter | Key::Char('v') => self.page = None,
            Key::Left => *left = left.saturating_sub(SIDEWAYS),
            Key::Right => *left += SIDEWAYS,
            Key::Char('n') => *line = figures.iter().copied().find(|n| n > line).unwrap_or(*line),
            Key::Char('N') => {
                *line = figures.iter().rev().copied().find(|n| n < line).unwrap_or(*line);
            }
            _ => {
                let at = (*line as usize).saturating_sub(1);
                if let Some(to) = moved(key, at, usize::MAX, page_rows) {
                    *line = u32::try_from(to + 1).unwrap_or(u32::MAX);
                }
            }
        }
        None
    }

    /// The lines with figures in the file that is shown.
    fn source_margin(&self) -> Vec<u32> {
        let Some(Page::Source { life, file, .. }) = &self.page else { return Vec::new() };
        let process = self.picture().and_then(|picture| picture.process(*life));
        let figures = process.map(|process| margin(process, file, &self.choice));
        figures.map(|figures| figures.into_keys().collect()).unwrap_or_default()
    }

    /// Sets the line of the source page, where the file turned out to be shorter.
    pub(in crate::top) fn correct_source_line(&mut self, last: u32) {
        if let Some(Page::Source { line, .. }) = &mut self.page {
            *line = (*line).min(last.max(1));
        }
    }
}

/// Where a key leads from `at` in a list; `None` when it is not for moving.
fn moved(key: Key, at: usize, length: usize, page: usize) -> Option<usize> {
    let to = match key {
        Key::Up | Key::Char('k') => at.saturating_sub(1),
        Key::Down | Key::Char('j') => at.saturating_add(1),
        Key::PageUp => at.saturating_sub(page.max(1)),
        Key::PageDown => at.saturating_add(page.max(1)),
        Key::Home => 0,
        Key::End => usize::MAX,
        _ => return None,
    };
    Some(to.min(length.saturating_sub(1)))
}
