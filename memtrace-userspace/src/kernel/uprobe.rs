//! Uprobes: programs at a function of one process.

use std::path::Path;

use aya::Ebpf;
use aya::programs::UProbe;
use aya::programs::uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope};

use super::probes::{KernelError, Probes, program_error};

/// A uprobe in one process's interpreter; it goes when this is dropped.
pub struct ProcessProbe {
    _link: UProbeLink,
}

impl ProcessProbe {
    /// Takes it off without waiting: closing a uprobe's link waits for grace periods of the
    /// kernel, a tenth of a second, in which a loop would see nothing.
    pub fn close_in_background(self) {
        std::thread::spawn(move || drop(self));
    }
}

impl Probes {
    /// Attaches a uprobe to one process: program `name` at `offset` of the file at `path`.
    ///
    /// # Errors
    ///
    /// [`KernelError::Program`].
    pub fn attach_to_process(
        &mut self,
        name: &'static str,
        pid: u32,
        path: &Path,
        offset: u64,
    ) -> Result<ProcessProbe, KernelError> {
        self.attach_with_cookie(name, pid, (path, offset), None)
    }

    /// The same, with a cookie for the program.
    ///
    /// # Errors
    ///
    /// [`KernelError::Program`].
    pub fn attach_with_cookie(
        &mut self,
        name: &'static str,
        pid: u32,
        (path, offset): (&Path, u64),
        cookie: Option<u64>,
    ) -> Result<ProcessProbe, KernelError> {
        let program: &mut UProbe = self
            .ebpf
            .program_mut(name)
            .ok_or(KernelError::Absent(name))?
            .try_into()
            .map_err(program_error(name))?;
        let scope = UProbeScope::OneProcess(pid.try_into().map_err(|_| KernelError::Absent(name))?);
        let point =
            UProbeAttachPoint { location: UProbeAttachLocation::AbsoluteOffset(offset), cookie };
        let id = program.attach(point, path, scope).map_err(program_error(name))?;
        let link = program.take_link(id).map_err(program_error(name))?;
        Ok(ProcessProbe { _link: link })
    }
}

pub(super) fn load_uprobe(ebpf: &mut Ebpf, name: &'static str) -> Result<(), KernelError> {
    let program: &mut UProbe = ebpf
        .program_mut(name)
        .ok_or(KernelError::Absent(name))?
        .try_into()
        .map_err(program_error(name))?;
    program.load().map_err(program_error(name))
}
