//! What this kernel and these privileges allow, and the mend for what they don't.
//!
//! It looks at `/proc` and `/sys` and loads nothing: a machine on which every check is ok can
//! still refuse a program (a seccomp filter, a security module), and the refusal is then reported
//! where it happens. The one thing it changes is to mount tracefs where it is missing and may be
//! mounted, since no other program is bound to have done it.

mod checks;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Tracing works, with a limit that `found` names.
    Warning,
    /// Tracing can't work.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// How it came out.
    pub status: Status,
    /// What was there.
    pub found: String,
    /// What to do, where there is something to do.
    pub mend: Option<String>,
}

/// The first thing that makes tracing impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {found}{}", mend.as_ref().map(|mend| format!("; {mend}")).unwrap_or_default())]
pub struct SupportError {
    /// Which check.
    pub name: String,
    /// What was there.
    pub found: String,
    /// What to do.
    pub mend: Option<String>,
}

/// Looks at everything, in the order in which mends make sense.
#[must_use]
pub fn examine() -> Vec<Check> {
    Machine::live().examine()
}

/// Fails with the first missing thing.
///
/// # Errors
///
/// When something is missing that tracing can't do without.
pub fn require() -> Result<(), SupportError> {
    first_missing(examine())
}

/// Whether this kernel counts a change of RSS when it is made, and does not let it wait in the thread that made it.
#[must_use]
pub fn counts_at_once() -> bool {
    Machine::live().release().is_none_or(|version| version >= checks::EXACT)
}

/// Whether a map that is open can be used without a capability, where `bpf` is for the privileged only.
#[must_use]
pub fn open_maps_are_anyones() -> bool {
    Machine::live().release().is_none_or(|version| version >= (5, 19))
}

fn first_missing(checks: Vec<Check>) -> Result<(), SupportError> {
    match checks.into_iter().find(|check| check.status == Status::Missing) {
        None => Ok(()),
        Some(Check { name, found, mend, .. }) => Err(SupportError { name, found, mend }),
    }
}

/// Where `/proc` and `/sys` are: the machine's, or a test's.
struct Machine {
    root: PathBuf,
    mounts: bool,
}

impl Machine {
    /// This machine; tracefs may be mounted.
    fn live() -> Self {
        Self { root: PathBuf::from("/"), mounts: true }
    }

    fn examine(&self) -> Vec<Check> {
        let mut all = vec![checks::kernel(self), checks::user_namespace(self)];
        all.extend(checks::addresses());
        all.extend(checks::capabilities(self));
        all.extend([checks::lockdown(self), checks::btf(self), checks::tracefs(self)]);
        all.extend(checks::tracepoints(self));
        all.extend([
            checks::ring_buffer(self),
            checks::uprobes(self),
            checks::cpus(self),
            checks::memlock(self),
        ]);
        all
    }

    /// A path of the machine, given from its root.
    fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    fn read(&self, absolute: &str) -> io::Result<String> {
        fs::read_to_string(self.path(absolute)).map(|text| text.trim().to_owned())
    }

    /// The kernel's version as numbers, when it can be read.
    fn release(&self) -> Option<(u32, u32)> {
        parse_release(&self.read("/proc/sys/kernel/osrelease").ok()?)
    }

    /// Mounts tracefs at its usual place.
    fn mount_tracefs(&self) -> io::Result<()> {
        if !self.mounts {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        let target: &Path = &self.path("/sys/kernel/tracing");
        let flags = rustix::mount::MountFlags::NOSUID
            | rustix::mount::MountFlags::NODEV
            | rustix::mount::MountFlags::NOEXEC;
        rustix::mount::mount("tracefs", target, "tracefs", flags, None::<&std::ffi::CStr>)
            .map_err(io::Error::from)
    }
}

/// `(6, 18)` of `6.18.44-cloud-amd64`.
fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests;
