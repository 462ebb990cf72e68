//! Building for aarch64 on x86-64: the standard library of the very compiler that `rustc-web` is, from
//! Debian's archive for arm64, and the C compiler of `gcc-aarch64-linux-gnu`.
//!
//! Nothing is installed: apt works in a folder below the build folder, as if this were an arm64 machine.
//! The same folder has the system that goes into the virtual machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::architecture::Architecture;
use crate::debian::{self, Apt};
use crate::process;

/// The target of the compiler.
pub(super) const TARGET: &str = "aarch64-unknown-linux-gnu";
/// The C compiler and its binutils.
pub(super) const CC: &str = "aarch64-linux-gnu-gcc";
pub(super) const STRIP: &str = "aarch64-linux-gnu-strip";
const AR: &str = "aarch64-linux-gnu-ar";
/// Debian's compiler, beside rustup's (`toolchain.rs`).
const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const RUSTC_PACKAGE: &str = "rustc-web";
/// The standard library that belongs to it.
const STANDARD: &str = "libstd-rust-web-dev";
/// What runs in the virtual machine beside memtrace and its tests.
const SYSTEM: [&str; 5] = ["python3-minimal", "libpython3-stdlib", "dash", "coreutils", "bpftool"];

/// The folder of what was fetched.
fn folder() -> PathBuf {
    super::folder().join("arm64")
}

/// The root of a system as Debian unpacks it.
pub(super) fn system() -> PathBuf {
    folder().join("system")
}

/// Fetches what is not there yet, or everything `again`.
pub(super) fn have(again: bool) -> Result<()> {
    for program in [CC, STRIP, AR] {
        if process::find_program(program).is_none() {
            bail!("`{program}` is not on PATH: apt-get install gcc-aarch64-linux-gnu");
        }
    }
    let folder = folder();
    if again && folder.exists() {
        fs::remove_dir_all(&folder).context("cannot remove what was fetched before")?;
    }
    if folder.exists() {
        return Ok(());
    }
    let fresh = folder.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).context("cannot remove what an earlier try left")?;
    }
    fetch(&fresh).context("Debian's packages for arm64 were not fetched")?;
    fs::rename(&fresh, &folder).context("cannot name the folder as it should be")
}

fn fetch(folder: &Path) -> Result<()> {
    let version = process::ask(Command::new("dpkg-query").args([
        "--show",
        "--showformat",
        "${Version}",
        RUSTC_PACKAGE,
    ]));
    let version = version.with_context(|| {
        format!("there is no {RUSTC_PACKAGE} here; `cargo xtask setup --for ebpf` installs it")
    })?;
    let architecture = Architecture::Aarch64.debian();
    let apt = Apt::with(&folder.join("apt"), &debian::archives()?, architecture)?;
    apt.update()?;
    let standard = folder.join("standard");
    debian::unpack(&apt.download_version(STANDARD, &version)?, &standard)?;
    fs::remove_dir_all(apt.archives()).context("cannot empty apt's folder")?;
    fs::create_dir_all(apt.archives().join("partial")).context("cannot make apt's folder")?;
    apt.download_with_dependencies(SYSTEM.map(str::to_owned))?;
    debian::unpack_all(&apt.archives(), &folder.join("system"))?;
    apt.remove()
}

/// Debian's cargo, told to build for aarch64, in a build folder of its own.
pub(super) fn cargo() -> Command {
    let variable = |name: &str| format!("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_{name}");
    let sysroot = folder().join("standard/usr");
    let mut command = Command::new(CARGO);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let keep = text == "CARGO_HOME" || text.starts_with("CARGO_NET_");
        if ["CARGO", "RUST", "LD_LIBRARY_PATH"].iter().any(|it| text.starts_with(it)) && !keep {
            command.env_remove(&name);
        }
    }
    command
        .current_dir(process::root())
        .env("RUSTC", RUSTC)
        .env("CARGO_TARGET_DIR", process::target().join(Architecture::Aarch64.name()))
        .env(variable("LINKER"), CC)
        .env(variable("RUSTFLAGS"), format!("--sysroot={}", sysroot.display()))
        .env("CC_aarch64_unknown_linux_gnu", CC)
        .env("AR_aarch64_unknown_linux_gnu", AR);
    command
}

/// Builds a C library of the tests.
pub(super) fn library(source: &Path, into: &Path) -> Result<()> {
    let mut cc = Command::new(CC);
    cc.args(["-shared", "-fPIC", "-O1", "-pthread", "-o"]).arg(into).arg(source);
    process::run(&mut cc)
}
