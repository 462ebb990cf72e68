//! With whose rights a target's files are read: the target's. A target chooses the names of its own
//! code, so with memtrace's rights it could have any file of the machine printed into a report.
//!
//! Rights are a thread's on Linux, so a thread of its own takes on the target's user and groups, for
//! files only, reads, and ends. They are those that the target had when it was opened: a process that
//! gives up rights later is still read with the earlier ones.

use std::io;
use std::thread;

use rustix::process::Gid;
use rustix::thread::set_thread_groups;

/// A user with groups, as far as files go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reader {
    user: u32,
    group: u32,
    groups: Vec<u32>,
}

impl Reader {
    /// The user that a process is, by `/proc/PID/status`; `None` when it is gone.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
        let status = process.status().ok()?;
        Some(Self { user: status.fuid, group: status.fgid, groups: status.groups })
    }

    /// Runs `read` with this user's rights.
    ///
    /// # Errors
    ///
    /// When this thread's user may not become the other.
    pub(super) fn run<T: Send>(&self, read: impl FnOnce() -> T + Send) -> io::Result<T> {
        if Self::of(std::process::id()).is_some_and(|own| own.user == self.user) {
            return Ok(read());
        }
        let as_reader = || self.take_on().map(|()| read());
        thread::scope(|scope| scope.spawn(as_reader).join())
            .unwrap_or_else(|_| Err(io::Error::other("the reading thread panicked")))
    }

    /// Gives this thread the rights, and takes away those that it had to pass over permissions
    /// (`setfsuid` from 0 to another does: capabilities(7)).
    fn take_on(&self) -> io::Result<()> {
        let groups: Vec<_> = self.groups.iter().map(|group| Gid::from_raw(*group)).collect();
        set_thread_groups(&groups)?;
        for (call, id) in [(libc::SYS_setfsgid, self.group), (libc::SYS_setfsuid, self.user)] {
            // SAFETY: takes a number, and concerns this thread only. It gives the id that was, and
            // with an id that is none changes nothing.
            let now = unsafe {
                libc::syscall(call, id);
                libc::syscall(call, -1)
            };
            if now != i64::from(id) {
                return Err(io::Error::from(io::ErrorKind::PermissionDenied));
            }
        }
        Ok(())
    }
}
