//! The memory profilers of others that `bench --peers` runs, in a folder of the project's own: from PyPI
//! in a virtual environment, bcc's memleak from Debian. Nothing of the machine's is changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{process, python};

/// Pinned, so that a page of figures says what it is about. Austin 4 needs a newer glibc than Debian 12's.
const PACKAGES: [&str; 6] = [
    "memray==1.20.0",
    "scalene==2.4.0",
    "memory_profiler==0.61.0",
    "filprofiler==2024.11.2",
    "austin-dist==3.7.0",
    "numpy",
];

/// bcc, and what it loads that a small system may lack.
const BCC: [&str; 9] = [
    "bpfcc-tools",
    "python3-bpfcc",
    "libbpfcc",
    "libclang-cpp14",
    "libclang1-14",
    "libllvm14",
    "libelf1",
    "libdebuginfod1",
    "libbpf1",
];

/// The folder, filled if need be. A tool that can't be had is told here and by the page.
pub(crate) fn installed() -> Result<PathBuf> {
    let folder = process::target().join("memtrace-peers");
    let (python, bcc) = (folder.join("python"), folder.join("bcc"));
    if !python.join("bin/memray").is_file() {
        environment(&python)?;
    }
    if !bcc.join("usr/sbin/memleak-bpfcc").is_file()
        && let Err(error) = packages(&bcc)
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

/// Fetched with the machine's own apt, which verifies them, and unpacked, not installed.
fn packages(folder: &Path) -> Result<()> {
    let archives = folder.join("archives");
    fs::create_dir_all(&archives).with_context(|| format!("cannot make {}", archives.display()))?;
    process::run(
        Command::new("apt-get").args(["download", "-q"]).args(BCC).current_dir(&archives),
    )?;
    let mut unpacked = 0;
    for entry in fs::read_dir(&archives)? {
        process::run(Command::new("dpkg-deb").arg("-x").arg(entry?.path()).arg(folder))?;
        unpacked += 1;
    }
    ensure!(unpacked >= BCC.len(), "apt-get brought {unpacked} packages of {}", BCC.len());
    Ok(())
}
