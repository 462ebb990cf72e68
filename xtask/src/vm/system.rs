//! Where the files of an initramfs come from: this machine, or a system of another architecture that was
//! only unpacked. Paths are as the system itself has them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::architecture::Architecture;
use super::cross;
use crate::process;

/// Prints the executable and the folder of the standard library.
const QUESTION: &str =
    "import sys, sysconfig; print(sys.executable, sysconfig.get_path('stdlib'), sep='\\n')";
/// Where arm64's libraries are, its dynamic linker first: that one's place is in every program.
const LIBRARIES: [&str; 3] = ["/lib", "/usr/lib/aarch64-linux-gnu", "/lib/aarch64-linux-gnu"];
const LINKER: &str = "/lib/ld-linux-aarch64.so.1";

/// A system.
pub(super) struct System {
    architecture: Architecture,
    root: PathBuf,
}

impl System {
    pub(super) fn of(architecture: Architecture) -> Self {
        let root = match architecture {
            Architecture::X86_64 => PathBuf::from("/"),
            Architecture::Aarch64 => cross::system(),
        };
        Self { architecture, root }
    }

    /// Where a path of the system is on this machine.
    pub(super) fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Where a link of the system leads, by the system's own paths; `None` for anything else.
    pub(super) fn link(&self, path: &Path) -> Option<PathBuf> {
        fs::read_link(self.at(path)).ok()
    }

    /// An interpreter and its standard library.
    pub(super) fn python(&self, python: &Path) -> Result<(PathBuf, PathBuf)> {
        match self.architecture {
            Architecture::X86_64 => {
                let answer = process::ask(Command::new(python).args(["-I", "-c", QUESTION]));
                let answer = answer.with_context(|| {
                    format!("{} is no Python here; name one with --python", python.display())
                })?;
                let (executable, library) = answer.split_once('\n').context("Python's answer")?;
                let executable = fs::canonicalize(executable).context("Python's executable")?;
                Ok((executable, library.into()))
            }
            // It can't be asked, and is where Debian has it.
            Architecture::Aarch64 => {
                let name = self.link(python).context("the system has no Python")?;
                Ok((python.with_file_name(&name), Path::new("/usr/lib").join(name)))
            }
        }
    }

    /// A program by its name.
    pub(super) fn program(&self, name: &str) -> Result<PathBuf> {
        if self.architecture == Architecture::X86_64 {
            return process::find_program(name)
                .with_context(|| format!("`{name}` is not on this machine; `cargo xtask setup`"));
        }
        let folders = ["usr/bin", "usr/sbin", "bin", "sbin"];
        let places = folders.map(|folder| self.root.join(folder).join(name));
        let found = places.into_iter().find(|place| place.exists());
        found.with_context(|| format!("`{name}` is not in {}", self.root.display()))
    }

    /// The libraries that these files need, and these need, by the system's paths.
    pub(super) fn libraries(&self, files: &[&Path]) -> Result<BTreeSet<PathBuf>> {
        match self.architecture {
            Architecture::X86_64 => {
                // ldd fails when one of the files needs no library.
                let output = Command::new("ldd").args(files).output();
                let output = output.context("`ldd` could not be started")?;
                libraries_of(&String::from_utf8_lossy(&output.stdout))
            }
            Architecture::Aarch64 => self.needed(files),
        }
    }

    /// The same without the system's dynamic linker, which can't be run here.
    fn needed(&self, files: &[&Path]) -> Result<BTreeSet<PathBuf>> {
        let mut found = BTreeSet::from([PathBuf::from(LINKER)]);
        let mut left: Vec<PathBuf> = files.iter().map(|file| (*file).to_owned()).collect();
        while let Some(file) = left.pop() {
            let answer = process::ask(Command::new("readelf").args(["-d", "-W"]).arg(&file));
            let answer = answer.context("`readelf` failed (Debian: binutils)")?;
            for name in names_needed(&answer) {
                let mut places = LIBRARIES.iter().map(|folder| Path::new(folder).join(name));
                let place = places.find(|place| self.at(place).exists());
                let place = place.with_context(|| {
                    format!("{} needs {name}, which is not there", file.display())
                })?;
                if found.insert(place.clone()) {
                    left.push(self.at(&place));
                }
            }
        }
        Ok(found)
    }
}

/// The names of `(NEEDED)` in readelf's answer.
fn names_needed(answer: &str) -> impl Iterator<Item = &str> {
    let lines = answer.lines().filter(|line| line.contains("(NEEDED)"));
    lines.filter_map(|line| line.split(['[', ']']).nth(1))
}

/// The files in ldd's answer.
fn libraries_of(answer: &str) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for line in answer.lines().map(str::trim).filter(|line| line.contains(" (0x")) {
        let words: Vec<_> = line.split_whitespace().collect();
        let path = if words.get(1) == Some(&"=>") { words[2] } else { words[0] };
        if path.starts_with('/') {
            found.insert(PathBuf::from(path));
        }
    }
    if let Some(missing) = answer.lines().find(|line| line.contains("not found")) {
        bail!("a library is missing on this machine: {}", missing.trim());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_taken_from_ldds_answer() {
        let answer = "/usr/bin/python3:\n\tlinux-vdso.so.1 (0x00007ffc)\n\
                      \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f46)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f46)\n\tstatically linked\n";
        let found = libraries_of(answer).unwrap();
        let expected = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(found, expected.map(PathBuf::from).into());
        assert!(libraries_of("\tlibx.so => not found\n").is_err());
    }

    #[test]
    fn libraries_are_taken_from_readelfs_answer() {
        let answer = " 0x01 (NEEDED)  Shared library: [libelf.so.1]\n 0x0e (SONAME)  [x.so]\n";
        assert_eq!(names_needed(answer).collect::<Vec<_>>(), ["libelf.so.1"]);
    }
}
