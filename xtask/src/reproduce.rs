//! `cargo xtask reproduce`: the release build, made so that anybody gets the same bytes, and proved
//! by making it twice, in folders of different names.
//!
//! What is built is the last commit, not the working folder. The binary stays below the build
//! folder; it is the one to publish, with its hash and the versions that it takes to repeat it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, root};
use crate::source_hash;

/// The two folders, of different lengths and depths.
const FOLDERS: [&str; 2] = ["one", "the/other folder"];

/// What was typed.
#[derive(Default, clap::Args)]
pub(crate) struct Options {
    /// Build once only, and say the hash
    #[arg(long)]
    once: bool,
}

/// The chore.
pub(crate) fn run(options: &Options) -> Result<()> {
    let commit = git(&["rev-parse", "HEAD"])?;
    let when = git(&["log", "-1", "--format=%ct"])?;
    let rustc = process::ask(Command::new("rustc").arg("-vV")).context("`rustc -vV` failed")?;
    let own = process::target().join("reproduce");
    let mut built: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for folder in FOLDERS.iter().take(if options.once { 1 } else { 2 }) {
        let binary = build(&own.join(folder), &commit, &when)?;
        let bytes = fs::read(&binary).with_context(|| format!("read {}", binary.display()))?;
        built.push((binary, bytes));
    }
    let (first, bytes) = &built[0];
    if let Some((second, others)) = built.get(1)
        && bytes != others
    {
        bail!("two builds of {commit} differ: {} and {}", first.display(), second.display());
    }
    let place = own.join("memtrace");
    fs::copy(first, &place).with_context(|| format!("cannot write {}", place.display()))?;
    let release = rustc.lines().next().unwrap_or_default();
    println!("reproduce: {} bytes, built {} time(s), by {release}", bytes.len(), built.len());
    println!("reproduce: {}  {}", source_hash::of_bytes(bytes), place.display());
    Ok(())
}

/// Unpacks a commit and builds it; gives the binary.
fn build(folder: &Path, commit: &str, when: &str) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    let (sources, target) = (folder.join("memtrace"), folder.join("target"));
    fs::create_dir_all(&sources).with_context(|| format!("cannot make {}", sources.display()))?;
    let archive = folder.join("sources.tar");
    let mut git = Command::new("git");
    git.current_dir(root()).args(["archive", "--output"]).arg(&archive).arg(commit);
    process::run(&mut git)?;
    process::run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&sources))?;
    let home = process::cargo_home()?;
    let sysroot = process::ask(Command::new("rustc").args(["--print", "sysroot"]));
    let sysroot = PathBuf::from(sysroot.context("`rustc --print sysroot` failed")?);
    let names =
        [(&*home, "/cargo"), (&*sysroot, "/rust"), (&*target, "/target"), (&*sources, "/memtrace")];
    let rust = names.map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    let mut cargo = process::cargo();
    for (name, _) in std::env::vars_os() {
        // What the cargo that started this chore has set is not part of a release.
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG") || text.starts_with("CARGO_PROFILE") || text == "RUSTFLAGS"
        {
            cargo.env_remove(&name);
        }
    }
    cargo.current_dir(&sources).env("CARGO_TARGET_DIR", &target).env("CARGO_INCREMENTAL", "0");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", rust.join("\x1f"));
    cargo.env("SOURCE_DATE_EPOCH", when);
    // The compressor is C. Words are split at spaces, so a folder's name comes through a quote.
    cargo.env("CC_SHELL_ESCAPED_FLAGS", "1");
    let c = names.map(|(from, to)| format!("'-ffile-prefix-map={}={to}'", from.display()));
    cargo.env("CFLAGS", c.join(" "));
    process::run(cargo.args([
        "build",
        "--release",
        "--locked",
        "-p",
        "memtrace",
        "--bin",
        "memtrace",
    ]))?;
    Ok(target.join("release/memtrace"))
}

fn git(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    command.current_dir(root()).args(arguments);
    process::ask(&mut command).with_context(|| format!("`{}` failed", process::shown(&command)))
}
