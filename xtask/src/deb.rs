//! `cargo xtask deb`: the Debian package, by `dpkg-deb`.
//!
//! The binary, its man pages and completions, the systemd unit and its configuration. Nothing is
//! started by installing it: what is traced on a machine is its administrator's decision.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::package::{self, NAME, SUMMARY, VERSION, copy, write};
use crate::process::{self, root};

const CONFIGURATION: &str = "etc/memtrace/daemon.toml";

/// The chore.
pub(crate) fn run(options: &package::Options) -> Result<()> {
    let output = options.folder()?;
    let stage = output.join("deb");
    if stage.exists() {
        fs::remove_dir_all(&stage).with_context(|| format!("cannot remove {}", stage.display()))?;
    }
    let binary = stage.join("usr/bin/memtrace");
    options.binary(&binary)?;
    let packaging = root().join("packaging");
    copy(&packaging.join("daemon.toml"), &stage.join(CONFIGURATION), 0o644)?;
    let unit = "lib/systemd/system/memtrace.service";
    copy(&packaging.join("systemd/memtrace.service"), &stage.join(unit), 0o644)?;
    completions(&binary, &stage)?;
    manuals(&stage)?;
    let license = format!(
        "memtrace is licensed under either of the MIT License and the Apache License 2.0.\n\n{}\n{}",
        fs::read_to_string(root().join("LICENSE-MIT"))?,
        fs::read_to_string(root().join("LICENSE-APACHE"))?,
    );
    write(&stage.join("usr/share/doc/memtrace/copyright"), license.as_bytes(), 0o644)?;
    control(&binary, &stage)?;

    let file = output.join(format!("{NAME}_{VERSION}_amd64.deb"));
    process::run(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Zxz", "--build"])
            .arg(&stage)
            .arg(&file),
    )?;
    println!("{}", file.display());
    Ok(())
}

fn control(binary: &Path, stage: &Path) -> Result<()> {
    let (major, minor) = package::glibc(binary)?;
    let control = format!(
        "Package: {NAME}\n\
         Version: {VERSION}\n\
         Architecture: amd64\n\
         Maintainer: The memtrace authors <memtrace@localhost>\n\
         Section: devel\n\
         Priority: optional\n\
         Depends: libc6 (>= {major}.{minor}), libgcc-s1\n\
         Recommends: ca-certificates\n\
         Description: {SUMMARY}\n \
         memtrace traces running CPython processes through eBPF, without touching them, and\n \
         reports the growth of their resident memory by file and line.\n"
    );
    write(&stage.join("DEBIAN/control"), control.as_bytes(), 0o644)?;
    write(&stage.join("DEBIAN/conffiles"), format!("/{CONFIGURATION}\n").as_bytes(), 0o644)
}

/// Written by the binary itself, so that they are those of what is in the package.
fn completions(binary: &Path, stage: &Path) -> Result<()> {
    for (shell, file) in [
        ("bash", "usr/share/bash-completion/completions/memtrace"),
        ("zsh", "usr/share/zsh/vendor-completions/_memtrace"),
        ("fish", "usr/share/fish/vendor_completions.d/memtrace.fish"),
    ] {
        let text = process::ask(Command::new(binary).args(["completions", shell]))
            .with_context(|| format!("{} completions {shell}", binary.display()))?;
        write(&stage.join(file), format!("{text}\n").as_bytes(), 0o644)?;
    }
    Ok(())
}

fn manuals(stage: &Path) -> Result<()> {
    let folder = stage.join("usr/share/man/man1");
    let options = crate::man::Options::into(&folder);
    crate::man::run(&options)?;
    for entry in fs::read_dir(&folder)?.flatten() {
        process::run(Command::new("gzip").args(["-9", "-n"]).arg(entry.path()))?;
    }
    Ok(())
}
