//! File descriptors: whether there are any left, and a few in reserve for what tracing can't do without.

use std::fs::File;
use std::os::fd::OwnedFd;

/// What an iterator over tasks takes: its link, and its file.
const RESERVED: usize = 3;

/// Descriptors that nobody else can use up.
#[derive(Debug)]
pub(super) struct Reserve {
    _files: Vec<OwnedFd>,
}

impl Reserve {
    /// As many as are needed; `None` when there are none.
    pub(super) fn new() -> Option<Self> {
        let files: Result<Vec<_>, _> =
            (0..RESERVED).map(|_| File::open("/dev/null").map(OwnedFd::from)).collect();
        files.ok().map(|files| Self { _files: files })
    }
}

/// Whether this process, or the machine, can open no file more.
#[must_use]
pub fn are_out() -> bool {
    File::open("/dev/null").is_err_and(|error| is_about_descriptors(&error))
}

/// Whether an error is that no file can be opened any more.
#[must_use]
pub fn is_about_descriptors(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}
