//! The Python interpreters of this machine: every one found is tested, and what is missing is
//! printed.
//!
//! Found where `cargo xtask interpreters` puts them, under pyenv's versions, in `/usr/bin`,
//! `/usr/local/bin`, on PATH, and where `MEMTRACE_TEST_INTERPRETERS` says (paths, separated by
//! colons). Version and implementation are asked of the interpreter itself.
//! `MEMTRACE_TEST_ONLY=3.8,3.13` narrows a run, and says so.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::resources;

/// The minor versions of Python 3 that memtrace promises.
pub const SUPPORTED: std::ops::RangeInclusive<u32> = 8..=15;

const PROBE: &str = "import sys, platform; sys.stdout.write('|'.join([\
    platform.python_implementation(), '%d.%d.%d' % sys.version_info[:3], sys.executable]))";

/// One interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The real file, no shim and no link; or the launcher of one in a root of its own.
    pub path: PathBuf,
    /// `CPython`, `PyPy`, …
    pub implementation: String,
    /// Major, minor, micro.
    pub version: (u32, u32, u32),
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, micro) = self.version;
        let (name, path) = (&self.implementation, self.path.display());
        write!(f, "{name} {major}.{minor}.{micro} ({path})")
    }
}

impl Interpreter {
    /// `3.12.1`
    #[must_use]
    pub fn version_text(&self) -> String {
        let (major, minor, micro) = self.version;
        format!("{major}.{minor}.{micro}")
    }

    /// Whether [`Self::path`] is not the program itself but what enters its root and becomes it.
    #[must_use]
    pub fn is_launched(&self) -> bool {
        fetched().canonicalize().is_ok_and(|folder| self.path.starts_with(folder))
    }

    /// Whether memtrace promises to trace it.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        let (major, minor, _) = self.version;
        self.implementation == "CPython" && major == 3 && SUPPORTED.contains(&minor)
    }

    /// Major and minor.
    #[must_use]
    pub fn minor(&self) -> (u32, u32) {
        (self.version.0, self.version.1)
    }

    fn probe(candidate: &Path) -> Option<Self> {
        let output = Command::new(candidate)
            .args(["-c", PROBE])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let mut parts = text.splitn(3, '|');
        let (implementation, version) = (parts.next()?.to_owned(), parts.next()?);
        let numbers: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
        let [major, minor, micro] = numbers[..] else { return None };
        // What `cargo xtask interpreters` fetched is seen by its launcher only.
        let named = Path::new(parts.next()?);
        let path = if candidate.starts_with(fetched()) { candidate } else { named };
        let path = std::fs::canonicalize(path).ok()?;
        Some(Self { path, implementation, version: (major, minor, micro) })
    }
}

/// `python`, `python3`, `python3.12`; not `python3-config`.
fn is_python_name(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy")) else {
        return false;
    };
    rest.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// Where `cargo xtask interpreters` puts launchers for Debian sid's, which live in a root of their
/// own.
fn fetched() -> PathBuf {
    resources::target_folder().join("memtrace-tests/interpreters")
}

fn candidates() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = vec![fetched()];
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv"));
    if let Some(root) = env::var_os("PYENV_ROOT").map(PathBuf::from).or(home)
        && let Ok(versions) = root.join("versions").read_dir()
    {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    folders.extend(["/usr/bin", "/usr/local/bin"].map(PathBuf::from));
    if let Some(path) = env::var_os("PATH") {
        folders.extend(env::split_paths(&path));
    }
    let mut found = Vec::new();
    for entry in folders.iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_python_name) {
            found.push(entry.path());
        }
    }
    if let Some(named) = env::var_os("MEMTRACE_TEST_INTERPRETERS") {
        found.extend(env::split_paths(&named));
    }
    found
}

/// Every interpreter of this machine, supported or not, oldest first.
#[must_use]
pub fn all() -> Vec<Interpreter> {
    let mut by_file: BTreeMap<PathBuf, Interpreter> = BTreeMap::new();
    let mut probed = std::collections::BTreeSet::new();
    for candidate in candidates() {
        if probed.insert(std::fs::canonicalize(&candidate).unwrap_or(candidate.clone()))
            && let Some(found) = Interpreter::probe(&candidate)
        {
            by_file.entry(found.path.clone()).or_insert(found);
        }
    }
    let mut found: Vec<_> = by_file.into_values().collect();
    found.sort_by(|a, b| (a.version, &a.path).cmp(&(b.version, &b.path)));
    found
}

/// The supported interpreters of this machine; prints them, and which minors are missing.
///
/// # Errors
/// When there is none: then nothing would be tested.
pub fn supported() -> Result<Vec<Interpreter>> {
    let mut found: Vec<_> = all().into_iter().filter(Interpreter::is_supported).collect();
    let missing: Vec<String> = SUPPORTED
        .filter(|minor| !found.iter().any(|one| one.version.1 == *minor))
        .map(|minor| format!("3.{minor}"))
        .collect();
    if let Ok(only) = env::var("MEMTRACE_TEST_ONLY") {
        let wanted: Vec<&str> = only.split(',').collect();
        found.retain(|one| wanted.contains(&&*format!("3.{}", one.version.1)));
        eprintln!("interpreters: narrowed by MEMTRACE_TEST_ONLY to {only}");
    }
    for one in &found {
        eprintln!("interpreter: {one}");
    }
    if !missing.is_empty() {
        let missing = missing.join(", ");
        eprintln!("not on this machine: {missing} (`cargo xtask interpreters` fetches the newest)");
    }
    ensure!(!found.is_empty(), "no supported CPython (3.8 to 3.15) found: install one, or name it");
    Ok(found)
}

/// The newest supported interpreter, for tests whose answer doesn't depend on the version.
///
/// # Errors
/// When there is none.
pub fn newest() -> Result<Interpreter> {
    supported()?.pop().context("no supported CPython")
}

/// The interpreter of an unsupported minor version, which the test can't do without.
///
/// # Errors
/// When it is not on this machine.
pub fn unsupported(major: u32, minor: u32) -> Result<Interpreter> {
    let found = all().into_iter().find(|one| (one.version.0, one.version.1) == (major, minor));
    found.with_context(|| format!("this test needs CPython {major}.{minor}: pyenv install it"))
}

/// Runs `check` for every supported interpreter and tells of all that failed, not only the first.
///
/// # Errors
/// When it failed for any.
pub fn for_each(mut check: impl FnMut(&Interpreter) -> Result<()>) -> Result<()> {
    let mut failures = Vec::new();
    for interpreter in supported()? {
        match check(&interpreter) {
            Ok(()) => eprintln!("{interpreter}: ok"),
            Err(error) => failures.push(format!("{interpreter}: {error:#}")),
        }
    }
    if !failures.is_empty() {
        bail!("failed for {}:\n{}", failures.len(), failures.join("\n\n"));
    }
    Ok(())
}
