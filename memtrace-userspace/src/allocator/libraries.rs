//! The functions of C's allocator: libc's, or those of a library that takes its place (jemalloc,
//! tcmalloc, mimalloc), or of the program itself.
//!
//! Every mapped file that defines both `malloc` and `free` is one. Which of them a call reaches is the
//! dynamic loader's decision, so all are taken; one that nobody calls costs nothing.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use memtrace_common::lens::Reads;
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSegment as _, ObjectSymbol as _};

use super::{Function, entry};
use crate::python::maps::{Mapping, Mappings};
use crate::python::{BoundedRead, FILE_LIMIT, ProbePoint};

/// The functions and where their arguments are (System V ABI; `man 3 malloc`, `posix_memalign`).
const FUNCTIONS: [(&str, Reads); 9] = [
    ("malloc", Reads::NOTHING.size(1)),
    ("calloc", Reads::NOTHING.count(1).size(2)),
    ("realloc", Reads::NOTHING.old(1).size(2)),
    ("aligned_alloc", Reads::NOTHING.size(2)),
    ("memalign", Reads::NOTHING.size(2)),
    ("posix_memalign", Reads::NOTHING.out(1).size(3)),
    ("valloc", Reads::NOTHING.size(1)),
    ("pvalloc", Reads::NOTHING.size(1)),
    ("free", Reads::NOTHING.old(1)),
];

/// A file that defines an allocator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// `libc.so.6`
    pub name: String,
    /// Device and inode.
    pub file: (u64, u64),
    /// Its functions, each code once.
    pub functions: Vec<Function>,
}

/// Files that were looked at, by device and inode.
pub type SeenFiles = HashSet<((u32, u32), u64)>;

/// The allocators that are mapped in a process, in files that were not seen before.
#[must_use]
pub fn libraries(pid: u32, mappings: &Mappings, seen: &mut SeenFiles) -> Vec<Library> {
    let mut libraries = Vec::new();
    for mapping in mappings.iter().filter(|it| it.executable && it.is_file()) {
        // The dynamic loader has a `malloc` of its own, until libc is there.
        let name = mapping.file_name();
        if name.starts_with("ld-linux") || name.starts_with("ld-2.") {
            continue;
        }
        if seen.insert((mapping.device, mapping.inode))
            && let Ok(file) = mapping.open(pid)
        {
            libraries.extend(library(&file, mapping, pid));
        }
    }
    libraries
}

/// The libc that memtrace itself has mapped: most likely also that of a command that it starts, which
/// has none yet.
#[must_use]
pub fn own_libc() -> Option<Library> {
    let pid = std::process::id();
    let mappings = Mappings::of(pid).ok()?;
    libraries(pid, &mappings, &mut SeenFiles::new())
        .into_iter()
        .find(|library| library.name.starts_with("libc."))
}

/// What the file at a mapping defines; `None` if that is no allocator.
fn library(file: &File, mapping: &Mapping, pid: u32) -> Option<Library> {
    let metadata = file.metadata().ok()?;
    let data = &BoundedRead::new(file, FILE_LIMIT);
    let elf = ElfFile64::<object::Endianness, _>::parse(data).ok()?;
    let mut functions: Vec<Function> = Vec::new();
    let path = openable(mapping, &metadata, pid);
    let mut found: Vec<(usize, u64)> = Vec::new();
    for symbol in elf.dynamic_symbols().filter(|symbol| symbol.is_definition()) {
        let Ok(name) = symbol.name_bytes() else { continue };
        if let Some(at) = FUNCTIONS.iter().position(|(wanted, _)| wanted.as_bytes() == name) {
            found.push((at, symbol.address()));
        }
    }
    found.sort_unstable();
    let named = |name| found.iter().any(|(at, _)| FUNCTIONS[*at].0 == name);
    if !(named("malloc") && named("free")) {
        return None;
    }
    for (at, address) in found {
        let (name, reads) = FUNCTIONS[at];
        let segment = elf.segments().find(|segment| {
            address.checked_sub(segment.address()).is_some_and(|there| there < segment.size())
        })?;
        let start = address - segment.address() + segment.file_range().0;
        let mut code = [0; entry::LENGTH];
        let read = file.read_exact_at(&mut code, start).is_ok();
        let inside = if read { entry::emulated(&code) } else { None };
        let file_offset = start + inside.unwrap_or(0);
        // Names of one function share its code.
        if !functions.iter().any(|known| known.point.file_offset == file_offset) {
            let point = ProbePoint { path: path.clone(), file_offset };
            functions.push(Function { name, point, reads, emulated: inside.is_some() });
        }
    }
    let name = mapping.path.file_name()?.to_string_lossy().into_owned();
    Some(Library { name, file: (metadata.dev(), metadata.ino()), functions })
}

/// A path by which the kernel, on our behalf, reaches the file: its name, where that leads to it.
fn openable(mapping: &Mapping, file: &std::fs::Metadata, pid: u32) -> std::path::PathBuf {
    let same = |path: &std::path::PathBuf| {
        path.metadata().is_ok_and(|there| (there.dev(), there.ino()) == (file.dev(), file.ino()))
    };
    mapping.names(pid).into_iter().find(same).unwrap_or_else(|| mapping.map_file(pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_of_our_own_libc_are_found_each_code_once() {
        let libc = own_libc().expect("a libc");
        for wanted in ["malloc", "calloc", "realloc", "free", "posix_memalign", "memalign"] {
            let named = |function: &&Function| function.name == wanted;
            let shared = wanted == "memalign";
            let found = libc.functions.iter().find(named);
            let alias = |function: &Function| function.name == "aligned_alloc";
            assert!(found.is_some() || (shared && libc.functions.iter().any(alias)), "{wanted}");
        }
        let mut offsets: Vec<u64> =
            libc.functions.iter().map(|function| function.point.file_offset).collect();
        offsets.sort_unstable();
        offsets.dedup();
        assert_eq!(offsets.len(), libc.functions.len());
        let free = libc.functions.iter().filter(|function| !function.allocates());
        assert_eq!(free.map(|function| function.name).collect::<Vec<_>>(), ["free"]);
    }
}
