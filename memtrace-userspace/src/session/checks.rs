//! What is looked at now and then, since no record tells of it, or the record may be lost: code that begins to
//! come and go, second interpreters, ends.

use std::collections::HashMap;

use memtrace_common::settings::{CHECKED, CLOSED};
use tracing::debug;

use super::SessionError;
use super::target::Target;
use super::targets::Targets;
use crate::kernel::KernelError;
use crate::profile::Ending;

/// Targets of which nothing was heard that are checked at a time, about: a check is a call or two.
const CHECKED_UNSTIRRED: usize = 8;

impl Targets {
    /// Probes the death of code objects in targets whose code comes and goes. Until then the
    /// kernel side checks the code of every frame, which costs more; others get no probe, and so
    /// nothing of ours is ever in their memory.
    pub(super) fn watch_code(&mut self, spaces: &[u32]) -> Result<(), KernelError> {
        let checked = |target: &&Target| {
            let open = target.is_live() && target.code_dealloc.is_some();
            let space = || self.probes.space(target.mm, target.space);
            open && space().is_some_and(|space| space.code == CHECKED)
        };
        let targets = spaces.iter().filter_map(|space| self.targets.get(space));
        let spaces: Vec<_> = targets.filter(checked).map(|it| it.space).collect();
        spaces.into_iter().try_for_each(|space| self.watch_code_of(space))
    }

    /// Probes the death of code objects in one target, where that is allowed and possible.
    pub(super) fn watch_code_of(&mut self, space: u32) -> Result<(), KernelError> {
        let Some(target) = self.targets.get_mut(&space).filter(|_| self.uprobes) else {
            return Ok(());
        };
        let Some(point) = target.code_dealloc.take() else { return Ok(()) };
        let (path, offset) = (&point.path, point.file_offset);
        match self.probes.attach_to_process("code_dealloc", target.pid, path, offset) {
            Ok(probe) => {
                target.code_probe = Some(probe);
                self.probes.code_is_watched(target.pid, target.space)?;
            }
            Err(error) => debug!("process {}: {error}", target.pid),
        }
        Ok(())
    }

    /// The live targets of which a record has come since the last check, and some of the others: that of an
    /// end may have been lost.
    pub(super) fn due_for_a_check(&mut self) -> Vec<u32> {
        self.rounds += 1;
        let parts = 1 + self.targets.len() / CHECKED_UNSTIRRED;
        let turn = self.rounds % parts;
        let targets = self.targets.values_mut().filter(|target| target.is_live());
        let due = targets.filter_map(|target| {
            let stirred = std::mem::take(&mut target.stirred);
            (stirred || target.space as usize % parts == turn).then_some(target.space)
        });
        due.chain(self.ended.iter().copied()).collect()
    }

    pub(super) fn tell_grown_interpreters(&mut self, spaces: &[u32]) -> Result<(), SessionError> {
        for (space, layout) in self.bindings.grown_interpreters(spaces) {
            if let Some(target) = self.targets.get(&space) {
                self.probes.configure(target.pid, space, &layout)?;
            }
        }
        Ok(())
    }

    /// Targets that ended while the ring buffer was full have no record of it.
    pub(super) fn find_ended(&mut self, spaces: &[u32]) {
        if let Some(pid) = self.expected
            && !std::path::Path::new(&format!("/proc/{pid}")).exists()
        {
            self.expected = None;
        }
        // What ended may have records that wait to be booked.
        if !std::mem::take(&mut self.emptied) {
            return;
        }
        let mut ended = HashMap::new();
        let targets = spaces.iter().filter_map(|space| self.targets.get(space));
        for target in targets.filter(|target| target.is_live()) {
            match self.probes.space(target.mm, target.space) {
                Some(space) if space.state == CLOSED => ended.insert(target.space, space.tally),
                Some(_) => None,
                None => {
                    let tally = self.probes.untold_end(target.space).unwrap_or(target.tally);
                    ended.insert(target.space, tally)
                }
            };
        }
        // Its last records may be in the ring buffer still: by the next check they are booked.
        let before = std::mem::take(&mut self.ended);
        for (space, tally) in ended {
            if before.contains(&space) {
                self.finish_target(space, Ending::Exited, tally);
            } else {
                self.ended.insert(space);
            }
        }
    }
}
