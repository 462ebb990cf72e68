//! What the packages have in common: the binary to pack, and what it needs.
//!
//! It knows no form of package: those are in `deb` and `wheel`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::{self, root};

/// Name of the package everywhere.
pub(crate) const NAME: &str = "memtrace";
/// The workspace's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What it is, in a line.
pub(crate) const SUMMARY: &str = "Which Python line made this process's resident memory grow";

/// What was typed, for every form.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Pack this binary instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// The folder for the package
    #[arg(short, long, value_name = "FOLDER", default_value = "target/package")]
    output: PathBuf,
}

impl Options {
    /// The folder for the package, which is there.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        let folder = root().join(&self.output);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// Puts the binary into a file, without what debuggers read.
    pub(crate) fn binary(&self, file: &Path) -> Result<()> {
        let built = match &self.binary {
            Some(named) => std::path::absolute(named)?,
            None => {
                process::run(process::cargo().args([
                    "build",
                    "--release",
                    "--locked",
                    "-p",
                    "memtrace",
                ]))?;
                let target = std::env::var_os("CARGO_TARGET_DIR");
                root()
                    .join(target.map_or_else(|| "target".into(), PathBuf::from))
                    .join("release/memtrace")
            }
        };
        copy(&built, file, 0o755)?;
        process::run(Command::new("strip").arg("--strip-unneeded").arg(file))
            .context("binutils' strip is needed")
    }
}

/// Copies a file and sets its mode; its folder is made.
pub(crate) fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    write(to, &content, mode)
}

/// Writes a file and sets its mode; its folder is made.
pub(crate) fn write(to: &Path, content: &[u8], mode: u32) -> Result<()> {
    let failed = || format!("cannot write {}", to.display());
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    fs::write(to, content).with_context(failed)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).with_context(failed)
}

/// The lowest glibc, `(2, 34)`, whose symbols the binary asks for: the highest version of all that are
/// named in it.
pub(crate) fn glibc(binary: &Path) -> Result<(u32, u32)> {
    let bytes = fs::read(binary).with_context(|| format!("cannot read {}", binary.display()))?;
    let versions = bytes.split(|byte| *byte == 0).filter_map(|text| {
        let version = std::str::from_utf8(text).ok()?.strip_prefix("GLIBC_")?;
        let (major, minor) = version.split_once('.')?;
        let minor = minor.split('.').next()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    let highest = versions.max();
    let highest = highest.with_context(|| format!("{} names no glibc", binary.display()))?;
    ensure!(highest >= (2, 17) && highest.0 == 2, "glibc {highest:?} can't be right");
    Ok(highest)
}
