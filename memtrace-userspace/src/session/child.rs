//! A command that memtrace starts itself: held before `exec` until it is traced, without ptrace.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

/// A command between `fork` and `exec`, and then its whole life.
pub struct Child {
    /// Its process id.
    pub pid: u32,
    go: Option<std::fs::File>,
    spawner: Option<JoinHandle<io::Result<std::process::Child>>>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildEnd {
    /// The code that a shell would show: its own, or 128 and the signal.
    pub code: u8,
}

impl ChildEnd {
    fn of(status: ExitStatus) -> Self {
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Self { code: code as u8 }
    }
}

impl Child {
    /// Forks. The new process waits right before `exec`: it reads from a pipe until somebody says
    /// go, which is why the spawning itself must be done by a thread. `environment` is added to ours.
    ///
    /// # Errors
    ///
    /// When there is no process or no pipe to be had.
    pub fn hold(command: &[OsString], environment: &[(OsString, OsString)]) -> io::Result<Self> {
        let (told_pid, tell_pid) = pipe()?;
        let (wait_go, go) = pipe()?;
        let mut spawning = Command::new(&command[0]);
        spawning.args(&command[1..]).envs(environment.iter().cloned());
        let (tell, wait) = (tell_pid.as_raw_fd(), wait_go.as_raw_fd());
        let close_in_child = go.as_raw_fd();
        // SAFETY: only async-signal-safe calls between fork and exec.
        unsafe {
            spawning.pre_exec(move || {
                let pid = libc::getpid().to_ne_bytes();
                libc::write(tell, pid.as_ptr().cast(), pid.len());
                // Our own copy of the end that says go would keep the pipe open for ever.
                libc::close(close_in_child);
                let mut byte = 0u8;
                match libc::read(wait, (&raw mut byte).cast(), 1) {
                    1 => Ok(()),
                    _ => Err(io::Error::other("memtrace ended before the command began")),
                }
            });
        }
        let spawner = std::thread::spawn(move || {
            let child = spawning.spawn();
            drop((tell_pid, wait_go));
            child
        });
        let mut pid = [0u8; 4];
        let mut told: std::fs::File = told_pid.into();
        if told.read_exact(&mut pid).is_err() {
            // It ended before it could say so: the spawner knows why.
            let error = match spawner.join() {
                Ok(Err(error)) => error,
                _ => io::Error::other("the command could not be started"),
            };
            return Err(error);
        }
        let pid = u32::from_ne_bytes(pid);
        Ok(Self { pid, go: Some(go.into()), spawner: Some(spawner) })
    }

    /// Lets it call `exec`; the answer comes when it has ended.
    ///
    /// # Errors
    ///
    /// What `exec` said: no such program, not executable.
    pub fn release(mut self) -> io::Result<oneshot::Receiver<ChildEnd>> {
        if let Some(mut go) = self.go.take() {
            go.write_all(&[1])?;
        }
        let Some(spawner) = self.spawner.take() else {
            return Err(io::Error::other("released twice"));
        };
        let mut child = match spawner.join() {
            Ok(child) => child?,
            Err(_) => return Err(io::Error::other("the spawning thread panicked")),
        };
        let (ended, end) = oneshot::channel();
        std::thread::spawn(move || {
            if let Ok(status) = child.wait() {
                // Nobody waits any more when memtrace itself is ending.
                let _ = ended.send(ChildEnd::of(status));
            }
        });
        Ok(end)
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}
