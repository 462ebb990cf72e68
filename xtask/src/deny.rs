//! `cargo xtask deny`: whether what memtrace is made of keeps the rules of `deny.toml`, for the
//! workspace and for the kernel side, which has a lock file of its own.
//!
//! Nothing is downloaded but crates, so advisories are looked up only in a copy of RustSec's
//! database that the user has and names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, root};
use crate::tools;

/// What was typed.
#[derive(Default, clap::Args)]
pub(crate) struct Options {
    /// Look up advisories, too, in this clone of <https://github.com/rustsec/advisory-db>
    #[arg(long, value_name = "FOLDER")]
    advisories: Option<PathBuf>,
}

/// A workspace's manifest, and what of the rules is about other workspaces.
const MANIFESTS: [(&str, &[&str]); 2] = [
    ("Cargo.toml", &[]),
    // Never published, so its path dependency needs no version.
    (
        "memtrace-ebpf/Cargo.toml",
        &[
            "wildcard",
            "unmatched-skip",
            "license-not-encountered",
            "license-exception-not-encountered",
        ],
    ),
];

/// The chore.
pub(crate) fn run(options: &Options) -> Result<()> {
    let rules = root().join("deny.toml");
    for (manifest, allowed) in MANIFESTS {
        // Offline from here on, so what the lock file names must be there.
        process::run(process::cargo().args([
            "fetch",
            "--quiet",
            "--locked",
            "--manifest-path",
            manifest,
        ]))?;
        check(manifest, &rules, |command| {
            for lint in allowed {
                command.args(["--allow", lint]);
            }
            command.args(["bans", "licenses", "sources"]);
        })?;
    }
    match &options.advisories {
        Some(folder) => advisories(folder, &rules),
        None => {
            println!("deny: advisories not looked up; --advisories names a copy of them");
            Ok(())
        }
    }
}

fn check(manifest: &str, rules: &Path, what: impl FnOnce(&mut Command)) -> Result<()> {
    let mut command = tools::DENY.command()?;
    command.args(["--offline", "--log-level", "warn", "--manifest-path", manifest, "--config"]);
    command.arg(rules).arg("check");
    what(&mut command);
    process::run(&mut command)
}

/// Looks up advisories in a clone of the database.
fn advisories(clone: &Path, rules: &Path) -> Result<()> {
    let clone = fs::canonicalize(clone).with_context(|| format!("no {}", clone.display()))?;
    let folder = process::target().join("advisories");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot remove the copy of the last time")?;
    }
    fs::create_dir_all(&folder).context("cannot make a folder")?;
    // As cargo-deny names the database, by its address.
    let own = folder.join("advisory-db-3157b0e258782691");
    process::run(Command::new("git").args(["clone", "--quiet"]).arg(&clone).arg(&own))?;
    if !own.join("crates").is_dir() {
        bail!("{} has no `crates`: it is no clone of RustSec's advisory-db", clone.display());
    }
    let place = format!("[advisories]\ndb-path = {folder:?}");
    let text = fs::read_to_string(rules).context("cannot read deny.toml")?;
    let with_place = folder.join("deny.toml");
    fs::write(&with_place, text.replace("[advisories]", &place)).context("cannot write")?;
    for (manifest, _) in MANIFESTS {
        check(manifest, &with_place, |command| {
            command.args(["--allow", "advisory-not-detected", "advisories"]);
        })?;
    }
    Ok(())
}
