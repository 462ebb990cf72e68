//! `run --count-lines`: how often each line runs, counted by the program's own interpreter.
//!
//! The one thing that memtrace ever has a process run, and only in a command that it starts itself: a
//! `sitecustomize` in a temporary folder, by PYTHONPATH, which counts with `sys.monitoring` (CPython 3.12
//! and newer) and writes the counts into that folder at exit. What is in the folder is the program's
//! word: it is read with bounds and checked. Everything is gone when [`Counting`] is dropped.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use tempfile::TempDir;

mod counts;
mod options;

pub use counts::{CountedFunction, CountedProcess};
pub use options::{Isolated, isolated};

const PROGRAM: &str = include_str!("counting/sitecustomize.py");

/// Where a command finds the counting code, and leaves its counts.
#[derive(Debug)]
pub struct Counting {
    folder: TempDir,
}

/// The command's interpreter can't count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooOld {
    /// `3.11.7`
    pub version: String,
    /// The interpreter's file, as it says itself.
    pub executable: String,
}

impl Counting {
    /// Puts the counting code into a new temporary folder.
    ///
    /// # Errors
    ///
    /// When there is no such folder to be had.
    pub fn prepare() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("memtrace-count-lines-").tempdir()?;
        // The program may run as another user, or become one.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let this = Self { folder };
        let program = PROGRAM.replace("MEMTRACE", &std::process::id().to_string());
        let file = this.folder.path().join("sitecustomize.py");
        fs::write(&file, program)?;
        fs::set_permissions(&file, Permissions::from_mode(0o644))?;
        fs::create_dir(this.counts())?;
        fs::set_permissions(this.counts(), Permissions::from_mode(0o1777))?;
        Ok(this)
    }

    fn counts(&self) -> PathBuf {
        self.folder.path().join("counts")
    }

    /// The value of PYTHONPATH for the command, where it is `present` in memtrace's own environment.
    #[must_use]
    pub fn python_path(&self, present: Option<&OsStr>) -> OsString {
        let mut path = self.folder.path().as_os_str().to_owned();
        if let Some(present) = present {
            path.push(":");
            path.push(present);
        }
        path
    }

    /// What the processes left. A file that is not as it should be is no file.
    #[must_use]
    pub fn read(&self) -> Vec<CountedProcess> {
        let Ok(entries) = fs::read_dir(self.counts()) else { return Vec::new() };
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        names.sort();
        let mut room = counts::MAX_BYTES;
        names
            .iter()
            .take(counts::MAX_FILES)
            .filter_map(|path| counts::read(path, &mut room))
            .collect()
    }

    /// Whether the command's own interpreter was too old, and therefore ended at once. It runs as we do:
    /// what others have left in the folder is not believed.
    #[must_use]
    pub fn refusal(&self) -> Option<TooOld> {
        let owner = fs::symlink_metadata(self.counts().join("refused")).ok()?.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return None;
        }
        let text = counts::text(&self.counts().join("refused"), &mut 4096)?;
        let (version, executable) = text.split_once('\t')?;
        Some(TooOld { version: version.to_owned(), executable: executable.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_comes_first_in_pythonpath_and_nothing_is_added_otherwise() {
        let counting = Counting::prepare().unwrap();
        let folder = counting.folder.path().to_str().unwrap().to_owned();
        let path = |present: Option<&str>| counting.python_path(present.map(OsStr::new));
        assert_eq!(path(None), folder.as_str());
        assert_eq!(path(Some("")), format!("{folder}:").as_str());
        assert_eq!(path(Some("/a:/b")), format!("{folder}:/a:/b").as_str());
    }

    #[test]
    fn a_refusal_is_believed_from_our_own_user_only() {
        let counting = Counting::prepare().unwrap();
        let file = counting.counts().join("refused");
        fs::write(&file, "3.11.7\t/usr/bin/python3").unwrap();
        let (version, executable) = ("3.11.7".to_owned(), "/usr/bin/python3".to_owned());
        assert_eq!(counting.refusal(), Some(TooOld { version, executable }));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&file, Some(65534), None).unwrap();
            assert_eq!(counting.refusal(), None);
        }
    }

    #[test]
    fn nothing_is_left_behind() {
        let counting = Counting::prepare().unwrap();
        let folder = counting.folder.path().to_owned();
        assert!(folder.join("sitecustomize.py").is_file());
        assert!(counting.read().is_empty());
        assert_eq!(counting.refusal(), None);
        drop(counting);
        assert!(!folder.exists());
    }
}
