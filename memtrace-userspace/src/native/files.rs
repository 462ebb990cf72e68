//! The files with code that a trace has met, each read once for all processes.

use std::cell::Cell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::file::NativeFile;
use super::limits::{IDLE_WINDOWS, MAX_DEBUG_BYTES};
use crate::python::{FileState, Mapping};

/// Windows of time after which a file that no process has is forgotten: its unwind tables may be large,
/// and it is kept open. Longer than its lines are kept, so that those are given back before.
const FORGET_AFTER: u32 = 4 * IDLE_WINDOWS;

/// A file that was met.
struct Known {
    /// `None` when it is no ELF file.
    file: Option<Rc<NativeFile>>,
    /// Windows of time at whose end no process had it.
    idle: u32,
}

impl Known {
    fn is_wanted(&mut self) -> bool {
        let is_held = self.file.as_ref().is_some_and(|file| Rc::strong_count(file) > 1);
        self.idle = if is_held { 0 } else { self.idle + 1 };
        self.idle < FORGET_AFTER
    }
}

/// Files by what they are.
pub struct NativeFiles {
    files: HashMap<FileState, Known>,
    /// Bytes of debug sections that may still be read.
    debug_left: Rc<Cell<u64>>,
}

impl Default for NativeFiles {
    fn default() -> Self {
        Self { files: HashMap::new(), debug_left: Rc::new(Cell::new(MAX_DEBUG_BYTES)) }
    }
}

impl NativeFiles {
    /// A window of time is over.
    pub fn close_window(&mut self) {
        let Self { files, .. } = self;
        let read = files.values().filter_map(|known| known.file.as_ref());
        let let_go = read.filter(|file| file.close_window()).count();
        let before = files.len();
        files.retain(|_, known| known.is_wanted());
        if let_go > 0 || files.len() < before {
            // SAFETY: a call without pointers.
            unsafe { libc::malloc_trim(0) };
        }
    }

    /// The file that a process has mapped there; `None` if it can't be opened or is no ELF file.
    pub(super) fn get(&mut self, pid: u32, mapping: &Mapping) -> Option<Rc<NativeFile>> {
        let file = mapping.open(pid).ok()?;
        let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let key = FileState::of(&metadata);
        let read = || {
            let root = PathBuf::from(format!("/proc/{pid}/root"));
            let left = Rc::clone(&self.debug_left);
            NativeFile::read(file, &mapping.path, &root, left).map(Rc::new)
        };
        self.files.entry(key).or_insert_with(|| Known { file: read(), idle: 0 }).file.clone()
    }
}
