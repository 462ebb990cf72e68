//! Functions of an ELF file by address, from its symbol tables. Names stay in the file until they
//! are asked for: a large library has a hundred MiB of them.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::{Endianness, ReadRef};

use super::limits::{MAX_NAME, MAX_SYMBOL_SECTION};
use super::names::readable;

/// A function.
#[derive(Debug, Clone, Copy)]
struct Symbol {
    address: u64,
    size: u32,
    /// Position of its name in the file.
    name: u64,
    /// Exported names before local ones.
    rank: u8,
}

/// The functions of a file.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    /// By address; of several at one address the best is the last.
    functions: Vec<Symbol>,
}

/// Overlapping functions that are looked through for the one that covers an address.
const OVERLAPS: usize = 8;

impl Symbols {
    /// Reads the tables of a file.
    pub(super) fn read<'data>(data: impl ReadRef<'data>) -> Option<Self> {
        let mut functions = Vec::new();
        for kind in [elf::SHT_DYNSYM, elf::SHT_SYMTAB] {
            for_each(data, kind, |symbol, strings| {
                functions.push(Symbol {
                    address: symbol.st_value(LE),
                    size: u32::try_from(symbol.st_size(LE)).unwrap_or(u32::MAX),
                    name: strings.wrapping_add(symbol.st_name(LE).into()),
                    rank: match symbol.st_bind() {
                        elf::STB_GLOBAL => 2,
                        elf::STB_WEAK => 1,
                        _ => 0,
                    },
                });
            });
        }
        functions.sort_unstable_by_key(|symbol| (symbol.address, symbol.rank, symbol.name));
        functions.dedup_by_key(|symbol| (symbol.address, symbol.rank, symbol.name));
        functions.shrink_to_fit();
        Some(Self { functions })
    }

    fn at(&self, address: u64) -> Option<Symbol> {
        let after = self.functions.partition_point(|symbol| symbol.address <= address);
        let near = self.functions[..after].iter().rev().take(OVERLAPS);
        near.copied().find(|symbol| address - symbol.address < u64::from(symbol.size))
    }

    /// Name of the function that covers an address.
    pub(super) fn name(&self, file: &File, address: u64) -> Option<String> {
        Some(readable(&text(file, self.at(address)?.name)?))
    }
}

const LE: Endianness = Endianness::Little;

/// Goes through the functions of a file's table of that kind; with each, where its names are.
fn for_each<'data>(
    data: impl ReadRef<'data>,
    kind: u32,
    mut act: impl FnMut(&elf::Sym64<Endianness>, u64),
) -> Option<()> {
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    let sections = header.section_headers(LE, data).ok()?;
    let mut tables = sections.iter().filter(|section| section.sh_type(LE) == kind);
    let table = tables.find(|section| section.sh_size(LE) <= MAX_SYMBOL_SECTION)?;
    let strings = sections.get(table.sh_link(LE) as usize)?.sh_offset(LE);
    let symbols = table.data_as_array::<elf::Sym64<Endianness>, _>(LE, data).ok()?;
    for symbol in symbols.iter().filter(|symbol| !symbol.is_undefined(LE)) {
        if symbol.st_type() == elf::STT_FUNC && symbol.st_size(LE) != 0 {
            act(symbol, strings);
        }
    }
    Some(())
}

/// Addresses of the functions of one table ([`elf::SHT_DYNSYM`] or [`elf::SHT_SYMTAB`]) whose name
/// is wanted.
pub(super) fn ranges<'data, R: ReadRef<'data>>(
    data: R,
    kind: u32,
    wanted: impl Fn(&[u8]) -> bool,
) -> Vec<Range<u64>> {
    let mut found = Vec::new();
    for_each(data, kind, |symbol, strings| {
        let at = strings.wrapping_add(symbol.st_name(LE).into());
        let end = at.saturating_add(MAX_NAME as u64);
        if data.read_bytes_at_until(at..end, 0).is_ok_and(&wanted) {
            let start = symbol.st_value(LE);
            found.push(start..start.saturating_add(symbol.st_size(LE)));
        }
    });
    found
}

/// The text at a place of a file, up to its zero.
fn text(file: &File, at: u64) -> Option<String> {
    let mut bytes = [0; 256];
    let mut name = Vec::new();
    while name.len() < MAX_NAME {
        let read = file.read_at(&mut bytes, at + name.len() as u64).ok()?;
        let part = &bytes[..read];
        match part.iter().position(|byte| *byte == 0) {
            Some(end) => {
                name.extend_from_slice(&part[..end]);
                break;
            }
            None if read == 0 => break,
            None => name.extend_from_slice(part),
        }
    }
    (!name.is_empty()).then(|| String::from_utf8_lossy(&name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_covering_function_is_found_and_exported_names_are_preferred() {
        let symbol = |address, size, name, rank| Symbol { address, size, name, rank };
        let symbols = Symbols {
            functions: vec![
                symbol(0x100, 0x50, 1, 0),
                symbol(0x100, 0x50, 2, 2),
                symbol(0x120, 0x08, 3, 0),
                symbol(0x200, 0x10, 4, 0),
            ],
        };
        let name = |address| symbols.at(address).map(|symbol| symbol.name);
        assert_eq!((name(0x100), name(0x124), name(0x130)), (Some(2), Some(3), Some(2)));
        assert_eq!(
            (name(0xff), name(0x150), name(0x20f), name(0x210)),
            (None, None, Some(4), None)
        );
    }
}
