//! One ELF file with code: its unwind tables, functions and lines, each read when it is first needed.

use std::cell::{Cell, OnceCell, RefCell};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use object::{Object, ObjectSegment, SegmentFlags};
use tracing::debug;

use super::debug_file::Link;
use super::evaluation;
use super::limits::{IDLE_WINDOWS, MAX_FILE_BYTES};
use super::lines::{Lines, Location};
use super::symbols::Symbols;
use super::unwind::Tables;
use crate::profile::NativeFrame;
use crate::python::BoundedRead;

/// A loadable piece with code.
#[derive(Debug)]
struct Code {
    offset: u64,
    size: u64,
    address: u64,
}

/// What is read of a file at once.
struct Headers {
    code: Vec<Code>,
    fixed: bool,
    tables: Tables,
    link: Link,
    has_lines: bool,
}

impl Headers {
    fn read(file: &File) -> Option<Self> {
        let cache = BoundedRead::new(file, MAX_FILE_BYTES);
        let elf = object::File::parse(&cache).ok().filter(|elf| elf.is_64())?;
        let code = elf.segments().filter(|segment| is_code(segment.flags())).map(|segment| {
            let (offset, size) = segment.file_range();
            Code { offset, size, address: segment.address() }
        });
        Some(Self {
            code: code.collect(),
            fixed: elf.kind() == object::ObjectKind::Executable,
            tables: Tables::read(&elf),
            link: Link::of(&elf),
            has_lines: elf.section_by_name(".debug_info").is_some(),
        })
    }
}

fn is_code(flags: SegmentFlags) -> bool {
    matches!(flags, SegmentFlags::Elf { p_flags } if p_flags & object::elf::PF_X != 0)
}

/// The lines of a file, as long as somebody asks for them.
#[derive(Default)]
enum LinesOfFile {
    #[default]
    Unread,
    /// There are none, or too many.
    Unknown,
    /// With the windows of time in which nobody asked.
    Read(Box<Lines>, u32),
}

/// What is known of one file.
pub(super) struct NativeFile {
    file: File,
    /// Its debug file, if it has one of its own.
    separate: Option<File>,
    path: PathBuf,
    code: Vec<Code>,
    fixed: bool,
    pub(super) tables: Tables,
    symbols: OnceCell<Symbols>,
    separate_symbols: OnceCell<Symbols>,
    evaluation: OnceCell<Vec<Range<u64>>>,
    lines: RefCell<LinesOfFile>,
    /// Bytes of debug sections that may still be read, of all files.
    debug_left: Rc<Cell<u64>>,
}

impl NativeFile {
    /// Reads the headers and unwind tables of the file at `path`, as the process with root `root`
    /// names it; `None` when it is no 64-bit ELF file.
    pub(super) fn read(
        file: File,
        path: &Path,
        root: &Path,
        debug_left: Rc<Cell<u64>>,
    ) -> Option<Self> {
        let headers = Headers::read(&file)?;
        let separate = if headers.has_lines { None } else { headers.link.find(path, root) };
        Some(Self {
            file,
            separate,
            path: path.to_owned(),
            code: headers.code,
            fixed: headers.fixed,
            tables: headers.tables,
            symbols: OnceCell::new(),
            separate_symbols: OnceCell::new(),
            evaluation: OnceCell::new(),
            lines: RefCell::default(),
            debug_left,
        })
    }

    /// What a process adds to the file's addresses when the byte at `offset` is mapped at `start`.
    pub(super) fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        if self.fixed {
            return Some(0);
        }
        let page = |value: u64| value & !0xfff;
        let code = self.code.iter().find(|code| {
            (page(code.offset)..code.offset.saturating_add(code.size)).contains(&offset)
        })?;
        let address = code.address.wrapping_sub(code.offset).wrapping_add(offset);
        Some(start.wrapping_sub(address))
    }

    fn symbols(&self) -> &Symbols {
        self.symbols.get_or_init(|| read_symbols(&self.file))
    }

    /// Whether an interpreter evaluates frames at this address of the file.
    pub(super) fn evaluates(&self, address: u64) -> bool {
        let ranges = self.evaluation.get_or_init(|| evaluation::ranges(&self.file, &self.tables));
        ranges.iter().any(|range| range.contains(&address))
    }

    /// The functions at an address of the file, the innermost inlined one first.
    pub(super) fn frames(&self, address: u64) -> Vec<Arc<NativeFrame>> {
        let library = self.library();
        let symbol = self.symbol(address);
        let mut locations = self.locations(address);
        // The outermost function is the symbol's, whose name is the one that others call it by.
        let outermost = locations.pop();
        let mut frames: Vec<_> = locations
            .into_iter()
            .map(|inlined| NativeFrame {
                function: inlined.function.unwrap_or_else(|| "?".to_owned()),
                library: library.clone(),
                file: inlined.file,
                line: inlined.line,
            })
            .collect();
        let (function, file, line) = match outermost {
            Some(found) => (symbol.or(found.function), found.file, found.line),
            None => (symbol, String::new(), 0),
        };
        let function = function.unwrap_or_else(|| self.nameless(address));
        frames.push(NativeFrame { function, library, file, line });
        frames.into_iter().map(Arc::new).collect()
    }

    fn locations(&self, address: u64) -> Vec<Location> {
        let mut lines = self.lines.borrow_mut();
        if let LinesOfFile::Unread = *lines {
            let file = self.separate.as_ref().unwrap_or(&self.file);
            let read = Lines::read(file, &self.debug_left);
            debug!("{}: lines {}", self.path.display(), read.is_some());
            *lines = read.map_or(LinesOfFile::Unknown, |read| LinesOfFile::Read(Box::new(read), 0));
        }
        match &mut *lines {
            LinesOfFile::Read(lines, idle) => {
                *idle = 0;
                lines.at(address)
            }
            LinesOfFile::Unread | LinesOfFile::Unknown => Vec::new(),
        }
    }

    /// A window of time is over: lines that nobody has asked for lately are let go. Whether they were.
    pub(super) fn close_window(&self) -> bool {
        let mut lines = self.lines.borrow_mut();
        if let LinesOfFile::Read(_, idle) = &mut *lines {
            *idle += 1;
            if *idle >= IDLE_WINDOWS
                && let LinesOfFile::Read(lines, _) = std::mem::take(&mut *lines)
            {
                lines.give_back(&self.debug_left);
                return true;
            }
        }
        false
    }

    fn symbol(&self, address: u64) -> Option<String> {
        let own = self.symbols().name(&self.file, address);
        // A debug file has those names, too, that the file itself was stripped of.
        own.or_else(|| {
            let separate = self.separate.as_ref()?;
            let symbols = self.separate_symbols.get_or_init(|| read_symbols(separate));
            symbols.name(separate, address)
        })
    }

    /// A function that has no name is told by where it begins.
    fn nameless(&self, address: u64) -> String {
        let start = self.tables.function(address).map_or(address, |range| range.start);
        format!("{}+{start:#x}", self.library())
    }

    fn library(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }
}

fn read_symbols(file: &File) -> Symbols {
    Symbols::read(&BoundedRead::new(file, MAX_FILE_BYTES)).unwrap_or_default()
}
