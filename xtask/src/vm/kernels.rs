//! Debian's kernels, fetched by apt and kept below the build folder: one of each suite, in its
//! variant for clouds, which has all that memtrace needs built in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::architecture::Architecture;
use crate::debian::{self, Apt};

/// A kernel's file.
pub(super) struct Kernel {
    pub(super) architecture: Architecture,
    /// `bookworm`
    pub(super) suite: String,
    /// `6.1.0-53-cloud-amd64`, as `uname -r` says.
    pub(super) release: String,
    /// Compressed, as it is booted.
    pub(super) file: PathBuf,
}

impl Kernel {
    /// Major and minor.
    pub(super) fn version(&self) -> (u32, u32) {
        let mut numbers = self.release.split(|c: char| !c.is_ascii_digit());
        let mut next = || numbers.next().and_then(|number| number.parse().ok()).unwrap_or(0);
        (next(), next())
    }
}

/// The kernels of these suites (of all, when none is named), oldest first; fetched if need be.
pub(super) fn have(
    architecture: Architecture,
    suites: &[String],
    mirror: Option<&str>,
    again: bool,
) -> Result<Vec<Kernel>> {
    let known = architecture.suites();
    if let Some(unknown) = suites.iter().find(|name| !known.contains(&&***name)) {
        bail!(
            "no kernel of `{unknown}` is booted on {}; known: {}",
            architecture.title(),
            known.join(", ")
        );
    }
    let wanted = |name: &&&str| suites.is_empty() || suites.iter().any(|suite| suite == **name);
    let mut kernels = Vec::new();
    for suite in known.iter().filter(wanted) {
        let folder = folder(architecture).join(suite);
        if again && folder.exists() {
            fs::remove_dir_all(&folder).context("cannot remove the kernel that is there")?;
        }
        if !folder.exists() {
            fetch(architecture, suite, mirror, &folder)
                .with_context(|| format!("the kernel of Debian {suite} was not fetched"))?;
        }
        kernels.push(in_folder(architecture, suite, &folder)?);
    }
    Ok(kernels)
}

/// Those of this machine's architecture were here first.
fn folder(architecture: Architecture) -> PathBuf {
    super::folder().join(match architecture {
        Architecture::X86_64 => "kernels",
        Architecture::Aarch64 => "kernels-aarch64",
    })
}

fn in_folder(architecture: Architecture, suite: &str, folder: &Path) -> Result<Kernel> {
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(release) = name.strip_prefix("vmlinuz-") {
            let (suite, release) = (suite.to_owned(), release.to_owned());
            return Ok(Kernel { architecture, suite, release, file: entry.path() });
        }
    }
    bail!("no kernel in {}; `cargo xtask vm --again` fetches it", folder.display())
}

/// Fetches into a folder beside, which is renamed when it is complete.
fn fetch(
    architecture: Architecture,
    suite: &str,
    mirror: Option<&str>,
    folder: &Path,
) -> Result<()> {
    // Depends on the suite's own kernel.
    let newest = &format!("linux-image-cloud-{}", architecture.debian());
    let fresh = folder.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).context("cannot remove what an earlier try left")?;
    }
    let mirror = debian::mirror(mirror)?;
    let apt = Apt::of(&fresh.join("apt"), &mirror, suite, architecture.debian())?;
    apt.update()?;
    let about = apt.show(newest).with_context(|| format!("the suite has no {newest}"))?;
    let image =
        needed(&about, "linux-image-").with_context(|| format!("{newest} needs no image"))?;
    // Debian 14 has the kernel in a package of its own.
    let about = apt.show(image).with_context(|| format!("the suite has no {image}"))?;
    let package = needed(&about, "linux-binary-").unwrap_or(image);
    let unpacked = fresh.join("unpacked");
    debian::unpack(&apt.download(package)?, &unpacked)?;
    let release = image.trim_start_matches("linux-image-");
    let places = [format!("boot/vmlinuz-{release}"), format!("usr/lib/modules/{release}/vmlinuz")];
    let found = places.iter().map(|place| unpacked.join(place)).find(|file| file.is_file());
    let found =
        found.with_context(|| format!("{package} has no kernel at {}", places.join(", ")))?;
    fs::copy(found, fresh.join(format!("vmlinuz-{release}"))).context("cannot keep the kernel")?;
    fs::remove_dir_all(unpacked).context("cannot remove the unpacked package")?;
    apt.remove()?;
    fs::rename(&fresh, folder).context("cannot name the folder as it should be")
}

/// The package, by how its name begins, that the described one depends on.
fn needed<'a>(about: &'a str, name: &str) -> Option<&'a str> {
    let depends = about.lines().find_map(|line| line.strip_prefix("Depends: "))?;
    let mut names = depends.split(", ").filter_map(|one| one.split_whitespace().next());
    names.find(|one| one.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_names_the_one_with_the_kernel() {
        let about = "Package: linux-image-cloud-amd64\nVersion: 6.1.174-1\n\
                     Depends: linux-base, linux-image-6.1.0-53-cloud-amd64 (= 6.1.174-1)\n";
        assert_eq!(needed(about, "linux-image-"), Some("linux-image-6.1.0-53-cloud-amd64"));
        assert_eq!(needed(about, "linux-binary-"), None);
        assert_eq!(needed("Package: x\n", "linux-image-"), None);
    }

    #[test]
    fn a_release_begins_with_the_version() {
        for (release, expected) in
            [("6.12.95+deb13-cloud-amd64", (6, 12)), ("7.2-cloud-amd64", (7, 2)), ("x", (0, 0))]
        {
            let (suite, file) = (String::new(), PathBuf::new());
            let architecture = Architecture::X86_64;
            let kernel = Kernel { architecture, suite, release: release.to_owned(), file };
            assert_eq!(kernel.version(), expected);
        }
    }
}
