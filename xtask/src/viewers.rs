//! The programs that the tests open reports with: readers of formats that are not memtrace's own,
//! from the npm registry, below the build folder. Nothing of the machine is touched.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{self, root};

/// npm's packages, with the versions that the tests were written for.
pub(crate) const PACKAGES: [(&str, &str); 3] =
    [("pprof-format", "2.3.2"), ("speedscope", "1.25.0"), ("@parca/client", "0.17.24")];

/// Where the tests look for them.
fn folder() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root().join(target).join("memtrace-tests/viewers")
}

/// Whether all of them are there.
pub(crate) fn are_there() -> bool {
    PACKAGES.iter().all(|(name, version)| {
        let manifest = folder().join("node_modules").join(name).join("package.json");
        fs::read_to_string(manifest)
            .is_ok_and(|text| text.contains(&format!("\"version\": \"{version}\"")))
    })
}

/// Installs them, without running any script of theirs.
pub(crate) fn install() -> Result<()> {
    let folder = folder();
    // A folder that appears only when it is complete.
    let part = folder.with_extension("part");
    for old in [&part, &folder] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
    process::run(
        Command::new("npm")
            .args(["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"])
            .arg("--prefix")
            .arg(&part)
            .args(PACKAGES.map(|(name, version)| format!("{name}@{version}"))),
    )?;
    fs::rename(&part, &folder).with_context(|| format!("cannot make {}", folder.display()))
}
