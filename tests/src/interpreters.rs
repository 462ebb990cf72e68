//! The Python interpreters of this machine, found by asking each what it is.
//!
//! Nothing is assumed about where they are but pyenv's own answer and the `PATH`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// Its program.
    pub program: PathBuf,
    /// `CPython`, `PyPy`.
    pub implementation: String,
    /// Major, minor, micro.
    pub version: (u8, u8, u8),
}

impl Python {
    /// Whether memtrace says that it traces this one.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        self.implementation == "CPython" && ((3, 8)..=(3, 15)).contains(&self.minor())
    }

    /// Major and minor.
    #[must_use]
    pub fn minor(&self) -> (u8, u8) {
        (self.version.0, self.version.1)
    }

    fn probe(program: &Path) -> Option<Self> {
        const QUESTION: &str = "import sys, platform; \
            sys.stdout.write('%s %d %d %d' % ((platform.python_implementation(),) \
            + tuple(sys.version_info[:3])))";
        let output = Command::new(program).args(["-c", QUESTION]).output().ok()?;
        let answer = String::from_utf8(output.stdout).ok()?;
        let mut words = answer.split(' ');
        let implementation = words.next()?.to_owned();
        let mut number = || words.next()?.parse().ok();
        let version = (number()?, number()?, number()?);
        Some(Self { program: program.to_owned(), implementation, version })
    }
}

/// All of them, oldest first, each program once: pyenv's versions, and what is called `python*`
/// or `pypy*` in `PATH`.
#[must_use]
pub fn all() -> Vec<Python> {
    let mut folders: Vec<PathBuf> = versions_of_pyenv();
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let programs: BTreeSet<PathBuf> = folders
        .iter()
        .filter(|folder| !folder.ends_with("shims"))
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_python_name))
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    let mut found: Vec<Python> = programs.iter().filter_map(|path| Python::probe(path)).collect();
    // 3.6 and 3.7 have the same program under two names.
    found.sort_by(|a, b| (a.version, &a.program).cmp(&(b.version, &b.program)));
    found.dedup_by(|a, b| a.version == b.version && a.program.parent() == b.program.parent());
    found
}

/// Those that memtrace says it traces.
#[must_use]
pub fn supported() -> Vec<Python> {
    all().into_iter().filter(Python::is_supported).collect()
}

/// `python`, `python3`, `python3.11`, `pypy3.9`; not `python3-config`.
fn is_python_name(name: &str) -> bool {
    let rest = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy"));
    rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

fn versions_of_pyenv() -> Vec<PathBuf> {
    let said = Command::new("pyenv").arg("root").output().ok();
    let root = said
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|text| PathBuf::from(text.trim()))
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("PYENV_ROOT").map(PathBuf::from))
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv")));
    let versions = root.and_then(|root| std::fs::read_dir(root.join("versions")).ok());
    versions.into_iter().flatten().filter_map(|it| Some(it.ok()?.path().join("bin"))).collect()
}
