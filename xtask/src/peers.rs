//! The memory profilers of others that `bench --peers` runs, in a folder of the project's own: from PyPI
//! in a virtual environment, bcc's memleak from Debian. Nothing of the machine's is changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian::{self, Apt};
use crate::{process, python};

/// Pinned, so that a page of figures says what it is about. Austin 4 needs a newer glibc than Debian 12's.
const PACKAGES: [&str; 7] = [
    "memray==1.20.0",
    "scalene==2.4.0",
    "memory_profiler==0.61.0",
    "filprofiler==2024.11.2",
    "austin-dist==3.7.0",
    "numpy",
    "pyperformance==1.14.0", // the programs, not a tool
];

/// bcc's tools as they are built with libbpf (the older ones compile their programs on the spot, for which they need the
/// running kernel's headers), from the newest suite, and with the libraries that they want.
const BCC: (&str, &str) = ("libbpf-tools", "sid");

/// The folder, filled if need be. A tool that can't be had is told here and by the page.
pub(crate) fn installed() -> Result<PathBuf> {
    let folder = process::target().join("memtrace-peers");
    let (python, bcc) = (folder.join("python"), folder.join("bcc"));
    if !python.join("bin/memray").is_file() {
        environment(&python)?;
    }
    if !bcc.join("usr/sbin/memleak-libbpf").is_file()
        && let Err(error) = memleak(&bcc)
    {
        println!("bench: no memleak: {error:#}");
    }
    Ok(folder)
}

/// For 3.12, which all of them support.
fn environment(folder: &Path) -> Result<()> {
    let found = python::find().into_iter().find(|python| python.version.0 == 12);
    let python = found.context("the other profilers are run with CPython 3.12: install one")?;
    process::run(Command::new(&python.path).args(["-m", "venv", "--clear"]).arg(folder))?;
    for package in PACKAGES {
        let pip = folder.join("bin/pip");
        let quiet = ["install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"];
        if let Err(error) = process::run(Command::new(pip).args(quiet).arg(package)) {
            println!("bench: no {package}: {error:#}");
        }
    }
    Ok(())
}

/// Unpacked with all that it depends on, its own C library too, not installed.
fn memleak(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let (package, suite) = BCC;
    let apt = Apt::new(&folder.with_extension("apt"), &debian::mirror(None)?, suite)?;
    apt.update()?;
    apt.download_with_dependencies([package.to_owned()])?;
    debian::unpack_all(&apt.archives(), folder)?;
    apt.remove()
}
