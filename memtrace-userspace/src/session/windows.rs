//! Windows of time: what the books have come to leaves them here, as entries of the journal.

use tracing::debug;

use super::journal::{Journal, thread_id};
use super::presence::present_pages;
use super::target::Target;
use super::targets::Targets;
use crate::history::Entry;
use crate::history::entry::{Began, Ended, Known, SpaceId, StackId, ThreadId};
use crate::kernel::KernelError;
use crate::ledger::{Counted, Pages, WindowFigures, memory, window};
use crate::native::NativeProcess;
use crate::profile::Reason;
use crate::units::{Bytes, Nanos};

impl Targets {
    /// Closes the open window of every target that is traced.
    pub(super) fn close_windows(&mut self) {
        self.read_tallies();
        let all = self.open_events();
        let at = self.journal.now();
        self.tell_calls(at, None, false);
        let Self { targets, journal, machine, lenses, probes, .. } = self;
        if let Some(lenses) = lenses
            && let Err(error) = lenses.tell_live(&mut [], at, probes, journal)
        {
            debug!("{error}");
        }
        let told = |target: &&mut Target| target.is_told(machine.is_some());
        for target in targets.values_mut().filter(told) {
            if let Some(lenses) = lenses {
                lenses.tell(target, at, probes, journal);
            }
            target.close_window(at, all, journal);
        }
        self.natives.close_window();
    }

    /// Puts windows that were closed at peaks into the journal.
    pub(super) fn tell_peaks(&mut self) {
        let at = self.journal.now();
        let Self { targets, journal, machine, .. } = self;
        let told = |target: &&mut Target| target.is_told(machine.is_some());
        for target in targets.values_mut().filter(told) {
            target.tell_peaks(at, journal);
        }
    }

    /// Changes in all open windows.
    pub(super) fn open_events(&self) -> u64 {
        self.targets.values().map(|target| target.books.open_events()).sum()
    }

    /// Closes the books of the targets that run on, once it was looked what is still present of
    /// their growth. The kernel side's last word was read.
    pub(super) fn end_live(&mut self) -> Result<(), KernelError> {
        let (all, at) = (self.open_events(), self.journal.now());
        self.tell_calls(at, None, true);
        let Self { targets, journal, order, machine, lenses, probes, .. } = self;
        if let Some(lenses) = lenses {
            let mut live: Vec<_> = targets.values_mut().filter(|target| target.is_live()).collect();
            lenses.tell_last(&mut live, at, probes, journal)?;
        }
        for space in order {
            let told = |target: &&mut Target| target.is_told(machine.is_some());
            if let Some(target) = targets.get_mut(space).filter(told) {
                let present = target.present(journal);
                target.close_books(at, all, present, journal);
            }
        }
        Ok(())
    }
}

impl Target {
    fn id(&self) -> SpaceId {
        SpaceId(self.space)
    }

    /// The target is met.
    pub(super) fn tell_beginning(&self, journal: &mut Journal) {
        let at = journal.now();
        journal.put(Entry::Began(Began {
            space: self.id(),
            at,
            pid: self.pid,
            parent: self.parent,
            before: memory(&self.tally.pages),
            command: self.command.clone(),
        }));
    }

    /// Whether its windows are told. On a whole machine most programs are not Python, which shows a
    /// few milliseconds after their beginning.
    fn is_told(&self, machine: bool) -> bool {
        self.is_live() && (self.python.is_some() || !machine)
    }

    /// It has ended, or was let go of, and was no Python.
    pub(super) fn tell_nothing(&self, at: Nanos, journal: &mut Journal) {
        let (ending, present) = (self.ending, Vec::new());
        journal.put(Entry::Ended(Ended { space: self.id(), at, ending, present }));
        journal.book.forget(self.id());
    }

    /// Something became known of it.
    pub(super) fn tell_known(&self, journal: &mut Journal) {
        journal.put(Entry::Known(self.known()));
    }

