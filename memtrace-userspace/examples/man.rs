//! Writes memtrace's man pages into a folder: one for memtrace, one for each command.
//!
//! `cargo xtask man` runs it. An example, so that neither memtrace nor the chores carry the
//! generator; it says nothing that the command line's own definition doesn't say.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::CommandFactory;
use memtrace::cli::Cli;

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).context("the folder to write to")?;
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder)?;
    let mut memtrace = Cli::command().disable_help_subcommand(true);
    memtrace.build();
    for command in std::iter::once(&memtrace).chain(memtrace.get_subcommands()) {
        clap_mangen::Man::new(command.clone())
            .source(concat!("memtrace ", env!("CARGO_PKG_VERSION")))
            .manual("memtrace")
            .generate_to(&folder)
            .with_context(|| format!("can't write to {}", folder.display()))?;
    }
    Ok(())
}
