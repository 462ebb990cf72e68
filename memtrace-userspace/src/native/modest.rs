//! Whether debug information says no more than there are bytes of it.
//!
//! addr2line builds what it is told, and calls itself for each function that is inlined into another. A file of a few
//! MiB can tell of nests without a bottom (the end of the stack, and of memtrace), and have all of its functions name
//! one long list of ranges, or all units one program of lines (the end of memory). Compilers make no such
//! files. It reads nothing else of what it goes through, and names nothing.

use gimli::{DW_AT_ranges, Dwarf, Unit};

use super::limits::MAX_NESTED;
use super::lines::Reader;

/// Bytes that a range has at least in a list of its own, or a file in a table of its own, as an average over all.
const BYTES_OF_RANGE: u64 = 3;
const BYTES_OF_FILE: u64 = 2;

/// What is still to be expected of so many bytes.
struct Left {
    ranges: u64,
    files: u64,
    programs: u64,
}

/// Whether all of `dwarf`, which is made of `bytes`, can be taken as it is.
pub(super) fn is_modest(dwarf: &Dwarf<Reader>, bytes: u64) -> bool {
    let (ranges, files) = (bytes / BYTES_OF_RANGE, bytes / BYTES_OF_FILE);
    let mut left = Left { ranges, files, programs: bytes };
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        let Ok(unit) = dwarf.unit(header) else { continue };
        if left.take(dwarf, &unit).is_none() {
            return false;
        }
    }
    true
}

impl Left {
    /// `None` when it was not enough.
    fn take(&mut self, dwarf: &Dwarf<Reader>, unit: &Unit<Reader>) -> Option<()> {
        if let Some(program) = &unit.line_program {
            let header = program.header();
            let files = header.file_names().len() + header.include_directories().len();
            self.files = self.files.checked_sub(files as u64)?;
            self.programs = self.programs.checked_sub(header.unit_length() as u64)?;
        }
        let Ok(mut entries) = unit.entries_raw(None) else { return Some(()) };
        while !entries.is_empty() {
            if entries.next_depth() > MAX_NESTED {
                return None;
            }
            let abbreviation = match entries.read_abbreviation() {
                Ok(Some(abbreviation)) => abbreviation,
                Ok(None) => continue,
                Err(_) => break,
            };
            let attributes = abbreviation.attributes();
            if !attributes.iter().any(|one| one.name() == DW_AT_ranges) {
                if entries.skip_attributes(attributes).is_err() {
                    break;
                }
                continue;
            }
            for one in attributes {
                let Ok(attribute) = entries.read_attribute(*one) else { return Some(()) };
                if attribute.name() != DW_AT_ranges {
                    continue;
                }
                let Ok(Some(mut ranges)) = dwarf.attr_ranges(unit, attribute.value()) else {
                    continue;
                };
                while let Ok(Some(_)) = ranges.next() {
                    self.ranges = self.ranges.checked_sub(1)?;
                }
            }
        }
        Some(())
    }
}
