//! Packages from PyPI in a folder of their own, for tests only: no Python installation of the machine
//! is touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::python::Python;

/// Installs `what` (packages, and options of pip's) for `python` into `folder`, which appears only when
/// it is complete; before that, `finish` may add to it.
pub(crate) fn install(
    python: &Python,
    folder: &Path,
    what: &[&str],
    finish: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let part = PathBuf::from(format!("{}.part", folder.display()));
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("cannot remove {}", part.display()))?;
    }
    process::run(
        Command::new(&python.path)
            .env("PIP_ROOT_USER_ACTION", "ignore")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--only-binary", ":all:", "--target"])
            .arg(&part)
            .args(what),
    )?;
    finish(&part)?;
    fs::rename(&part, folder).with_context(|| format!("cannot make {}", folder.display()))
}
