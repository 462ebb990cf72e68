//! `cargo xtask interpreters`: fetches the Python series that the machine seldom has from Debian
//! sid, into the build folder.
//!
//! apt does it with settings, lists, cache and state of its own, so that neither the machine's apt
//! nor its dpkg learn of it; the packages are only unpacked. Signatures are always verified; whether an old
//! index is taken is the machine's own setting. Each
//! interpreter gets a launcher that enters the unpacked root by chroot, with the machine's other
//! folders at their usual places, and becomes the interpreter: same pid, same streams. It installs
//! nothing, and a complete set is not fetched again.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, root};
use crate::python;

/// What is fetched.
const SERIES: [&str; 3] = ["3.13", "3.14", "3.15"];
/// Debian's keys, from its package `debian-archive-keyring`.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
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
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root().join(target).join("memtrace-tests/interpreters")
}

/// Series without a launcher, which is made last.
fn missing() -> Vec<&'static str> {
    let folder = folder();
    SERIES.into_iter().filter(|series| !folder.join(format!("python{series}")).is_file()).collect()
}

fn fetch(options: &Options, folder: &Path) -> Result<()> {
    for tool in ["apt-get", "apt-cache", "dpkg-deb", "unshare"] {
        if process::find_program(tool).is_none() {
            bail!("`{tool}` is not on PATH; this needs apt, dpkg and util-linux");
        }
    }
    if !Path::new(KEYRING).is_file() {
        bail!(
            "there is no {KEYRING}, so nothing could be verified: apt-get install debian-archive-keyring"
        );
    }
    let mirror = match &options.mirror {
        Some(mirror) => mirror.clone(),
        None => mirror_of_this_machine()?,
    };
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    let apt = Apt::new(&folder.join("apt"), &mirror)?;
    apt.update()?;
    let series = apt.series();
    apt.download(&series)?;
    let sid = folder.join("sid");
    unpack(&apt.archives(), &sid)?;
    fs::remove_dir_all(&apt.folder).context("cannot remove apt's lists and cache")?;
    for series in series {
        write_launcher(folder, &sid, series)?;
    }
    Ok(())
}

/// The archive that the machine's own apt takes Debian from.
fn mirror_of_this_machine() -> Result<String> {
    let format = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)";
    let answer = process::ask(Command::new("apt-get").args(["indextargets", "--format", format]));
    let answer = answer.context("`apt-get indextargets` failed")?;
    let found = answer.lines().find_map(|line| line.strip_prefix("Debian|Debian|main|"));
    let found = found.context(
        "this machine's apt has no index of a Debian archive: run `apt-get update`, or name an \
         archive with --mirror",
    )?;
    Ok(found.trim_end_matches('/').to_owned())
}

/// apt with everything of its own, below one folder.
struct Apt {
    folder: PathBuf,
    settings: PathBuf,
}

impl Apt {
    fn new(folder: &Path, mirror: &str) -> Result<Self> {
        for part in ["state/lists/partial", "cache/archives/partial", "log", "none"] {
            fs::create_dir_all(folder.join(part))
                .with_context(|| format!("cannot make folders in {}", folder.display()))?;
        }
        let apt = Self { folder: folder.to_owned(), settings: folder.join("apt.conf") };
        let own = folder.display();
        // Read last, after the machine's settings, of which proxies and the like stay in force;
        // but nothing unsigned is ever taken.
        let settings = format!(
            "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n#clear APT::Default-Release;\n\
             Dir::State \"{own}/state/\";\nDir::State::lists \"{own}/state/lists/\";\n\
             Dir::State::status \"{own}/state/status\";\nDir::Cache \"{own}/cache/\";\n\
             Dir::Cache::archives \"{own}/cache/archives/\";\nDir::Log \"{own}/log/\";\n\
             Dir::Etc::sourcelist \"{own}/sources.list\";\nDir::Etc::sourceparts \"{own}/none\";\n\
             Dir::Etc::preferences \"{own}/preferences\";\n\
             Dir::Etc::preferencesparts \"{own}/none\";\n\
             APT::Install-Recommends \"false\";\nAPT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\nAcquire::AllowInsecureRepositories \"false\";\n\
             APT::Get::AllowUnauthenticated \"false\";\npkgCacheGen::ForceEssential \",\";\n",
        );
        let source = format!("deb [signed-by={KEYRING}] {mirror} sid main\n");
        let status = folder.join("state/status");
        for (file, text) in [
            (&apt.settings, &*settings),
            (&folder.join("sources.list"), &source),
            (&folder.join("preferences"), ""),
            (&status, ""),
        ] {
            fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(&self.settings).env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    fn update(&self) -> Result<()> {
        // Without this, apt takes a failure for a passing one and says success.
        let failing = "APT::Update::Error-Mode=any";
        process::run(self.command("apt-get").args(["update", "-q", "-o", failing])).context(
            "no index of Debian sid: the network refuses it, its signature is wrong, or it is \
             past its date",
        )
    }

    /// The series that the archive has.
    fn series(&self) -> Vec<&'static str> {
        let is_there = |series: &&str| {
            let name = format!("python{series}-minimal");
            process::ask(self.command("apt-cache").args(["show", &name])).is_some()
        };
        SERIES.into_iter().filter(is_there).collect()
    }

    fn download(&self, series: &[&str]) -> Result<()> {
        let packages = series
            .iter()
            .flat_map(|one| [format!("python{one}-minimal"), format!("libpython{one}-stdlib")]);
        process::run(
            self.command("apt-get")
                .args(["install", "-q", "-y", "--download-only"])
                .args(packages)
                .args(ALSO),
        )
        .context("the packages could not be downloaded")
    }

    fn archives(&self) -> PathBuf {
        self.folder.join("cache/archives")
    }
}

/// Unpacks every package of a folder into a new root, with the links that Debian's `base-files`
/// would make.
fn unpack(archives: &Path, sid: &Path) -> Result<()> {
    for name in ["bin", "sbin", "lib", "lib64"] {
        let own = sid.join("usr").join(name);
        fs::create_dir_all(&own).with_context(|| format!("cannot make {}", own.display()))?;
        symlink(format!("usr/{name}"), sid.join(name)).context("cannot link to usr")?;
    }
    let mut packages = 0;
    for entry in fs::read_dir(archives).context("cannot list the downloaded packages")? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            let unpacked = Command::new("dpkg-deb").arg("-x").arg(&file).arg(sid).status();
            if !unpacked.context("cannot start dpkg-deb")?.success() {
                bail!("dpkg-deb could not unpack {}", file.display());
            }
            packages += 1;
        }
    }
    println!("interpreters: {packages} packages unpacked into {}", sid.display());
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
