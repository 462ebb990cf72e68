//! The allocator lens and the targets of a trace: when it begins to look at one, and when it is asked.

use std::time::Instant;

use crate::kernel::KernelError;
use crate::python::Interpreter;
use crate::session::targets::Targets;

impl Targets {
    /// Begins to look at a target's allocator.
    pub(in crate::session) fn begin_lens(&mut self, space: u32) -> Result<(), KernelError> {
        let interpreter = self.bindings.interpreter(space).cloned();
        self.look_with_lens(space, interpreter.as_ref());
        if let (Some(lenses), Some(target)) = (&mut self.lenses, self.targets.get(&space)) {
            lenses.begin(target.pid, space, &mut self.probes)?;
        }
        Ok(())
    }

    /// Puts probes on what is mapped of a target's allocators by now.
    pub(in crate::session) fn look_with_lens(
        &mut self,
        space: u32,
        interpreter: Option<&Interpreter>,
    ) {
        let Self { lenses: Some(lenses), targets, probes, images, .. } = self else { return };
        let Some(target) = targets.get_mut(&space) else { return };
        let notes = lenses.look(target, interpreter, probes, images);
        target.lens_notes.extend(notes);
    }

    /// Tells windows of the allocator lens that are over, and begins and ends those that are due.
    pub(in crate::session) fn tend_lenses(&mut self, now: Instant) -> Result<(), KernelError> {
        let at = self.journal.now();
        let Self { lenses: Some(lenses), targets, probes, journal, .. } = self else {
            return Ok(());
        };
        for space in lenses.take_finished() {
            if let Some(target) = targets.get_mut(&space) {
                lenses.tell(target, at, probes, journal);
            }
        }
        lenses.tend(now, probes)
    }

    /// Reads what the allocator lens has counted.
    pub(in crate::session) fn read_lens(&mut self) -> Result<(), KernelError> {
        match &mut self.lenses {
            Some(lenses) => lenses.read(&mut self.probes),
            None => Ok(()),
        }
    }
}
