//! Packages from Debian's archive, of any suite (and from Ubuntu's), into a folder of the project's own.
//!
//! apt does it with settings, lists, cache and state of its own, so that neither the machine's apt
//! nor its dpkg learn of it. Signatures are always verified; whether an old index is taken is the
//! machine's own setting. It installs nothing; what is fetched, and why, is each chore's business.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// Debian's keys, from its package `debian-archive-keyring`.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The archive: the one named, or where the machine's own apt takes Debian from.
pub(crate) fn mirror(named: Option<&str>) -> Result<String> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let format = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)";
    let answer = process::ask(Command::new("apt-get").args(["indextargets", "--format", format]));
    let answer = answer.context("`apt-get indextargets` failed; this needs Debian's apt")?;
    let found = answer.lines().find_map(|line| line.strip_prefix("Debian|Debian|main|"));
    let found = found.context(
        "this machine's apt has no index of a Debian archive: run `apt-get update`, or name an \
         archive with --mirror",
    )?;
    Ok(found.trim_end_matches('/').to_owned())
}

/// An archive, the suite that is taken from it, and the keys that its index must be signed with.
#[derive(Clone)]
pub(crate) struct Archive {
    mirror: String,
    suite: String,
    keyring: PathBuf,
}

impl Archive {
    /// Debian's, with the keys that this machine has of it.
    pub(crate) fn of_debian(mirror: &str, suite: &str) -> Self {
        Self { mirror: mirror.to_owned(), suite: suite.to_owned(), keyring: KEYRING.into() }
    }
}

/// Ubuntu's archive. Debian has the keys to it, and in the scripts of `debootstrap` its address: both are taken from
/// there, into this folder, unless it has them.
pub(crate) fn ubuntu(folder: &Path, debian: &str, suite: &str) -> Result<Archive> {
    let keyring = folder.join("usr/share/keyrings/ubuntu-archive-keyring.gpg");
    // The script for most of Ubuntu's releases; others are links to it.
    let script = folder.join("usr/share/debootstrap/scripts/gutsy");
    if !keyring.is_file() || !script.is_file() {
        let apt = Apt::new(&folder.join("apt"), debian, "sid")?;
        apt.update()?;
        for package in ["ubuntu-keyring", "debootstrap"] {
            unpack(&apt.download(package)?, folder)?;
        }
        apt.remove()?;
    }
    if !keyring.is_file() {
        bail!("Debian's package ubuntu-keyring has no {}", keyring.display());
    }
    let text = fs::read_to_string(&script)
        .with_context(|| format!("cannot read {} of Debian's debootstrap", script.display()))?;
    let mirror = text.lines().find_map(|line| line.trim().strip_prefix("default_mirror "));
    let mirror = mirror.context("Debian's debootstrap does not say where Ubuntu's archive is")?;
    Ok(Archive { mirror: mirror.trim().to_owned(), suite: suite.to_owned(), keyring })
}

/// The archives and suites that this machine's own apt takes Debian from, updates and security included.
pub(crate) fn archives() -> Result<Vec<Archive>> {
    let format = "$(ORIGIN)|$(COMPONENT)|$(REPO_URI)|$(RELEASE)";
    let answer = process::ask(Command::new("apt-get").args(["indextargets", "--format", format]));
    let answer = answer.context("`apt-get indextargets` failed; this needs Debian's apt")?;
    let named: BTreeSet<_> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("Debian|main|")?.split_once('|'))
        .collect();
    if named.is_empty() {
        bail!("this machine's apt has no index of a Debian archive: run `apt-get update`");
    }
    let archive =
        |(mirror, suite): (&str, &str)| Archive::of_debian(mirror.trim_end_matches('/'), suite);
    Ok(named.into_iter().map(archive).collect())
}

/// apt for some suites, with everything of its own, below one folder.
pub(crate) struct Apt {
    folder: PathBuf,
    settings: PathBuf,
    suite: String,
}

impl Apt {
    /// For one suite and this machine's architecture. Makes its folder; nothing is fetched yet.
    pub(crate) fn new(folder: &Path, mirror: &str, suite: &str) -> Result<Self> {
        Self::of(folder, mirror, suite, "amd64")
    }

    /// For one suite.
    pub(crate) fn of(folder: &Path, mirror: &str, suite: &str, architecture: &str) -> Result<Self> {
        Self::with(folder, &[Archive::of_debian(mirror, suite)], architecture)
    }

