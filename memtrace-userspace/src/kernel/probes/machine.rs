//! What the trace of a whole machine asks of the kernel side.

use std::collections::BTreeMap;

use memtrace_common::settings::{ANY_PROCESS, REQUEST_CLOSE_ANYWAY, Request};

use super::{KernelError, Probes};

impl Probes {
    /// Every process that calls `exec` from now on gets a space there, whether or not it is known.
    ///
    /// # Errors
    ///
    /// [`KernelError::Map`].
    pub fn expect_every_exec(&mut self, follow: bool) -> Result<(), KernelError> {
        self.expect_exec(ANY_PROCESS, follow)
    }

    /// Forgets a process, but not its space, which ends with it or with the next one at its place.
    pub fn forget_process(&mut self, pid: u32) {
        // Gone already is as good.
        let _ = self.processes.remove(&pid);
    }

    /// Forgets threads of a process that was let go of, so that their faults cost a look-up again.
    pub fn forget_threads(&mut self, tids: impl IntoIterator<Item = u32>) {
        for tid in tids {
            // Gone already is as good.
            let _ = self.threads.remove(&tid);
        }
    }

    /// Lets go of processes at once, whatever they are doing, by their pids and the numbers of their
    /// spaces. Those that have another space by now are not touched.
    ///
    /// # Errors
    ///
    /// [`KernelError`] when the kernel side can't be asked.
    pub fn close_anyway(&mut self, spaces: &[(u32, u32)]) -> Result<(), KernelError> {
        self.settle(spaces.iter().map(|(pid, _)| *pid))?;
        let request = |(pid, space): &(u32, u32)| {
            (*pid, Request { space: *space, ..Request::of(REQUEST_CLOSE_ANYWAY) })
        };
        // One request for each process: the latest space is the one that it may have still.
        let requests: BTreeMap<_, _> = spaces.iter().map(request).collect();
        self.ask(&requests.into_iter().collect::<Vec<_>>()).map(drop)
    }
}
