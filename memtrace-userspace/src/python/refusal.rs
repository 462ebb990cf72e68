//! Why a process is not traced: what was found, what is supported, what to do.
//!
//! Each is a whole sentence for the user. A refusal is an answer about a process that could be
//! looked at; a [`DiscoverError`] says that it couldn't.

use std::io;

use super::layouts::LayoutError;
use crate::machine::HERE;

/// A Python that memtrace does not trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// PyPy keeps neither frames nor objects as CPython does.
    #[error("PyPy ({image}) is not supported: run the program with CPython 3.8 to 3.15")]
    PyPy {
        /// The file that it was known by.
        image: String,
    },
    /// Before 3.8.
    #[error(
        "CPython {version} is too old; supported: 3.8 to 3.15: run the program with one of these"
    )]
    TooOld {
        /// As found.
        version: String,
    },
    /// Newer than the newest table.
    #[error(
        "CPython {version} is newer than this memtrace knows; supported: 3.8 to 3.15: \
         look for a newer memtrace"
    )]
    TooNew {
        /// As found.
        version: String,
    },
    /// A build without the GIL.
    #[error(
        "CPython {version} is a free-threaded build, which is not supported; supported: 3.8 to \
         3.15 with the GIL: run the program with an ordinary build of the same version"
    )]
    FreeThreaded {
        /// As found.
        version: String,
    },
    /// CPython, but which?
    #[error(
        "CPython of unknown version ({image}): neither Py_Version nor Py_GetVersion's buffer nor \
         the file name says which; supported: 3.8 to 3.15: if the program is just starting, try \
         again"
    )]
    UnknownVersion {
        /// The file that defines `_PyRuntime`.
        image: String,
    },
    /// Not this machine's.
    #[error(
        "{image} is CPython for another machine (ELF machine {machine}, {bits} bits); supported: \
         {}: run the program with a 64-bit build for it",
        HERE.name()
    )]
    Machine {
        /// The file.
        image: String,
        /// `e_machine`
        machine: u16,
        /// 32 or 64.
        bits: u8,
    },
    /// What is in memory is not what this version has there.
    #[error(
        "CPython {version} does not look like itself: {found}; probably a patched or debug build; \
         supported: release builds of 3.8 to 3.15: please report it with the output of \
         `python -VV`"
    )]
    SelfCheck {
        /// As found.
        version: String,
        /// Which check failed, with what.
        found: String,
    },
}

impl Refusal {
    /// The version of the interpreter, where that was found out.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        match self {
            Self::TooOld { version }
            | Self::TooNew { version }
            | Self::FreeThreaded { version }
            | Self::SelfCheck { version, .. } => Some(version),
            Self::PyPy { .. } | Self::UnknownVersion { .. } | Self::Machine { .. } => None,
        }
    }
}

/// Why a process could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// No such process.
    #[error("there is no process {pid}")]
    NoSuchProcess {
        /// Asked for.
        pid: u32,
    },
    /// Not allowed.
    #[error(
        "not allowed to look into process {pid}: run memtrace as root or give it CAP_SYS_PTRACE and, \
         for other users' processes, CAP_DAC_READ_SEARCH"
    )]
    PermissionDenied {
        /// Asked for.
        pid: u32,
    },
    /// Its files can't be opened although its memory may be read.
    #[error(
        "the files that process {pid} runs from can't be opened: run memtrace as root or give it \
         CAP_CHECKPOINT_RESTORE (CAP_SYS_ADMIN before Linux 5.9) besides CAP_SYS_PTRACE"
    )]
    FilesDenied {
        /// Asked for.
        pid: u32,
    },
    /// It was there at first.
    #[error("process {pid} exited while it was being looked at")]
    Exited {
        /// Asked for.
        pid: u32,
    },
    /// A defect of memtrace's own tables.
    #[error("memtrace's own table is wrong (please report it): {0}")]
    Layout(#[from] LayoutError),
    /// Anything else.
    #[error("process {pid} can't be looked at: {source}")]
    Io {
        /// Asked for.
        pid: u32,
        /// What the kernel said.
        source: io::Error,
    },
}

impl DiscoverError {
    /// From an error of `/proc/PID`.
    #[must_use]
    pub fn from_io(pid: u32, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NoSuchProcess { pid },
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { pid },
            _ if source.raw_os_error() == Some(libc::ESRCH) => Self::Exited { pid },
            _ => Self::Io { pid, source },
        }
    }
}
