//! The books of one process, fed and emptied as `session` does it.

use std::time::SystemTime;

use memtrace::history::entry::{Began, SpaceId, Window};
use memtrace::history::{Entry, Head, History, WHOLE};
use memtrace::kernel::decode::Event;
use memtrace::ledger::{Counted, NameBook, SpaceLedger, StackTable, WindowFigures, memory, window};
use memtrace::python::LineTableKind;
use memtrace::units::Nanos;

const SPACE: SpaceId = SpaceId(0);

/// Books, names, and the history that their windows go to.
pub(crate) struct Books {
    ledger: SpaceLedger,
    stacks: StackTable,
    names: NameBook,
    windows: u64,
    pub(crate) history: History,
}

impl Default for Books {
    fn default() -> Self {
        let head = Head { started_at: SystemTime::UNIX_EPOCH, kernel: String::new(), exact: true };
        let mut history = History::new(head, WHOLE);
        let ledger = SpaceLedger::new(Default::default());
        let before = memory(&ledger.before());
        let began =
            Began { space: SPACE, at: Nanos(0), pid: 1, parent: None, before, command: Vec::new() };
        history.add(&Entry::Began(began)).expect("a first entry");
        Self {
            ledger,
            stacks: StackTable::default(),
            names: NameBook::default(),
            windows: 0,
            history,
        }
    }
}

impl Books {
    /// Books one event.
    pub(crate) fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Growth(event) => self.ledger.growth(event),
            Event::Returned(event) => self.ledger.returned(event),
            Event::Stack(event, frames) => self.stacks.stack(event, frames),
            Event::Code(event) => self.stacks.code(event),
            Event::Text(event, bytes) => {
                self.stacks.text(event, bytes);
            }
            other => unreachable!("{other:?}"),
        }
    }

    /// What a window of one second comes to, and what was closed at peaks in it.
    pub(crate) fn close_window(&mut self) -> Vec<Entry> {
        let mut closed = self.ledger.take_peaks();
        closed.push(self.ledger.close_window());
        let windows: Vec<Entry> =
            closed.iter().map(|figures| Entry::Window(self.window(figures))).collect();
        let mut entries = vec![Entry::Names(self.names.take_fresh())];
        entries.extend(windows);
        entries
    }

    fn window(&mut self, figures: &WindowFigures) -> Window {
        self.windows += 1;
        window(
            SPACE,
            Nanos(self.windows * 1_000_000),
            figures,
            Counted::default(),
            (&mut self.stacks, Some(LineTableKind::Pep657)),
            &mut self.names,
            &mut |names, tid| match names.known_thread(SPACE, tid) {
                Some(known) => known,
                None => names.thread(SPACE, tid, "python"),
            },
        )
    }
}
