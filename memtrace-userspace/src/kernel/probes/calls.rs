//! `--calls`: the programs that count evaluations, and their counts.

use std::collections::HashMap;
use std::path::Path;

use aya::programs::UProbe;

use super::{Crossing, KernelError, Probes, map_error, program_error};
use crate::kernel::ProcessProbe;

/// Key of a count: address of the code object, number of its space.
pub(super) type Code = [u64; 2];

impl Probes {
    /// Counts a process's evaluations from now on, at `offset` of the file at `path`.
    /// `takes_frame`: the first argument there is the frame (CPython 3.8), and not the second.
    ///
    /// # Errors
    ///
    /// [`KernelError`] when the probe can't be attached.
    pub fn count_calls(
        &mut self,
        (pid, space): (u32, u32),
        (path, offset): (&Path, u64),
        takes_frame: bool,
    ) -> Result<ProcessProbe, KernelError> {
        let name = if takes_frame { "calls_of_frame" } else { "calls" };
        // For what the map has no room for: a count that is always there.
        self.calls.insert([0, space.into()], Crossing(0), 0).map_err(map_error("EVALUATIONS"))?;
        let program: &mut UProbe = self
            .ebpf
            .program_mut(name)
            .ok_or(KernelError::Absent(name))?
            .try_into()
            .map_err(program_error(name))?;
        if program.fd().is_err() {
            // Only now: most traces do without.
            program.load().map_err(program_error(name))?;
        }
        self.attach_to_process(name, pid, path, offset)
    }

    /// All counts so far, by space: code object and evaluations.
    #[must_use]
    pub fn calls(&self) -> HashMap<u32, Vec<(u64, u64)>> {
        let mut calls: HashMap<u32, Vec<(u64, u64)>> = HashMap::new();
        // An entry that is removed meanwhile is told by a record.
        for ([code, space], Crossing(count)) in self.calls.iter().flatten() {
            calls.entry(space as u32).or_default().push((code, count));
        }
        calls
    }

    /// Forgets the counts of a space that has ended, to make room.
    pub fn forget_calls(&mut self, space: u32, codes: impl Iterator<Item = u64>) {
        for code in codes {
            // Gone already is as good.
            let _ = self.calls.remove(&[code, space.into()]);
        }
    }
}
