//! The initramfs: memtrace, the test binaries, one Python, and the libraries of them all, each at
//! the place where the system has it (`system.rs`). The kernel unpacks it, so nothing is mounted or
//! installed.
//!
//! It takes the system's files as they are; only debug information stays behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cpio::newc;

use super::architecture::Architecture;
use super::cross;
use super::suites::{Binary, Suite};
use super::system::System;
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
/// Where the programs are that go in.
pub(super) fn stripped(architecture: Architecture) -> PathBuf {
    super::folder().join(format!("stripped-{}", architecture.name()))
}

/// Builds what goes in, and packs it; gives the file.
pub(super) fn pack(architecture: Architecture, python: &Path, suites: &[Suite]) -> Result<PathBuf> {
    let folder = super::folder();
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let system = System::of(architecture);
    let binaries: BTreeSet<_> =
        suites.iter().flat_map(Suite::binaries).map(|binary| binary.name).collect();
    let built = build(architecture, &binaries)?;
    let mut tree = Tree { system, entries: BTreeMap::new() };
    let stripped = stripped(architecture);
    fs::create_dir_all(&stripped).context("cannot make a folder")?;
    let strip = |name: &str| -> Result<PathBuf> {
        let file = built.get(name).with_context(|| format!("cargo built no `{name}`"))?;
        let plain = stripped.join(name);
        let strip = match architecture {
            Architecture::X86_64 => "strip",
            Architecture::Aarch64 => cross::STRIP,
        };
        process::ask(Command::new(strip).arg("-o").arg(&plain).arg(file)).with_context(|| {
            format!("`{strip}` failed; it comes with the linker (Debian: binutils)")
        })?;
        Ok(plain)
    };
    tree.file("/init", &strip("guest")?)?;
    tree.file("/usr/bin/memtrace", &strip("memtrace")?)?;
    for name in binaries {
        tree.file(&format!("/tests/{name}"), &strip(name)?)?;
    }
    for suite in suites {
        let line = |binary: &Binary| format!("{} {}\n", binary.name, binary.tests.join(" "));
        tree.text(&format!("/suites/{}", suite.name), suite.binaries().map(line).collect());
    }
    tree.file("/native.so", &native_library(architecture, &built["guest"], &stripped)?)?;
    let programs = root().join("tests/programs");
    tree.folder(&programs, &programs)?;
    tree.python(python)?;
    for name in PROGRAMS {
        let program = tree.system.program(name)?;
        tree.file(&format!("/usr/bin/{name}"), &program)?;
    }
    tree.libraries()?;
    let file = folder.join(format!("initramfs-{}", architecture.name()));
    tree.write(&file).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Builds memtrace as it is released, since an emulated processor has enough to do, and the test binaries as they are
/// everywhere; gives them by name.
fn build(
    architecture: Architecture,
    binaries: &BTreeSet<&str>,
) -> Result<BTreeMap<String, PathBuf>> {
    const TESTS: [&str; 2] = ["-p", "tests"];
    let tests: Vec<_> = binaries.iter().flat_map(|name| ["--test", name]).collect();
    let mut built = BTreeMap::new();
    for arguments in [
        ["build", "--release", "-p", "memtrace", "--bin", "memtrace"].to_vec(),
        [&["build"], &TESTS[..], &["--bin", "guest"]].concat(),
        [&["test", "--no-run"], &TESTS[..], &tests].concat(),
    ] {
        let mut command = match architecture {
            Architecture::X86_64 => process::cargo(),
            Architecture::Aarch64 => cross::cargo(),
        };
        command.args(arguments).args(["--locked", "--message-format", "json-render-diagnostics"]);
        if architecture == Architecture::Aarch64 {
            command.args(["--target", cross::TARGET]);
        }
        built.extend(executables(&mut command)?);
    }
    Ok(built)
}

/// Runs cargo; gives the executables that it names, tests and programs.
fn executables(command: &mut Command) -> Result<BTreeMap<String, PathBuf>> {
    println!("$ {}", process::shown(command));
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| process::not_started(command))?;
    if !output.status.success() {
        bail!("`{}` failed ({})", process::shown(command), output.status);
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

/// The C library of the tests; `guest` of this machine builds its own.
fn native_library(architecture: Architecture, guest: &Path, folder: &Path) -> Result<PathBuf> {
    if architecture == Architecture::X86_64 {
        let native = process::ask(Command::new(guest).arg("native"));
        return Ok(native.context("the C library was not built")?.into());
    }
    let library = folder.join("native.so");
    cross::library(&root().join("tests/programs/native.c"), &library)?;
    Ok(library)
}

/// What a file of the archive is.
enum Entry {
    Folder,
    Link(PathBuf),
    File(PathBuf),
    Text(String),
}

/// The archive's files by their place, so that folders come before what they hold.
struct Tree {
    system: System,
    entries: BTreeMap<PathBuf, Entry>,
}

impl Tree {
    /// Adds an entry, and the folders that it is in; folders that are links in the system are links there.
    fn add(&mut self, path: &Path, entry: Entry) {
        let folders: Vec<_> = path.ancestors().skip(1).filter(|at| at.parent().is_some()).collect();
        for at in folders.into_iter().rev() {
            let Some(link) = self.system.link(at) else {
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

    /// A folder of this machine at a place, without what is left out.
    fn folder(&mut self, place: &Path, folder: &Path) -> Result<()> {
        let list = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
        for entry in list {
            let entry = entry?;
            let (path, place) = (entry.path(), place.join(entry.file_name()));
            if LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            if path.is_dir() {
                self.folder(&place, &path)?;
            } else if path.is_file() {
                self.add(&place, Entry::File(path));
            }
        }
        Ok(())
    }

    /// An interpreter and its standard library.
    fn python(&mut self, python: &Path) -> Result<()> {
        let (executable, library) = self.system.python(python)?;
        self.text("/python", executable.to_string_lossy().into_owned());
        self.add(&executable, Entry::File(self.system.at(&executable)));
        self.folder(&library, &self.system.at(&library))
    }

    /// The libraries of all programs and libraries in it.
    fn libraries(&mut self) -> Result<()> {
        let files = self.entries.values().filter_map(|entry| match entry {
            Entry::File(file) if is_elf(file) => Some(&**file),
            _ => None,
        });
        let found = self.system.libraries(&files.collect::<Vec<_>>())?;
        for library in found {
            self.add(&library, Entry::File(self.system.at(&library)));
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
