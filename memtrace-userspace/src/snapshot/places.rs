//! What a mapping is for, as far as its line in `maps` and its file say.
//!
//! Anonymous memory says nothing of itself: who claims which part of it is found out by the
//! modules that know allocators and stacks.

use std::collections::{HashMap, HashSet};
use std::os::fd::AsRawFd;

use super::picture::{FileRow, Kind};
use super::smaps::Counted;
use crate::python::maps::Mapping;
use crate::units::Bytes;

/// Files that are named in a report.
const FILES_LIMIT: usize = 100;

/// Device and inode: which file.
type FileId = ((u32, u32), u64);

fn file_id(mapping: &Mapping) -> FileId {
    (mapping.device, mapping.inode)
}

/// What is known of the files that a process maps.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Those that code runs from.
    executed: HashSet<FileId>,
    /// Those of tmpfs, memfd and shared memory, whose pages the kernel counts as shared memory.
    in_memory: HashSet<FileId>,
}

/// `TMPFS_MAGIC` (`include/uapi/linux/magic.h`).
const TMPFS: libc::__fsword_t = 0x0102_1994;

impl Files {
    /// Looks at each file once.
    #[must_use]
    pub(super) fn of(pid: u32, mappings: &[Counted]) -> Self {
        let mut files = Self::default();
        let mut seen = HashMap::new();
        for Counted { mapping, .. } in mappings.iter().filter(|it| it.mapping.is_file()) {
            let id = file_id(mapping);
            if mapping.executable {
                files.executed.insert(id);
            }
            if *seen.entry(id).or_insert_with(|| is_in_memory(pid, mapping)) {
                files.in_memory.insert(id);
            }
        }
        files
    }
}

fn is_in_memory(pid: u32, mapping: &Mapping) -> bool {
    let path = mapping.path.as_os_str().as_encoded_bytes();
    let named = [&b"/dev/shm/"[..], b"/memfd:", b"/SYSV"].iter().any(|it| path.starts_with(it));
    if named || path == b"/dev/zero" {
        return true;
    }
    if path.starts_with(b"/dev/") {
        return false;
    }
    let Ok(file) = mapping.open(pid) else { return false };
    // SAFETY: zeros are a valid value of this structure of integers; fstatfs fills it.
    let mut about: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, and `about` is ours to be filled.
    let told = unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut about) };
    told == 0 && about.f_type == TMPFS
}

/// The kind of what nobody claims of a mapping.
#[must_use]
pub(super) fn kind(mapping: &Mapping, files: &Files) -> Kind {
    let path = mapping.path.as_os_str().as_encoded_bytes();
    match path {
        b"" => Kind::UnknownAnonymous,
        b"[heap]" => Kind::BrkHeap,
        b"[stack]" => Kind::ThreadStacks,
        _ if path.starts_with(b"[anon_shmem:") => Kind::SharedMemory,
        _ if path.starts_with(b"[anon:") => named(path),
        _ if path.starts_with(b"[") => Kind::KernelPages,
        _ if files.executed.contains(&file_id(mapping)) => Kind::Libraries,
        _ if files.in_memory.contains(&file_id(mapping)) => Kind::SharedMemory,
        _ if path.starts_with(b"/dev/") || path.starts_with(b"anon_inode:") => Kind::Devices,
        _ => Kind::MappedFiles,
    }
}

/// Anonymous memory that its owner has named.
fn named(path: &[u8]) -> Kind {
    let says = |word: &str| path.windows(word.len()).any(|part| part == word.as_bytes());
    if ["jemalloc", "tcmalloc", "mimalloc"].iter().any(|it| says(it)) {
        Kind::OtherAllocator
    } else if says("stack") {
        Kind::ThreadStacks
    } else if says("glibc: malloc") {
        // With glibc.mem.decorate_maps: claimed by its heap, or unknown.
        Kind::UnknownAnonymous
    } else {
        Kind::NamedAnonymous
    }
}

/// Allocators by the names of the libraries that hold them.
#[must_use]
pub(super) fn other_allocators(mappings: &[Counted]) -> Vec<String> {
    const NAMES: [&str; 3] = ["jemalloc", "tcmalloc", "mimalloc"];
    let mut found: Vec<String> = NAMES
        .iter()
        .filter(|name| {
            let lib = format!("lib{name}");
            mappings.iter().any(|it| {
                it.mapping.file_name().starts_with(&lib)
                    || it.mapping.path.as_os_str().as_encoded_bytes().starts_with(b"[anon:")
                        && it.mapping.path.to_string_lossy().contains(**name)
            })
        })
        .map(|name| (*name).to_owned())
        .collect();
    found.sort();
    found
}

/// The files with the most resident pages.
#[must_use]
pub(super) fn largest_files(mappings: &[Counted], files: &Files) -> Vec<FileRow> {
    let mut by_file: HashMap<FileId, FileRow> = HashMap::new();
    for Counted { mapping, counts } in mappings.iter().filter(|it| it.mapping.is_file()) {
        let row = by_file.entry(file_id(mapping)).or_insert_with(|| FileRow {
            path: mapping.path.to_string_lossy().into_owned(),
            kind: kind(mapping, files),
            rss_bytes: Bytes::ZERO,
            mapped_bytes: Bytes::ZERO,
        });
        row.rss_bytes += Bytes(counts.rss.cast_signed());
        row.mapped_bytes += Bytes((mapping.end - mapping.start).cast_signed());
    }
    let mut rows: Vec<FileRow> = by_file.into_values().collect();
    rows.sort_by(|a, b| b.rss_bytes.cmp(&a.rss_bytes).then_with(|| a.path.cmp(&b.path)));
    rows.truncate(FILES_LIMIT);
    rows
}
