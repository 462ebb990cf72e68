//! What tells one state of one file from all others, for those who remember what they read in it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// A file, and which of its contents: another file, and its own earlier content, have other ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileState {
    /// Of an open file, so that it is the one that is read.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}
