//! Uprobes: programs at a function of one process.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use aya::Ebpf;
use aya::programs::UProbe;
use aya::programs::uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope};

use super::lens::{LensMaps, RETURNS};
use super::multi::Link;
use super::probes::{KernelError, Probes, io_error, program_error};

/// A uprobe, or several, in one process; they go when this is dropped.
pub struct ProcessProbe {
    _link: AnyLink,
}

/// What holds it.
enum AnyLink {
    One { _link: UProbeLink },
    Many { _link: Link },
}

impl ProcessProbe {
    /// Takes it off without waiting: closing a uprobe's link waits for grace periods of the
    /// kernel, a tenth of a second, in which a loop would see nothing.
    pub fn close_in_background(self) {
        let closer = thread::spawn(move || drop(self));
        let mut closers = closers();
        closers.retain(|closer| !closer.is_finished());
        closers.push(closer);
    }

    /// Waits until all that close in the background have closed. A thread that ends with its process in the midst of
    /// it would leave breakpoints behind (see [`super::mender`]).
    pub fn wait_for_background() {
        let waiting = std::mem::take(&mut *closers());
        for closer in waiting {
            // One that panicked has nothing more to close.
            drop(closer.join());
        }
    }
}

/// Those that close in the background.
fn closers() -> MutexGuard<'static, Vec<JoinHandle<()>>> {
    static CLOSERS: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());
    CLOSERS.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Attaches a program of the allocator lens to places of one file in one process, each with a
    /// cookie: by one link where the kernel has such, otherwise by one for each.
    ///
    /// # Errors
    ///
    /// [`KernelError`]: none of them is attached then.
    pub fn attach_lens(
        &mut self,
        name: &'static str,
        pid: u32,
        path: &Path,
        places: &[(u64, u64)],
    ) -> Result<Vec<ProcessProbe>, KernelError> {
        if let Some(LensMaps { multi: Some(multi), mender, .. }) = &mut self.lens {
            let failed = io_error("attaching the allocator lens");
            if let Some(mender) = mender {
                mender.expect(pid, path, places).map_err(&failed)?;
            }
            let link = multi.attach(name, pid, path, places, name == RETURNS).map_err(&failed)?;
            return Ok(vec![ProcessProbe { _link: AnyLink::Many { _link: link } }]);
        }
        let attach = |(offset, cookie): &(u64, u64)| {
            self.attach_with_cookie(name, pid, (path, *offset), Some(*cookie))
        };
        places.iter().map(attach).collect()
    }

    /// The same, with a cookie for the program.
    ///
    /// # Errors
    ///
    /// [`KernelError::Program`].
    fn attach_with_cookie(
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
        Ok(ProcessProbe { _link: AnyLink::One { _link: link } })
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
