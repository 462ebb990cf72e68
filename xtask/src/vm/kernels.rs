//! The kernels, fetched by apt and kept below the build folder: of Debian one of each suite, in its
//! variant for clouds, which has all that memtrace needs built in, and of Ubuntu those that `sources.rs` names.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::architecture::Architecture;
use super::sources::{self, From, Source};
use crate::debian::{self, Apt, Archive};

/// A kernel's file.
pub(super) struct Kernel {
    pub(super) architecture: Architecture,
    /// `bookworm`
    pub(super) name: &'static str,
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

/// The kernels with these names (all, when none is named), oldest first; fetched if need be.
pub(super) fn have(
    architecture: Architecture,
    names: &[String],
    mirror: Option<&str>,
    again: bool,
) -> Result<Vec<Kernel>> {
    let known = sources::all(architecture);
    if let Some(unknown) = names.iter().find(|name| !known.iter().any(|one| one.name == **name)) {
        let known: Vec<_> = known.iter().map(|one| one.name).collect();
        bail!(
            "no kernel `{unknown}` is booted on {}; known: {}",
            architecture.title(),
            known.join(", ")
        );
    }
    let wanted = |one: &&Source| names.is_empty() || names.iter().any(|name| one.name == *name);
    let mut kernels = Vec::new();
    for source in known.iter().filter(wanted) {
        let folder = folder(architecture).join(source.name);
        if again && folder.exists() {
            fs::remove_dir_all(&folder).context("cannot remove the kernel that is there")?;
        }
        if !folder.exists() {
            fetch(architecture, source, mirror, &folder)
                .with_context(|| format!("the kernel `{}` was not fetched", source.name))?;
        }
        kernels.push(in_folder(architecture, source.name, &folder)?);
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

fn in_folder(architecture: Architecture, name: &'static str, folder: &Path) -> Result<Kernel> {
    for entry in fs::read_dir(folder)?.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        if let Some(release) = file.strip_prefix("vmlinuz-") {
            let release = release.to_owned();
            return Ok(Kernel { architecture, name, release, file: entry.path() });
        }
    }
    bail!("no kernel in {}; `cargo xtask vm --again` fetches it", folder.display())
}

/// Fetches into a folder beside, which is renamed when it is complete.
fn fetch(
    architecture: Architecture,
    source: &Source,
    mirror: Option<&str>,
    folder: &Path,
) -> Result<()> {
    let fresh = folder.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).context("cannot remove what an earlier try left")?;
    }
    let debian = debian::mirror(mirror)?;
    // Both are packages that depend on the newest kernel, or Ubuntu's is the kernel itself.
    let (archive, newest) = match source.from {
        From::Debian => (
            Archive::of_debian(&debian, source.name),
            format!("linux-image-cloud-{}", architecture.debian()),
        ),
        From::Ubuntu { suite, package } => {
            (debian::ubuntu(&super::folder().join("ubuntu"), &debian, suite)?, package.to_owned())
        }
    };
    let apt = Apt::with(&fresh.join("apt"), &[archive], architecture.debian())?;
    apt.update()?;
    let about = apt.show(&newest).with_context(|| format!("the suite has no {newest}"))?;
    let image = needed(&about, "linux-image-").unwrap_or(&newest);
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
            let (name, file) = ("", PathBuf::new());
            let architecture = Architecture::X86_64;
            let kernel = Kernel { architecture, name, release: release.to_owned(), file };
            assert_eq!(kernel.version(), expected);
        }
    }
}
