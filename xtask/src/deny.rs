//! `cargo xtask deny`: whether what memtrace is made of keeps the rules of `deny.toml`, for the
//! workspace and for the kernel side, which has a lock file of its own.
//!
//! Nothing is downloaded but crates, so advisories are looked up in the repository's own copy of those that
//! name crates of the lock files (`deny/advisories.rs`).

mod advisories;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process::{self, root};
use crate::tools;

/// What was typed.
#[derive(Default, clap::Args)]
pub(crate) struct Options {
    /// Take advisories.toml anew from this clone of <https://github.com/rustsec/advisory-db> first
    #[arg(long, value_name = "FOLDER")]
    renew: Option<PathBuf>,
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
    if let Some(clone) = &options.renew {
        advisories::renew(clone)?;
    }
    let place = advisories::unpack(&rules)?;
    for (manifest, allowed) in MANIFESTS {
        // The rules let one advisory pass, about the workspace: that it is met shows that the copy was read.
        let not_met = if allowed.is_empty() { "--deny" } else { "--allow" };
        check(manifest, &place, |command| {
            command.args([not_met, "advisory-not-detected", "advisories"]);
        })?;
    }
    Ok(())
}

fn check(manifest: &str, rules: &Path, what: impl FnOnce(&mut Command)) -> Result<()> {
    let mut command = tools::DENY.command()?;
    command.args(["--offline", "--log-level", "warn", "--manifest-path", manifest, "--config"]);
    command.arg(rules).arg("check");
    what(&mut command);
    process::run(&mut command)
}
