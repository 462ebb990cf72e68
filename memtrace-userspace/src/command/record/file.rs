//! The file of a recording: known to be writable before anything is traced, gone again when nothing
//! was recorded.
//!
//! What was there before, and `--force` allows to write over, stays until the recording begins, and
//! is never removed: it may be a device.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A file that nothing was written to yet, or that keeps what was.
pub(super) struct RecordingFile {
    path: PathBuf,
    file: File,
    /// Whether it was not there before.
    new: bool,
    /// Whether there is something in it that is worth keeping.
    kept: bool,
}

impl RecordingFile {
    /// Makes it. What is there already is kept unless `force`.
    ///
    /// # Errors
    ///
    /// It is there already, or can't be made or written to.
    pub(super) fn create(path: &Path, force: bool) -> Result<Self> {
        let cant = || format!("can't write to {}", path.display());
        let (file, new) = match File::options().write(true).create_new(true).open(path) {
            Ok(file) => (file, true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && force => {
                // A named pipe without a reader is an error at once, not a wait.
                let mut options = File::options();
                let file = options.write(true).custom_flags(libc::O_NONBLOCK).open(path);
                let file = file.with_context(cant)?;
                rustix::fs::fcntl_setfl(&file, rustix::fs::OFlags::empty()).context("fcntl")?;
                (file, false)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(
                "{} is there already; choose another name, or --force writes over it",
                path.display()
            ),
            Err(error) => return Err(error).with_context(cant),
        };
        // Files of /proc open for root and then refuse every write, the empty one too.
        (&file).write(&[]).with_context(cant)?;
        Ok(Self { path: path.to_owned(), file, new, kept: false })
    }

    /// The file to write to, empty now.
    ///
    /// # Errors
    ///
    /// It can't be emptied.
    pub(super) fn begin(&self) -> Result<File> {
        match self.file.set_len(0) {
            // Pipes and devices have no length to set.
            Err(error) if self.file.metadata()?.is_file() => Err(error)?,
            _ => Ok(self.file.try_clone()?),
        }
    }

    /// The same file, to sync it by.
    ///
    /// # Errors
    ///
    /// When there is no descriptor left.
    pub(super) fn to_sync(&self) -> Result<File> {
        Ok(self.file.try_clone()?)
    }

    /// What is written from now on is to stay.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    /// As it was named.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RecordingFile {
    fn drop(&mut self) {
        if self.new && !self.kept {
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
        drop(RecordingFile::create(&path, false).unwrap().begin().unwrap());
        assert!(!path.exists());
        std::fs::write(&path, "precious").unwrap();
        let error = RecordingFile::create(&path, false).err().unwrap().to_string();
        assert!(error.contains("--force"), "{error}");
        // Forced, and then nothing was recorded.
        drop(RecordingFile::create(&path, true).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        let mut file = RecordingFile::create(&path, true).unwrap();
        file.begin().unwrap().write_all(b"new").unwrap();
        file.keep();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_device_is_written_to_and_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        let file = RecordingFile::create(&link, true).unwrap();
        file.begin().unwrap().write_all(b"gone").unwrap();
        drop(file);
        assert!(link.exists());
    }
}
