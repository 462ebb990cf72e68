//! Lines of native code, from DWARF.

use std::cell::Cell;
use std::fs::File;

use addr2line::Context;
use gimli::{AbbreviationsCacheStrategy, Dwarf, EndianArcSlice, LittleEndian, SectionId};
use object::Object;

use super::limits::MAX_FILE_BYTES;
use super::modest::is_modest;
use super::names::readable;
use super::sections;
use crate::python::BoundedRead;

/// Bytes of a section.
pub(super) type Reader = EndianArcSlice<LittleEndian>;

/// The debug information of one file.
pub(super) struct Lines {
    context: Context<Reader>,
    /// Bytes that were taken from what may be read.
    taken: u64,
}

/// One function at an address: the innermost inlined one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    /// Its name, where DWARF has it.
    pub(super) function: Option<String>,
    /// Its file; empty if that isn't known.
    pub(super) file: String,
    /// From 1; 0 if it isn't known.
    pub(super) line: u32,
}

impl Lines {
    /// Reads debug sections, if there are any and not more than `left` bytes, which become fewer.
    pub(super) fn read(file: &File, left: &Cell<u64>) -> Option<Self> {
        let cache = BoundedRead::new(file, MAX_FILE_BYTES);
        let elf = object::File::parse(&cache).ok()?;
        elf.section_by_name(".debug_info")?;
        let mut taken = 0;
        let dwarf = Dwarf::load(|id: SectionId| {
            let bytes = sections::bytes(&elf, id.name(), left.get() - taken);
            // A section that is there and too large: without it the others say nothing.
            if bytes.is_none() && elf.section_by_name(id.name()).is_some() {
                return Err(());
            }
            let bytes = bytes.unwrap_or_default();
            taken += bytes.len() as u64;
            Ok(EndianArcSlice::new(bytes, LittleEndian))
        });
        let mut dwarf = dwarf.ok()?;
        // Units share them: without that, each would have its own copy.
        dwarf.populate_abbreviations_cache(AbbreviationsCacheStrategy::Duplicates);
        if !is_modest(&dwarf, taken) {
            return None;
        }
        let context = Context::from_dwarf(dwarf).ok()?;
        left.set(left.get() - taken);
        Some(Self { context, taken })
    }

    /// Lets go of it: others may read as much.
    pub(super) fn give_back(self, left: &Cell<u64>) {
        left.set(left.get() + self.taken);
    }

    /// What is at an address; empty when DWARF says nothing of it.
    pub(super) fn at(&self, address: u64) -> Vec<Location> {
        let mut locations = Vec::new();
        let Ok(mut frames) = self.context.find_frames(address).skip_all_loads() else {
            return locations;
        };
        while let Ok(Some(frame)) = frames.next() {
            let function = frame.function.and_then(|name| Some(readable(&name.raw_name().ok()?)));
            let (file, line) = frame.location.map_or((String::new(), 0), |location| {
                (location.file.unwrap_or_default().to_owned(), location.line.unwrap_or(0))
            });
            locations.push(Location { function, file, line });
        }
        locations
    }
}
