//! `memtrace mend` (hidden): the process that waits for memtrace's end and takes out what it could not. On standard
//! input it hears where breakpoints may be; standard output is no stream, but the program to put there.

use std::io;
use std::os::fd::AsFd as _;

use anyhow::Result;

use crate::kernel;

/// Does it.
///
/// # Errors
///
/// As [`kernel::mend`].
pub fn run() -> Result<()> {
    let program = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(kernel::mend(io::stdin().lock(), program)?)
}
