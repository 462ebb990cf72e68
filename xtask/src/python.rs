//! The Python interpreters of this machine, as the demo and the setup see them: by asking each.
//!
//! memtrace itself never runs an interpreter to learn about it; this is for chores only.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::process;

/// Oldest and newest minor version of CPython 3 that memtrace traces.
const SUPPORTED: std::ops::RangeInclusive<u32> = 8..=15;

/// Prints implementation, version, whether the GIL is there, and the real executable.
const QUESTION: &str = "import sys, sysconfig; \
    print(sys.implementation.name, sys.version_info[0], sys.version_info[1], sys.version_info[2], \
    int(bool(sysconfig.get_config_var('Py_GIL_DISABLED'))), sys.executable)";

/// A CPython that memtrace can trace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Python {
    /// Minor and micro version.
    pub(crate) version: (u32, u32),
    /// The interpreter itself, not a shim.
    pub(crate) path: PathBuf,
}

impl Python {
    /// `3.12`
    pub(crate) fn series(&self) -> String {
        format!("3.{}", self.version.0)
    }

    /// Whether it has a module.
    pub(crate) fn has_module(&self, name: &str) -> bool {
        process::ask(Command::new(&self.path).args(["-c", &format!("import {name}")])).is_some()
    }
}

/// All supported interpreters found on `PATH`, with pyenv and in the system's folders, oldest first.
pub(crate) fn find() -> Vec<Python> {
    let files: BTreeSet<PathBuf> = candidates().into_iter().collect();
    // All at once: pyenv's shims take a while to answer.
    let mut found: Vec<Python> = thread::scope(|scope| {
        let asked: Vec<_> = files.iter().map(|file| scope.spawn(|| probe(file))).collect();
        asked.into_iter().filter_map(|answer| answer.join().ok().flatten()).collect()
    });
    found.sort();
    found.dedup();
    found
}

/// Asks one file what it is.
pub(crate) fn probe(path: &Path) -> Option<Python> {
    parse(&process::ask(Command::new(path).args(["-I", "-c", QUESTION]))?)
}

fn parse(answer: &str) -> Option<Python> {
    let mut words = answer.splitn(6, ' ');
    let name = words.next()?;
    let mut number = || words.next()?.parse::<u32>().ok();
    let (major, minor, micro, free_threaded) = (number()?, number()?, number()?, number()?);
    let path = PathBuf::from(words.next()?);
    let traced =
        name == "cpython" && major == 3 && SUPPORTED.contains(&minor) && free_threaded == 0;
    traced.then_some(Python { version: (minor, micro), path })
}

fn candidates() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/bin", "/usr/local/bin"].map(PathBuf::from));
    let mut found: Vec<PathBuf> = folders.flat_map(|folder| interpreters(&folder)).collect();
    let pyenv = env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv")));
    if let Some(Ok(versions)) = pyenv.map(|root| fs::read_dir(root.join("versions"))) {
        found.extend(versions.flatten().map(|version| version.path().join("bin/python3")));
    }
    found.retain(|file| file.is_file());
    found
}

/// Files named `python3` or `python3.N` in a folder.
fn interpreters(folder: &Path) -> Vec<PathBuf> {
    let is_one = |name: &str| {
        name.strip_prefix("python3").is_some_and(|rest| {
            rest.is_empty() || rest.strip_prefix('.').is_some_and(|n| n.parse::<u32>().is_ok())
        })
    };
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| is_one(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_version_and_file() {
        let python = parse("cpython 3 12 1 0 /opt/a b/python3").unwrap();
        assert_eq!(python, Python { version: (12, 1), path: "/opt/a b/python3".into() });
        assert_eq!(python.series(), "3.12");
    }

    #[test]
    fn what_memtrace_does_not_trace_is_left_out() {
        for answer in [
            "pypy 3 10 1 0 /p",
            "cpython 3 7 16 0 /p",
            "cpython 3 16 0 0 /p",
            "cpython 2 7 18 0 /p",
            "cpython 3 13 0 1 /p",
            "nonsense",
            "",
        ] {
            assert_eq!(parse(answer), None, "{answer}");
        }
    }
}
