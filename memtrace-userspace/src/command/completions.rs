//! `memtrace completions`: what a shell needs to complete memtrace's command line.
//!
//! clap_complete writes it from the command line's own definition. It installs nothing.

use anyhow::Result;
use clap::CommandFactory;

use super::output::Output;
use crate::cli::{Cli, CompletionsArgs};

/// Writes the shell's script to standard output.
///
/// # Errors
///
/// When it can't be written.
pub fn run(args: &CompletionsArgs) -> Result<()> {
    // Made in memory: clap_complete panics where it can't write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "memtrace", &mut script);
    Output::open(None)?.write(|out| Ok(out.write_all(&script)?))
}
