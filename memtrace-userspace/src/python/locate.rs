//! Which of a process's mapped files is its interpreter, and where it is loaded.
//!
//! Decided by what a file defines, never by its name: any program may embed CPython. Names only
//! say where to look first.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::image::{Image, Images};
use super::interpreter::ProbePoint;
use super::maps::{Mapping, Mappings};
use super::memory::TargetMemory;

/// A mapped image.
#[derive(Debug)]
pub(super) struct Located {
    /// Its facts.
    pub(super) image: Arc<Image>,
    /// What to add to the image's addresses.
    pub(super) bias: u64,
    /// Its executable mapping.
    pub(super) mapping: Mapping,
    /// The file.
    pub(super) file: File,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Search {
    /// A CPython, of whatever version.
    CPython(Located),
    /// A PyPy.
    PyPy(PathBuf),
    /// Neither; `denied` when not every file could be opened.
    Nothing {
        /// Whether permission was missing for a file.
        denied: bool,
    },
}

/// Looks at the files that a process executes from: libraries named like CPython's first, then
/// the program, then everything else.
#[must_use]
pub(super) fn search(memory: &TargetMemory, images: &mut Images) -> Search {
    let program = std::fs::metadata(format!("/proc/{}/exe", memory.pid())).map(|it| it.ino()).ok();
    let mut seen = HashSet::new();
    let mut candidates: Vec<&Mapping> = memory
        .mappings()
        .iter()
        .filter(|mapping| mapping.executable && mapping.is_file())
        .filter(|mapping| seen.insert((mapping.device, mapping.inode)))
        .collect();
    candidates.sort_by_key(|mapping| {
        let name = mapping.file_name();
        if name.starts_with("libpython") || name.starts_with("libpypy") {
            0
        } else if Some(mapping.inode) == program {
            1
        } else {
            2
        }
    });
    let mut denied = false;
    for mapping in candidates {
        let file = match mapping.open(memory.pid()) {
            Ok(file) => file,
            Err(error) => {
                denied |= error.kind() == io::ErrorKind::PermissionDenied;
                continue;
            }
        };
        let Ok(Some(image)) = images.get(&file) else { continue };
        if image.is_pypy() {
            return Search::PyPy(mapping.path.clone());
        }
        if !image.is_cpython() {
            continue;
        }
        let Some(bias) = image.bias(mapping.start, mapping.offset) else { continue };
        if !is_loaded(memory.mappings(), &image, bias, mapping) {
            return Search::Nothing { denied: false };
        }
        return Search::CPython(Located { image, bias, mapping: mapping.clone(), file });
    }
    Search::Nothing { denied }
}

/// Whether the image's data is where it belongs. The dynamic loader first maps the whole of a
/// library from its beginning, then each segment over it, then anonymous memory for `.bss`; so for
/// a moment other bytes of the file are where its data will be (`_dl_map_segments` in glibc's
/// `elf/dl-map-segments.h`).
fn is_loaded(mappings: &Mappings, image: &Image, bias: u64, code: &Mapping) -> bool {
    let data = image.segments().iter().filter(|it| !it.executable && it.file_size > 0);
    data.into_iter().all(|segment| {
        let address = bias.wrapping_add(segment.address);
        let begins = mappings.at(address).is_some_and(|mapping| {
            let offset = address - mapping.start + mapping.offset;
            mapping.same_file(code) && offset == segment.offset
        });
        let page = procfs::page_size();
        let file_end = address.wrapping_add(segment.file_size);
        let end = address.wrapping_add(segment.memory_size);
        let ends = end.wrapping_sub(1) / page <= file_end.wrapping_sub(1) / page
            || mappings.at(end.wrapping_sub(1)).is_some_and(|mapping| !mapping.is_file());
        begins && ends
    })
}

impl Located {
    /// The address in the process of something the image defines.
    #[must_use]
    pub(super) fn address(&self, symbol: &str) -> Option<u64> {
        self.image.symbol(symbol).map(|value| self.bias.wrapping_add(value))
    }

    /// A uprobe on this address of the process; `None` if no code of the image is there.
    #[must_use]
    pub(super) fn probe_point(&self, pid: u32, address: u64) -> Option<ProbePoint> {
        let file_offset = self.image.code_offset(address.wrapping_sub(self.bias))?;
        Some(ProbePoint { path: self.openable(pid), file_offset })
    }

    /// A path by which another opener in this process (the kernel on behalf of
    /// `perf_event_open`) reaches the file: its name, where that leads to it.
    fn openable(&self, pid: u32) -> PathBuf {
        let same = |path: &PathBuf| {
            let (Ok(there), Ok(here)) = (path.metadata(), self.file.metadata()) else {
                return false;
            };
            (there.dev(), there.ino()) == (here.dev(), here.ino())
        };
        self.mapping.names(pid).into_iter().find(same).unwrap_or_else(|| self.mapping.map_file(pid))
    }

    /// Whether the image is a library that the program loads.
    #[must_use]
    pub(super) fn is_shared(&self) -> bool {
        !self.image.program
    }
}