    /// What is known of it.
    pub(super) fn known(&self) -> Known {
        Known {
            space: self.id(),
            python: self.python.as_ref().map(|known| known.version.clone()),
            command: self.command.clone(),
            notes: self
                .notes
                .iter()
                .chain(&self.lens_notes)
                .cloned()
                .chain(self.note_of_budget())
                .collect(),
        }
    }

    fn tell_peaks(&mut self, at: Nanos, journal: &mut Journal) {
        for figures in self.books.take_peaks() {
            self.tell(at, &figures, Counted::default(), journal);
        }
    }

    fn close_window(&mut self, at: Nanos, all: u64, journal: &mut Journal) {
        self.tell_peaks(at, journal);
        let counted = self.count(all, journal);
        let figures = self.books.close_window();
        self.tell(at, &figures, counted, journal);
    }

    /// What the kernel side has counted since it was last asked; what it lost is booked.
    fn count(&mut self, all: u64, journal: &mut Journal) -> Counted {
        let (now, told) = (self.tally, std::mem::replace(&mut self.told, self.tally));
        let lost: Pages = std::array::from_fn(|of| now.lost_pages[of] - told.lost_pages[of]);
        let lost_events = now.lost_events - told.lost_events;
        let userspace_cpu = journal.share_of_cpu(self.books.open_events(), all);
        self.books.book_plain(Reason::Lost, lost, lost_events);
        Counted {
            events: now.events - told.events,
            lost_events,
            lost: memory(&lost).total(),
            probe: Nanos(now.probe_ns.saturating_sub(told.probe_ns)),
            userspace_cpu,
        }
    }

    fn tell(
        &mut self,
        at: Nanos,
        figures: &WindowFigures,
        counted: Counted,
        journal: &mut Journal,
    ) {
        self.name_native_frames();
        let (space, pid) = (self.id(), self.pid);
        let kind = self.python.as_ref().map(|known| known.line_table);
        let stacks = (&mut self.stacks, kind);
        let mut thread = |book: &mut _, tid| thread_id(book, space, pid, tid);
        let entry = window(space, at, figures, counted, stacks, &mut journal.book, &mut thread);
        journal.put(Entry::Window(entry));
    }

    /// Names are about to be asked for.
    fn name_native_frames(&mut self) {
        for (key, frames) in self.native.iter_mut().flat_map(NativeProcess::take_named) {
            self.stacks.supply_native(key, frames);
        }
    }

    /// Closes the books for good, so that the law holds: calls under way are settled, and what the
    /// kernel's counters say beyond all events is the remainder.
    pub(super) fn close_books(
        &mut self,
        at: Nanos,
        all: u64,
        present: Vec<(StackId, ThreadId, Bytes)>,
        journal: &mut Journal,
    ) {
        self.books.settle_all();
        self.tell_peaks(at, journal);
        let counted = self.count(all, journal);
        let gap = self.books.gap(self.tally.pages);
        self.books.book_plain(Reason::Remainder, gap, 0);
        let figures = self.books.close_window();
        self.tell(at, &figures, counted, journal);
        self.tell_known(journal);
        let ending = self.ending;
        journal.put(Entry::Ended(Ended { space: self.id(), at, ending, present }));
        journal.book.forget(self.id());
    }

    /// What of each stack's growth is present in memory now; nothing when it can't be asked.
    fn present(&mut self, journal: &mut Journal) -> Vec<(StackId, ThreadId, Bytes)> {
        self.books.settle_all();
        let Ok(mut present) = present_pages(self.pid, self.books.pages()) else {
            return Vec::new();
        };
        self.name_native_frames();
        let (space, pid) = (self.id(), self.pid);
        let kind = self.python.as_ref().map(|known| known.line_table);
        let mut owners: Vec<_> =
            present.drain().map(|(account, pages)| (self.books.owner(account), pages)).collect();
        owners.extend(self.books.unplaced());
        owners.sort_unstable();
        let book = &mut journal.book;
        let named = owners.into_iter().map(|((key, tid), pages)| {
            let stack = self.stacks.name(key, kind, book);
            (stack, thread_id(book, space, pid, tid), Bytes::from_pages(pages))
        });
        named.collect()
    }
}
