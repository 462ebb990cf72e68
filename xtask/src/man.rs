//! `cargo xtask man`: the man pages, made from the command line's own definition.
//!
//! It runs memtrace's example `man`; the pages are not committed.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::process::{self, root};

/// What was typed.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The folder for the pages
    #[arg(short, long, value_name = "FOLDER", default_value = "target/man")]
    output: PathBuf,
}

impl Options {
    /// As if typed with `--output`.
    pub(crate) fn into(folder: &std::path::Path) -> Self {
        Self { output: folder.to_owned() }
    }
}

/// The chore.
pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = root().join(&options.output);
    process::run(
        process::cargo()
            .args(["run", "--quiet", "--locked", "-p", "memtrace", "--example", "man", "--"])
            .arg(&folder),
    )?;
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut pages: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    pages.retain(|path| path.extension().is_some_and(|section| section == "1"));
    if pages.is_empty() {
        bail!("no page was written to {}", folder.display());
    }
    pages.sort();
    for page in pages {
        println!("{}", page.display());
    }
    Ok(())
}
