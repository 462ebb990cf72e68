//! The initramfs: memtrace, the test binaries, one Python, and the libraries of them all, each at
//! the place where this machine has it. The kernel unpacks it, so nothing is mounted or installed.
//!
//! It takes files of this machine as they are; only debug information stays behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cpio::newc;

use super::suites::{Binary, Suite};
use crate::process::{self, root};

/// Programs that tests and their targets start.
const PROGRAMS: [&str; 4] = ["bpftool", "sh", "sleep", "true"];
/// What of Python's library no target needs.
const LEFT_OUT: [&str; 8] = [
    "test",
    "idlelib",
    "lib2to3",
    "ensurepip",
    "site-packages",
    "dist-packages",
    "__pycache__",
    "tkinter",
];
/// Prints the executable and the folder of the standard library.
const QUESTION: &str =
    "import sys, sysconfig; print(sys.executable, sysconfig.get_path('stdlib'), sep='\\n')";

/// Builds what goes in, and packs it; gives the file.
pub(super) fn pack(python: &Path, suites: &[Suite]) -> Result<PathBuf> {
    let folder = super::folder();
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let built = build()?;
    let mut tree = Tree::default();
    let stripped = folder.join("stripped");
    fs::create_dir_all(&stripped).context("cannot make a folder")?;
    let strip = |name: &str| -> Result<PathBuf> {
        let file = built.get(name).with_context(|| format!("cargo built no `{name}`"))?;
        let plain = stripped.join(name);
        let mut command = Command::new("strip");
        process::ask(command.arg("-o").arg(&plain).arg(file))
            .context("`strip` failed; it comes with the linker (Debian: binutils)")?;
        Ok(plain)
    };
    tree.file("/init", &strip("guest")?)?;
    tree.file("/usr/bin/memtrace", &strip("memtrace")?)?;
    let binaries: BTreeSet<_> =
        suites.iter().flat_map(|suite| suite.binaries).map(|binary| binary.name).collect();
    for name in binaries {
        tree.file(&format!("/tests/{name}"), &strip(name)?)?;
    }
    for suite in suites {
        let line = |binary: &Binary| format!("{} {}\n", binary.name, binary.tests.join(" "));
        tree.text(&format!("/suites/{}", suite.name), suite.binaries.iter().map(line).collect());
    }
    let native = process::ask(Command::new(&built["guest"]).arg("native"));
    tree.file("/native.so", Path::new(&native.context("the C library was not built")?))?;
    tree.folder(&root().join("tests/programs"))?;
    tree.python(python)?;
    for name in PROGRAMS {
        let program = process::find_program(name)
            .with_context(|| format!("`{name}` is not on this machine; `cargo xtask setup`"))?;
        tree.file(&format!("/usr/bin/{name}"), &program)?;
    }
    tree.libraries()?;
    let file = folder.join("initramfs");
    tree.write(&file).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Builds memtrace and the test binaries as they are tested everywhere; gives them by name.
fn build() -> Result<BTreeMap<String, PathBuf>> {
    let mut command = process::cargo();
    command.args(["test", "--no-run", "--locked", "-p", "memtrace", "-p", "tests"]);
    command.args(["--bins", "--tests", "--message-format", "json-render-diagnostics"]);
    println!("$ {}", process::shown(&command));
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| process::not_started(&command))?;
    if !output.status.success() {
        bail!("`{}` failed ({})", process::shown(&command), output.status);
    }
    let mut built = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: serde_json::Value = serde_json::from_str(line).context("cargo's messages")?;
        let target = &message["target"];
        let as_test = message["profile"]["test"] == true;
        let wanted = (target["kind"][0] == "test") == as_test;
        if let (true, Some(name), Some(file)) =
            (wanted, target["name"].as_str(), message["executable"].as_str())
        {
            built.insert(name.to_owned(), PathBuf::from(file));
        }
    }
    Ok(built)
}

/// What a file of the archive is.
enum Entry {
    Folder,
    Link(PathBuf),
    File(PathBuf),
    Text(String),
}

/// The archive's files by their place, so that folders come before what they hold.
#[derive(Default)]
struct Tree {
    entries: BTreeMap<PathBuf, Entry>,
}