    /// For these archives, as if on a machine of this architecture.
    pub(crate) fn with(folder: &Path, archives: &[Archive], architecture: &str) -> Result<Self> {
        for tool in ["apt-get", "apt-cache", "dpkg-deb"] {
            if process::find_program(tool).is_none() {
                bail!("`{tool}` is not on PATH; this needs apt and dpkg");
            }
        }
        if !Path::new(KEYRING).is_file() {
            bail!(
                "there is no {KEYRING}, so nothing could be verified: apt-get install debian-archive-keyring"
            );
        }
        for part in ["state/lists/partial", "cache/archives/partial", "log", "none"] {
            fs::create_dir_all(folder.join(part))
                .with_context(|| format!("cannot make folders in {}", folder.display()))?;
        }
        let apt = Self {
            folder: folder.to_owned(),
            settings: folder.join("apt.conf"),
            suite: archives.iter().map(|it| &*it.suite).collect::<Vec<_>>().join(", "),
        };
        let own = folder.display();
        // Read last, after the machine's settings, of which proxies and the like stay in force;
        // but nothing unsigned is ever taken.
        let settings = format!(
            "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n#clear APT::Default-Release;\n\
             #clear APT::Architectures;\n             Dir::State \"{own}/state/\";\nDir::State::lists \"{own}/state/lists/\";\n\
             Dir::State::status \"{own}/state/status\";\nDir::Cache \"{own}/cache/\";\n\
             Dir::Cache::archives \"{own}/cache/archives/\";\nDir::Log \"{own}/log/\";\n\
             Dir::Etc::sourcelist \"{own}/sources.list\";\nDir::Etc::sourceparts \"{own}/none\";\n\
             Dir::Etc::preferences \"{own}/preferences\";\n\
             Dir::Etc::preferencesparts \"{own}/none\";\n\
             APT::Architecture \"{architecture}\";\nAPT::Architectures {{ \"{architecture}\"; }};\n\
             APT::Install-Recommends \"false\";\nAPT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\nAcquire::AllowInsecureRepositories \"false\";\n\
             APT::Get::AllowUnauthenticated \"false\";\npkgCacheGen::ForceEssential \",\";\n",
        );
        let line = |Archive { mirror, suite, keyring }: &Archive| {
            format!("deb [signed-by={}] {mirror} {suite} main\n", keyring.display())
        };
        let source: String = archives.iter().map(line).collect();
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

    /// Fetches the suite's index.
    pub(crate) fn update(&self) -> Result<()> {
        // Without this, apt takes a failure for a passing one and says success.
        let failing = "APT::Update::Error-Mode=any";
        process::run(self.command("apt-get").args(["update", "-q", "-o", failing])).with_context(
            || {
                format!(
                    "no index of {}: the network refuses it, its signature is wrong, or it \
                     is past its date",
                    self.suite
                )
            },
        )
    }

    /// The description of a package that the suite has.
    pub(crate) fn show(&self, package: &str) -> Option<String> {
        process::ask(self.command("apt-cache").args(["show", "--no-all-versions", package]))
    }

    /// Fetches packages and what they depend on.
    pub(crate) fn download_with_dependencies(
        &self,
        packages: impl IntoIterator<Item = String>,
    ) -> Result<()> {
        process::run(
            self.command("apt-get").args(["install", "-q", "-y", "--download-only"]).args(packages),
        )
        .context("the packages could not be downloaded")
    }

    /// Fetches one package alone.
    pub(crate) fn download(&self, package: &str) -> Result<PathBuf> {
        self.download_as(package, package)
    }

    /// The same, in this version.
    pub(crate) fn download_version(&self, package: &str, version: &str) -> Result<PathBuf> {
        self.download_as(package, &format!("{package}={version}"))
    }

    fn download_as(&self, package: &str, wanted: &str) -> Result<PathBuf> {
        let folder = self.archives();
        process::run(self.command("apt-get").current_dir(&folder).args(["download", "-q", wanted]))
            .with_context(|| format!("{wanted} could not be downloaded"))?;
        let is_it = |file: &PathBuf| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.strip_prefix(package).is_some_and(|rest| rest.starts_with('_'))
        };
        let mut files = fs::read_dir(&folder)?.flatten().map(|entry| entry.path());
        files.find(is_it).with_context(|| format!("apt left no {package} in its folder"))
    }

    /// Where packages are, once they are fetched.
    pub(crate) fn archives(&self) -> PathBuf {
        self.folder.join("cache/archives")
    }

    /// Removes lists, cache and packages.
    pub(crate) fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.folder).context("cannot remove apt's lists and cache")
    }
}

/// Unpacks a package's files into a folder; none of its scripts is run.
pub(crate) fn unpack(package: &Path, folder: &Path) -> Result<()> {
    let unpacked = Command::new("dpkg-deb").arg("-x").arg(package).arg(folder).status();
    if !unpacked.context("cannot start dpkg-deb")?.success() {
        bail!("dpkg-deb could not unpack {}", package.display());
    }
    Ok(())
}

/// Unpacks every package of a folder into a new root, with the links that Debian's `base-files`
/// would make.
pub(crate) fn unpack_all(archives: &Path, root: &Path) -> Result<()> {
    for name in ["bin", "sbin", "lib", "lib64"] {
        let own = root.join("usr").join(name);
        fs::create_dir_all(&own).with_context(|| format!("cannot make {}", own.display()))?;
        symlink(format!("usr/{name}"), root.join(name)).context("cannot link to usr")?;
    }
    let mut packages = 0;
    for entry in fs::read_dir(archives).context("cannot list the downloaded packages")? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            unpack(&file, root)?;
            packages += 1;
        }
    }
    println!("debian: {packages} packages unpacked into {}", root.display());
    Ok(())
}
