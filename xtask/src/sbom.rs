//! `cargo xtask sbom`: bills of materials in CycloneDX's JSON, of the program and of its kernel side,
//! below the build folder. A bill that lacks a package of the build is an error.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::process::{self, root};
use crate::tools;

/// Where a crate is, what it is built for, and the name of its bill.
const BILLS: [(&str, &str, &str); 2] = [
    ("memtrace-userspace", "x86_64-unknown-linux-gnu", "memtrace"),
    // Its build scripts run on the machine that builds it, and need other packages than itself.
    ("memtrace-ebpf", "all", "memtrace.bpf.o"),
];

/// What was typed.
#[derive(Default, clap::Args)]
pub(crate) struct Options {}

/// The chore.
pub(crate) fn run(_: &Options) -> Result<()> {
    let folder = process::target().join("sbom");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (place, target, name) in BILLS {
        let manifest = root().join(place).join("Cargo.toml");
        let mut command = tools::CYCLONEDX.command()?;
        command.args([
            "cyclonedx",
            "--format",
            "json",
            "--spec-version",
            "1.5",
            "--target",
            target,
        ]);
        command.args(["--quiet", "--override-filename", name, "--manifest-path"]).arg(&manifest);
        // The bill of a commit has the commit's time.
        let mut git = std::process::Command::new("git");
        git.current_dir(root()).args(["log", "-1", "--format=%ct"]);
        if let Some(when) = process::ask(&mut git) {
            command.env("SOURCE_DATE_EPOCH", when);
        }
        process::run(&mut command)?;
        let bill = gather(&folder, name)?;
        let listed = listed(&bill)?;
        let needed = needed(&manifest, target)?;
        let absent: Vec<_> = needed.difference(&listed).cloned().collect();
        if !absent.is_empty() {
            bail!("{} lacks {}", bill.display(), absent.join(", "));
        }
        println!("sbom: {} packages in {}", listed.len(), bill.display());
    }
    Ok(())
}

/// The tool writes beside each manifest of a workspace: the one bill is kept, the rest goes.
fn gather(folder: &Path, name: &str) -> Result<std::path::PathBuf> {
    let file = format!("{name}.json");
    let kept = folder.join(format!("{name}.cdx.json"));
    let mut found = false;
    for place in ["memtrace-userspace", "memtrace-ebpf", "memtrace-common", "xtask", "tests"] {
        let written = root().join(place).join(&file);
        if !written.exists() {
            continue;
        }
        if BILLS.iter().any(|bill| bill.0 == place && bill.2 == name) {
            // This machine's folder is nobody's business.
            let text = fs::read_to_string(&written).context("read the bill")?;
            let text = text.replace(&*root().to_string_lossy(), "/memtrace");
            fs::write(&kept, text).with_context(|| format!("write {}", kept.display()))?;
            found = true;
        }
        fs::remove_file(&written).with_context(|| format!("remove {}", written.display()))?;
    }
    if found { Ok(kept) } else { bail!("no bill of {name} was written") }
}

/// Packages that a bill lists, as `name version`.
fn listed(bill: &Path) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(bill).with_context(|| format!("read {}", bill.display()))?;
    let bill: serde_json::Value = serde_json::from_str(&text).context("the bill is no JSON")?;
    let packages = bill["components"].as_array().context("the bill has no components")?;
    let own = std::iter::once(&bill["metadata"]["component"]);
    let name = |one: &serde_json::Value| {
        Some(format!("{} {}", one["name"].as_str()?, one["version"].as_str()?))
    };
    Ok(packages.iter().chain(own).filter_map(name).collect())
}

/// Packages that cargo builds for it, on this machine or for the target.
fn needed(manifest: &Path, target: &str) -> Result<BTreeSet<String>> {
    let mut cargo = process::cargo();
    cargo.args(["tree", "--locked", "--prefix", "none", "--edges", "normal,build"]);
    cargo.args(["--format", "{p}", "--target", target, "--manifest-path"]).arg(manifest);
    let tree = process::ask(&mut cargo);
    let tree = tree.with_context(|| format!("`{}` failed", process::shown(&cargo)))?;
    let package = |line: &str| {
        let mut words = line.split_whitespace();
        Some(format!("{} {}", words.next()?, words.next()?.trim_start_matches('v')))
    };
    Ok(tree.lines().filter_map(package).collect())
}
