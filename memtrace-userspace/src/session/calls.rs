//! Evaluations by function, where `--calls` asks for them: from the kernel side's counts by code object
//! to entries, once a window.

use std::collections::HashMap;

use memtrace_common::event::Evaluated;

use super::targets::Targets;
use crate::history::Entry;
use crate::history::entry::{Counted, PlaceId, Ran, SpaceId};
use crate::kernel::{KernelError, ProcessProbe};
use crate::ledger::{CodeTexts, NameBook};
use crate::python::{Interpreter, LineTable, LineTableKind};
use crate::units::Nanos;

/// One target's evaluations.
#[derive(Default)]
pub(super) struct Calls {
    /// The probe; nothing once it was taken off.
    pub(super) probe: Option<ProcessProbe>,
    /// What was told already, by code object.
    told: HashMap<u64, u64>,
    /// Of code that has died since the last window.
    died: HashMap<PlaceId, u64>,
}

impl Targets {
    /// Begins to count a target's evaluations, where that was asked for.
    ///
    /// # Errors
    ///
    /// When a probe can't be attached.
    pub(super) fn count_calls(
        &mut self,
        space: u32,
        interpreter: &Interpreter,
    ) -> Result<(), KernelError> {
        let Some(target) = self.targets.get_mut(&space).filter(|_| self.calls) else {
            return Ok(());
        };
        if target.calls.is_some() {
            return Ok(());
        }
        if interpreter.code_dealloc.is_none() && target.recognition.is_some() {
            return Ok(()); // It is still starting, and is looked at again.
        }
        let Some(point) = &interpreter.eval_frame else {
            target.notes.push("evaluations were not counted: no probe fits its interpreter".into());
            return Ok(());
        };
        let pid = target.pid;
        // First: a count must not outlive its code object, whose address comes back.
        if target.code_probe.is_none() {
            self.watch_code_of(space)?;
        }
        let takes_frame = (interpreter.version.major, interpreter.version.minor) <= (3, 8);
        let place = (point.path.as_path(), point.file_offset);
        let probe = self.probes().count_calls((pid, space), place, takes_frame)?;
        if let Some(target) = self.targets.get_mut(&space) {
            target.calls = Some(Calls { probe: Some(probe), ..Calls::default() });
        }
        Ok(())
    }

    /// A code object dies: its count, under the name that it has.
    pub(super) fn evaluated(&mut self, event: &Evaluated) {
        let Self { targets, journal, .. } = self;
        let Some(target) = targets.get_mut(&event.header.space) else { return };
        let (Some(calls), Some(known)) = (&mut target.calls, &target.python) else { return };
        let told = calls.told.remove(&event.code).unwrap_or(0);
        let place = place(&target.stacks.texts(event.code), known.line_table, &mut journal.book);
        *calls.died.entry(place).or_default() += event.count.saturating_sub(told);
    }

    /// What was evaluated since the last time, of all targets or of one, is written down. Unless all
    /// records have come by then (`last`), code that is met now waits until the next time: its name may
    /// still be under way.
    pub(super) fn tell_calls(&mut self, at: Nanos, only: Option<u32>, last: bool) {
        let counting = |space: &u32| {
            only.is_none_or(|only| only == *space)
                && self.targets.get(space).is_some_and(|target| target.calls.is_some())
        };
        let spaces: Vec<u32> = self.order.iter().copied().filter(counting).collect();
        if spaces.is_empty() {
            return;
        }
        let mut all = self.probes().calls();
        let Self { targets, journal, .. } = self;
        for space in spaces {
            let Some(target) = targets.get_mut(&space) else { continue };
            let (Some(calls), Some(known)) = (&mut target.calls, &target.python) else { continue };
            let mut sums = std::mem::take(&mut calls.died);
            for (code, count) in all.remove(&space).unwrap_or_default() {
                let new = !calls.told.contains_key(&code);
                if new && !last {
                    calls.told.insert(code, 0);
                    continue;
                }
                let told = calls.told.insert(code, count).unwrap_or(0);
                if count > told {
                    let texts = target.stacks.texts(code);
                    let place = place(&texts, known.line_table, &mut journal.book);
                    *sums.entry(place).or_default() += count - told;
                }
            }
            let mut counts: Vec<_> = sums.into_iter().collect();
            counts.sort_unstable();
            let space = SpaceId(space);
            journal.put(Entry::Ran(Ran { space, at, counted: Counted::Functions, counts }));
        }
    }

    /// A target has ended: its last counts, and their room in the map.
    pub(super) fn end_calls(&mut self, at: Nanos, space: u32) {
        self.tell_calls(at, Some(space), true);
        let calls = self.targets.get_mut(&space).and_then(|target| target.calls.take());
        if let Some(Calls { probe, told, .. }) = calls {
            if let Some(probe) = probe {
                probe.close_in_background();
            }
            self.probes().forget_calls(space, told.into_keys());
        }
    }
}

/// What stands for code whose names did not come, or that there was no room for.
const UNNAMED: &str = "<unnamed>";

fn place(
    texts: &Option<std::rc::Rc<CodeTexts>>,
    kind: LineTableKind,
    book: &mut NameBook,
) -> PlaceId {
    let Some(texts) = texts else { return book.line((UNNAMED, UNNAMED), (0, 0), 0) };
    let last = LineTable::new(kind, texts.first_line, &texts.table).last_line();
    let first = u32::try_from(texts.first_line).unwrap_or(0);
    book.line((&texts.file, &texts.name), (first, last), first)
}
