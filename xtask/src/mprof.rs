//! memory_profiler's `mprof` for the tests of what memtrace writes for it: with matplotlib, and with
//! the interpreter that it is installed for.

use std::env;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::root;
use crate::{pip, python};

/// Pinned: the grammar that memtrace writes is this version's.
const PACKAGES: [&str; 2] = ["memory_profiler==0.61.0", "matplotlib"];

/// Where the tests look for it.
pub(crate) fn folder() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root().join(target).join("memtrace-tests/mprof")
}

/// Installs it for the newest interpreter with pip that PyPI has everything for.
pub(crate) fn install(folder: &Path) -> Result<()> {
    let with_pip = python::find().into_iter().rev().filter(|python| python.has_module("pip"));
    for python in with_pip {
        let beside = |part: &Path| {
            symlink(&python.path, part.join("interpreter")).context("cannot link the interpreter")
        };
        match pip::install(&python, folder, &PACKAGES, beside) {
            Ok(()) => return Ok(()),
            Err(error) => println!("setup: not for Python {}: {error:#}", python.series()),
        }
    }
    bail!("no Python from 3.8 to 3.15 with pip could install {}", PACKAGES.join(" and "))
}
