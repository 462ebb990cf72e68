//! The `.bss` of the program and its libraries: anonymous memory that belongs to a file.
//!
//! The kernel may merge it with what is mapped behind it, so its end is taken from the file.

use std::collections::HashSet;

use super::claims::Claims;
use super::picture::Kind;
use super::residence::Residence;
use super::smaps::Counted;
use crate::python::Images;
use crate::python::maps::Mappings;

/// Reads the files that code runs from, so that they are known later.
pub(super) fn meet(pid: u32, mappings: &Mappings, images: &mut Images) {
    let mut seen = HashSet::new();
    for mapping in mappings.iter().filter(|it| it.executable && it.is_file()) {
        if seen.insert((mapping.device, mapping.inode))
            && let Ok(file) = mapping.open(pid)
        {
            // What is no ELF file has no `.bss` either.
            let _ = images.get(&file);
        }
    }
}

/// Claims the `.bss` of every file that code runs from.
pub(super) fn claim_bss(
    pid: u32,
    mappings: &[Counted],
    images: &mut Images,
    residence: &Residence,
    claims: &mut Claims,
) {
    let page = procfs::page_size();
    let mut seen = HashSet::new();
    for Counted { mapping, .. } in mappings {
        if !mapping.executable || !mapping.is_file() {
            continue;
        }
        // A library may be loaded twice; each time it has a `.bss`.
        let Some(image) = mapping.open(pid).ok().and_then(|file| images.get(&file).ok()?) else {
            continue;
        };
        let Some(bias) = image.bias(mapping.start, mapping.offset) else { continue };
        if !seen.insert((mapping.device, mapping.inode, bias)) {
            continue;
        }
        for segment in image.segments().iter().filter(|segment| segment.writable) {
            let start = bias.wrapping_add(segment.address);
            let (Some(from), Some(to)) = (
                start
                    .checked_add(segment.file_size)
                    .and_then(|it| it.checked_next_multiple_of(page)),
                start
                    .checked_add(segment.memory_size)
                    .and_then(|it| it.checked_next_multiple_of(page)),
            ) else {
                continue;
            };
            if from < to {
                claims.add_whole(from..to, Kind::Libraries, residence);
            }
        }
    }
}
