//! Facts of an ELF *file*: which of CPython's symbols it defines, and where its segments go.
//!
//! Per file and not per process: a machine runs hundreds of processes from a few files, so
//! [`Images`] keeps them. Only headers, symbol tables and their strings are read; debug sections,
//! which are most of a developer's libpython, are not. Addresses here are the file's own
//! (`st_value`); a process adds its bias.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, ReadRef, StringTable};

use super::bounded_read::BoundedRead;
use super::file_state::FileState;
use super::layouts;
use super::version::NEWEST_MINOR;

/// Symbols that discovery asks about.
const WANTED: [&str; 17] = [
    "_PyRuntime",
    "Py_Version",
    "PyCode_Type",
    "PyUnicode_Type",
    "_PyEval_EvalFrameDefault",
    "PyGILState_GetThisThreadState",
    "PyInterpreterState_Head",
    "Py_GetVersion",
    // Their code names the statics that the `snapshot` module reads.
    "_Py_GetAllocatedBlocks",
    "PyObject_Malloc",
    "PyMem_RawMalloc",
    "PyObject_GetArenaAllocator",
    // glibc's own description of a thread, for debuggers (`nptl_db/structs.def`).
    "_thread_db_sizeof_pthread",
    "_thread_db_pthread_specific",
    "_thread_db_pthread_tid",
    // PyPy: `pypy/goal/targetpypystandalone.py`; cpyext renames CPython's API to PyPy….
    "pypy_main_startup",
    "PyPyUnicode_Type",
];

/// Bytes of one file that are read, headers and tables together. Chromium's tables are some 100 MiB;
/// a file may claim to have any size, since what nobody has written takes no room on a disk.
pub(crate) const FILE_LIMIT: u64 = 256 << 20;

/// A loadable segment (`PT_LOAD`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// `p_offset`
    pub offset: u64,
    /// `p_filesz`
    pub file_size: u64,
    /// `p_memsz`: what is more than in the file is `.bss`.
    pub memory_size: u64,
    /// `p_vaddr`
    pub address: u64,
    /// `p_flags & PF_X`
    pub executable: bool,
    /// `p_flags & PF_W`
    pub writable: bool,
}

/// What is known of one ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `e_machine`
    pub machine: u16,
    /// Whether addresses are 64 bits wide.
    pub is_64: bool,
    /// `ET_EXEC`: loaded at its own addresses.
    pub fixed: bool,
    /// Without `.symtab`.
    pub stripped: bool,
    /// Has a program interpreter or fixed addresses: a program, not a library.
    pub program: bool,
    segments: Vec<Segment>,
    symbols: HashMap<&'static str, u64>,
}

