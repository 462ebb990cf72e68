//! The file of a recording: known to be writable before anything is traced, gone again when nothing
//! was recorded.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A new, empty file.
pub(super) struct RecordingFile {
    path: PathBuf,
    file: Option<File>,
}

impl RecordingFile {
    /// Makes it. What is there already is kept unless `force`.
    ///
    /// # Errors
    ///
    /// It is there already, or can't be made.
    pub(super) fn create(path: &Path, force: bool) -> Result<Self> {
        let mut options = File::options();
        options.write(true);
        if force {
            options.create(true).truncate(true);
        } else {
            options.create_new(true);
        }
        match options.open(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file: Some(file) }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(
                "{} is there already; choose another name, or --force writes over it",
                path.display()
            ),
            Err(error) => Err(error).with_context(|| format!("can't write to {}", path.display())),
        }
    }

    /// The file, now that there is something to write.
    pub(super) fn take(mut self) -> Result<File> {
        self.file.take().context("the file was taken before")
    }
}

impl Drop for RecordingFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            // An empty file that can't be removed does no harm.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_kept_unless_forced_and_an_unused_file_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.memtrace");
        drop(RecordingFile::create(&path, false).unwrap());
        assert!(!path.exists());
        std::fs::write(&path, "precious").unwrap();
        let error = RecordingFile::create(&path, false).err().unwrap().to_string();
        assert!(error.contains("--force"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        drop(RecordingFile::create(&path, true).unwrap().take().unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }
}
