//! `cargo xtask interpreters`: fetches the Python series that the machine seldom has from Debian
//! sid, into the build folder.
//!
//! The packages are only unpacked (`debian.rs`). Each interpreter gets a launcher that enters the
//! unpacked root by chroot, with the machine's other folders at their usual places, and becomes the
//! interpreter: same pid, same streams. It installs nothing, and a complete set is not fetched again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::debian::{self, Apt};
use crate::process;
use crate::python;

/// What is fetched.
const SERIES: [&str; 3] = ["3.13", "3.14", "3.15"];
/// What Python itself does without: for numpy, and the commands that test programs start.
const ALSO: [&str; 3] = ["libstdc++6", "coreutils", "dash"];

/// What was typed.
#[derive(Default, clap::Args)]
pub(crate) struct Options {
    /// Debian's archive, where this machine's apt names none
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// Fetch again what is there
    #[arg(long)]
    again: bool,
}

/// The chore.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !process::is_root() {
        bail!("chroot needs root: run `sudo -E env \"PATH=$PATH\" cargo xtask interpreters`");
    }
    let folder = folder();
    if options.again || !missing().is_empty() {
        fetch(options, &folder).context("the interpreters of Debian sid were not fetched")?;
    }
    let absent = missing();
    for series in SERIES.iter().filter(|series| !absent.contains(series)) {
        let launcher = folder.join(format!("python{series}"));
        let found = python::probe(&launcher)
            .with_context(|| format!("{} does not answer; try --again", launcher.display()))?;
        println!("interpreters: {}.{} {}", found.series(), found.version.1, launcher.display());
    }
    if !absent.is_empty() {
        bail!("the archive has no Python {}", absent.join(", "));
    }
    Ok(())
}

/// For the setup, where a failure only means fewer interpreters: says what is missing, and how to
/// get it.
pub(crate) fn try_to_have(check: bool) {
    let missing_before = missing();
    if missing_before.is_empty() {
        return;
    }
    if !check && let Err(error) = run(&Options::default()) {
        println!("interpreters: {error:#}");
    }
    let missing = missing();
    if !missing.is_empty() {
        println!(
            "interpreters: tests go without Debian sid's Python {}; `cargo xtask interpreters` \
             fetches them",
            missing.join(", ")
        );
    }
}

/// Where the tests look for them.
fn folder() -> PathBuf {
    process::target().join("memtrace-tests/interpreters")
}

/// Series without a launcher, which is made last.
fn missing() -> Vec<&'static str> {
    let folder = folder();
    SERIES.into_iter().filter(|series| !folder.join(format!("python{series}")).is_file()).collect()
}

fn fetch(options: &Options, folder: &Path) -> Result<()> {
    if process::find_program("unshare").is_none() {
        bail!("`unshare` is not on PATH; this needs util-linux");
    }
    let mirror = debian::mirror(options.mirror.as_deref())?;
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    let apt = Apt::new(&folder.join("apt"), &mirror, "sid")?;
    apt.update()?;
    let has = |series: &&str| apt.show(&format!("python{series}-minimal")).is_some();
    let series: Vec<_> = SERIES.into_iter().filter(has).collect();
    let packages = series
        .iter()
        .flat_map(|one| [format!("python{one}-minimal"), format!("libpython{one}-stdlib")]);
    apt.download_with_dependencies(packages.chain(ALSO.map(str::to_owned)))?;
    let sid = folder.join("sid");
    debian::unpack_all(&apt.archives(), &sid)?;
    apt.remove()?;
    for series in series {
        write_launcher(folder, &sid, series)?;
    }
    Ok(())
}

fn write_launcher(folder: &Path, sid: &Path, series: &str) -> Result<()> {
    let path = folder.join(format!("python{series}"));
    fs::write(&path, launcher(&sid.to_string_lossy(), series))
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Mounts happen in a mount namespace of its own, so the machine never sees them.
fn launcher(sid: &str, series: &str) -> String {
    let quoted = sid.replace('\'', r"'\''");
    format!(
        r#"#!/bin/sh
# Made by `cargo xtask interpreters`: becomes Debian sid's Python {series}, by chroot.
[ -n "$MEMTRACE_SID" ] || MEMTRACE_SID=1 exec unshare --mount --propagation private -- "$0" "$@"
unset MEMTRACE_SID
root='{quoted}'
for folder in /*; do
    case $folder in /bin | /boot | /etc | /lib* | /sbin | /usr | /var) continue ;; esac
    [ -d "$folder" ] && [ ! -L "$folder" ] || continue
    mkdir -p "$root$folder" && mount --rbind "$folder" "$root$folder" || exit 125
done
[ -d "$root$PWD" ] || cd /
exec unshare --root="$root" --wd="$PWD" -- /usr/bin/python{series} "$@"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launcher_survives_any_folder_name() {
        let text = launcher("/a b/it's", "3.14");
        assert!(text.contains(r"root='/a b/it'\''s'"), "{text}");
        assert!(text.contains("/usr/bin/python3.14 \"$@\""), "{text}");
    }
}