impl Image {
    /// `st_value` of a symbol that the file defines.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<u64> {
        self.symbols.get(name).copied()
    }

    /// Whether this is a CPython, of whatever version (`PyInterpreterState_Head` is exported by
    /// 2.7 and all of 3.x).
    #[must_use]
    pub fn is_cpython(&self) -> bool {
        self.symbol("_PyRuntime").is_some() || self.symbol("PyInterpreterState_Head").is_some()
    }

    /// Whether this is a PyPy.
    #[must_use]
    pub fn is_pypy(&self) -> bool {
        self.symbol("pypy_main_startup").is_some() || self.symbol("PyPyUnicode_Type").is_some()
    }

    /// The loadable segments.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// What a process must add to this file's addresses, when its bytes from `offset` of an
    /// executable segment are mapped executable at `start`. `None` if no executable segment has
    /// that offset.
    #[must_use]
    pub fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        if self.fixed {
            return Some(0);
        }
        let page = |value: u64| value & !0xfff;
        let segment = self.segments.iter().find(|segment| {
            let end = segment.offset.saturating_add(segment.file_size);
            segment.executable && (page(segment.offset)..end).contains(&offset)
        })?;
        // Wrapping: a library may be linked at any address.
        let address = segment.address.wrapping_sub(segment.offset).wrapping_add(offset);
        Some(start.wrapping_sub(address))
    }

    /// The file's byte that is executed at this address of the file: what a uprobe is given.
    /// `None` if it isn't in an executable segment, or if that lies nowhere in any file.
    #[must_use]
    pub fn code_offset(&self, address: u64) -> Option<u64> {
        let segment = self.segments.iter().find(|segment| {
            segment.executable
                && address.checked_sub(segment.address).is_some_and(|into| into < segment.file_size)
        })?;
        (address - segment.address).checked_add(segment.offset)
    }

    /// Reads what is wanted of an ELF file; `None` if it is none.
    fn read(file: &File) -> Option<Self> {
        let mut ident = [0; 16];
        file.read_exact_at(&mut ident, 0).ok()?;
        if !ident.starts_with(&elf::ELFMAG) {
            return None;
        }
        let data = BoundedRead::new(file, FILE_LIMIT);
        match ident[4] {
            elf::ELFCLASS64 => Self::parse::<FileHeader64<Endianness>, _>(&data),
            elf::ELFCLASS32 => Self::parse::<FileHeader32<Endianness>, _>(&data),
            _ => None,
        }
    }

    fn parse<'data, Elf, R>(data: R) -> Option<Self>
    where
        Elf: FileHeader<Endian = Endianness>,
        R: ReadRef<'data>,
    {
        let header = Elf::parse(data).ok()?;
        let endian = header.endian().ok()?;
        let mut program = header.e_type(endian) == elf::ET_EXEC;
        let mut segments = Vec::new();
        for segment in header.program_headers(endian, data).ok()? {
            program |= segment.p_type(endian) == elf::PT_INTERP;
            if segment.p_type(endian) == elf::PT_LOAD {
                segments.push(Segment {
                    offset: segment.p_offset(endian).into(),
                    file_size: segment.p_filesz(endian).into(),
                    memory_size: segment.p_memsz(endian).into(),
                    address: segment.p_vaddr(endian).into(),
                    executable: segment.p_flags(endian) & elf::PF_X != 0,
                    writable: segment.p_flags(endian) & elf::PF_W != 0,
                });
            }
        }
        let mut image = Self {
            machine: header.e_machine(endian),
            is_64: header.is_type_64(),
            fixed: header.e_type(endian) == elf::ET_EXEC,
            stripped: true,
            program,
            segments,
            symbols: HashMap::new(),
        };
        let sections = header.section_headers(endian, data).ok()?;
        let table = |kind| sections.iter().find(|section| section.sh_type(endian) == kind);
        image.stripped = table(elf::SHT_SYMTAB).is_none();
        if let Some(section) = table(elf::SHT_DYNSYM) {
            image.add_symbols::<Elf, R>(data, endian, sections, section);
        }
        // An embedding program need not export what it links in. A library that doesn't would
        // leave extension modules without an interpreter, so there is nothing to look for.
        if let Some(section) = table(elf::SHT_SYMTAB)
            && image.program
            && !image.is_cpython()
        {
            image.add_symbols::<Elf, R>(data, endian, sections, section);
        }
        Some(image)
    }

    fn add_symbols<'data, Elf, R>(
        &mut self,
        data: R,
        endian: Endianness,
        sections: &'data [Elf::SectionHeader],
        section: &Elf::SectionHeader,
    ) -> Option<()>
    where
        Elf: FileHeader<Endian = Endianness>,
        R: ReadRef<'data>,
    {
        let strings = sections.get(section.sh_link(endian) as usize)?;
        let symbols: &[Elf::Sym] = section.data_as_array(endian, data).ok()?;
        let text: &[u8] = strings.data(endian, data).ok()?;
        let strings = StringTable::new(text, 0, text.len() as u64);
        for symbol in symbols.iter().filter(|symbol| !symbol.is_undefined(endian)) {
            // Cheap test first: all wanted names begin with one of two letters.
            let at = symbol.st_name(endian) as usize;
            if !matches!(text.get(at), Some(b'_' | b'P' | b'p')) {
                continue;
            }
            let Ok(name) = strings.get(symbol.st_name(endian)) else { continue };
            if let Some(wanted) = WANTED.iter().find(|wanted| wanted.as_bytes() == name) {
                self.symbols.entry(wanted).or_insert(symbol.st_value(endian).into());
            }
        }
        Some(())
    }
}

/// The ELF files that have been looked at. Owned by whoever discovers more than one process.
#[derive(Debug, Default)]
pub struct Images {
    files: HashMap<FileState, Option<Arc<Image>>>,
}

/// Files remembered; then all are forgotten. A machine has some thousands in use.
const FILES_LIMIT: usize = 16_384;

impl Images {
    /// None yet. Who looks at files will want the tables of offsets: they are read now, since the
    /// first look may race with an interpreter that starts (reading them takes a fifth of its
    /// start).
    #[must_use]
    pub fn new() -> Self {
        // What is wrong with them is said by the discovery that needs them.
        let _ = layouts::table(NEWEST_MINOR);
        Self::default()
    }