impl Tree {
    /// Adds an entry, and the folders that it is in; folders that are links here are links there.
    fn add(&mut self, path: &Path, entry: Entry) {
        let folders: Vec<_> = path.ancestors().skip(1).filter(|at| at.parent().is_some()).collect();
        for at in folders.into_iter().rev() {
            let Ok(link) = fs::read_link(at) else {
                self.entries.entry(at.to_owned()).or_insert(Entry::Folder);
                continue;
            };
            let led_to = at.parent().unwrap_or(at).join(&link);
            self.entries.insert(at.to_owned(), Entry::Link(link));
            if let Ok(rest) = path.strip_prefix(at) {
                return self.add(&led_to.join(rest), entry);
            }
        }
        self.entries.insert(path.to_owned(), entry);
    }

    fn text(&mut self, path: &str, text: String) {
        self.add(Path::new(path), Entry::Text(text));
    }

    fn file(&mut self, path: &str, from: &Path) -> Result<()> {
        if !from.is_file() {
            bail!("{} is not there", from.display());
        }
        self.add(Path::new(path), Entry::File(from.to_owned()));
        Ok(())
    }

    /// A folder of this machine at its own place, without what is left out.
    fn folder(&mut self, folder: &Path) -> Result<()> {
        let list = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
        for entry in list {
            let entry = entry?;
            let path = entry.path();
            if LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            if path.is_dir() {
                self.folder(&path)?;
            } else if path.is_file() {
                self.add(&path, Entry::File(path.clone()));
            }
        }
        Ok(())
    }

    /// An interpreter and its standard library.
    fn python(&mut self, python: &Path) -> Result<()> {
        let answer = process::ask(Command::new(python).args(["-I", "-c", QUESTION]));
        let answer = answer.with_context(|| {
            format!("{} is no Python here; name one with --python", python.display())
        })?;
        let (executable, library) = answer.split_once('\n').context("Python's answer")?;
        let executable = fs::canonicalize(executable).context("Python's executable")?;
        self.text("/python", executable.to_string_lossy().into_owned());
        self.add(&executable, Entry::File(executable.clone()));
        self.folder(Path::new(library))
    }

    /// The libraries of all programs and libraries in it, by the dynamic linker's own word.
    fn libraries(&mut self) -> Result<()> {
        let mut ldd = Command::new("ldd");
        for entry in self.entries.values() {
            if let Entry::File(file) = entry
                && is_elf(file)
            {
                ldd.arg(file);
            }
        }
        // ldd fails when one of the files needs no library.
        let output = ldd.output().context("`ldd` could not be started")?;
        let found = libraries_of(&String::from_utf8_lossy(&output.stdout))?;
        for library in found {
            self.add(&library, Entry::File(library.clone()));
        }
        Ok(())
    }

    fn write(&self, file: &Path) -> Result<()> {
        let mut out = io::BufWriter::new(fs::File::create(file)?);
        for (number, (path, entry)) in self.entries.iter().enumerate() {
            let name = path.to_string_lossy();
            let (mode, bytes) = match entry {
                Entry::Folder => (0o040_755, Vec::new()),
                Entry::Link(to) => (0o120_777, to.to_string_lossy().into_owned().into_bytes()),
                Entry::Text(text) => (0o100_644, text.clone().into_bytes()),
                Entry::File(from) => {
                    (0o100_755, fs::read(from).with_context(|| from.display().to_string())?)
                }
            };
            let header = newc::Builder::new(name.trim_start_matches('/'))
                .ino(u32::try_from(number)? + 1)
                .mode(mode)
                .nlink(1);
            let mut one = header.write(&mut out, u32::try_from(bytes.len())?);
            one.write_all(&bytes)?;
            one.finish()?;
        }
        newc::trailer(&mut out)?.flush()?;
        Ok(())
    }
}

fn is_elf(file: &Path) -> bool {
    let mut magic = [0; 4];
    let read =
        fs::File::open(file).and_then(|mut file| io::Read::read_exact(&mut file, &mut magic));
    read.is_ok() && magic == *b"\x7fELF"
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
}