    /// The facts of an open file, read the first time it is met; `None` if it is not an ELF file
    /// that makes sense.
    ///
    /// # Errors
    ///
    /// When the file's metadata can't be read.
    pub fn get(&mut self, file: &File) -> io::Result<Option<Arc<Image>>> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let key = FileState::of(&metadata);
        if self.files.len() >= FILES_LIMIT {
            self.files.clear();
        }
        let image = self.files.entry(key).or_insert_with(|| Image::read(file).map(Arc::new));
        Ok(image.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::{Duration, Instant};

    fn image(segments: &[Segment], fixed: bool) -> Image {
        Image {
            machine: elf::EM_X86_64,
            is_64: true,
            fixed,
            stripped: true,
            program: false,
            segments: segments.to_vec(),
            symbols: HashMap::new(),
        }
    }

    const DATA: Segment = Segment {
        offset: 0,
        file_size: 0x1000,
        memory_size: 0x1000,
        address: 0x40_0000,
        executable: false,
        writable: false,
    };
    const CODE: Segment = Segment {
        offset: 0x1f123,
        file_size: 0x2000,
        memory_size: 0x2000,
        address: 0x41_f123,
        executable: true,
        writable: false,
    };

    /// Debian's python3.11: addresses and file offsets differ by 0x400000.
    #[test]
    fn a_uprobe_is_given_the_offset_in_the_file() {
        let image = image(&[DATA, CODE], true);
        assert_eq!(image.code_offset(0x41_f200), Some(0x1f200));
        assert_eq!(image.code_offset(0x40_0010), None);
        assert_eq!(image.code_offset(0x42_1123), None);
        let nowhere = Segment { offset: u64::MAX - 0xff, ..CODE };
        let image = self::image(&[nowhere], true);
        assert_eq!(image.code_offset(0x41_f123 + 0xff), Some(u64::MAX));
        assert_eq!(image.code_offset(0x41_f123 + 0x100), None);
    }

    #[test]
    fn the_bias_follows_from_an_executable_mapping() {
        let library = image(&[DATA, CODE], false);
        assert_eq!(library.bias(0x7f00_0001_f000, 0x1f000), Some(0x7f00_0001_f000 - 0x41_f000));
        assert_eq!(library.bias(0x7f00_0000_0000, 0x0), None);
        assert_eq!(image(&[CODE], true).bias(0x1234_5000, 0x1f000), Some(0));
    }

    /// An ELF file of the longest kind: what its header counts is some TiB, and takes no room on disk.
    fn endless(program_headers: u64, section_headers: u64) -> File {
        let mut header = [0u8; 64];
        header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        header[16] = 3; // ET_DYN
        header[18] = elf::EM_X86_64 as u8;
        header[32..40].copy_from_slice(&4096u64.to_le_bytes()); // e_phoff
        header[40..48].copy_from_slice(&8192u64.to_le_bytes()); // e_shoff
        header[54] = 56;
        header[58] = 64;
        let file = tempfile::tempfile().unwrap();
        if program_headers > 0 {
            header[56..58].copy_from_slice(&elf::PN_XNUM.to_le_bytes());
        }
        file.write_all_at(&header, 0).unwrap();
        let mut section = [0u8; 64];
        section[32..40].copy_from_slice(&section_headers.to_le_bytes()); // sh_size: e_shnum
        section[44..48].copy_from_slice(&(program_headers as u32).to_le_bytes()); // sh_info: e_phnum
        file.write_all_at(&section, 8192).unwrap();
        file.set_len(8 << 40).unwrap();
        file
    }

    #[test]
    fn a_file_that_claims_any_number_of_headers_is_refused_before_they_are_read() {
        for (programs, sections) in [(1 << 30, 1), (1 << 24, 1 << 33), (0, 1 << 33), (0, 1 << 60)] {
            let before = Instant::now();
            assert_eq!(Image::read(&endless(programs, sections)), None);
            assert!(before.elapsed() < Duration::from_secs(20));
        }
        // The same with numbers that are possible is read.
        assert!(Image::read(&endless(0, 2)).is_some());
    }

    #[test]
    fn a_file_is_read_once_and_again_when_it_has_changed() {
        let own = File::open("/proc/self/exe").unwrap();
        let mut images = Images::new();
        let first = images.get(&own).unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &images.get(&own).unwrap().unwrap()));
        assert!(first.program && !first.is_cpython() && !first.is_pypy());
        let mut other = tempfile::tempfile().unwrap();
        other.write_all(b"\x7fELF\x02\x01\x01 and then nothing of use").unwrap();
        assert!(images.get(&other).unwrap().is_none());
        std::io::copy(&mut File::open("/proc/self/exe").unwrap(), {
            other.set_len(0).unwrap();
            std::io::Seek::rewind(&mut other).unwrap();
            &mut other
        })
        .unwrap();
        assert!(images.get(&other).unwrap().is_some());
    }
}
