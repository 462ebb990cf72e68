//! What a fuzzer does with its input, and the tests with the corpus: parse it as something that a
//! target has given us.
//!
//! Shared with `fuzz/`. Nothing is expected of the input but that nothing goes wrong: no panic, no
//! endless loop, and no more of anything than the bounds say. An answer says
//! that the input was taken for the real thing.

use std::cell::Cell;
use std::io::Write;
use std::path::Path;

use memtrace::kernel::{Event, decode};
use memtrace::ledger::Calls;
use memtrace::native::{NativeFiles, NativeProcess};
use memtrace::python::code_object::CodeObject;
use memtrace::python::debug_offsets::DebugOffsets;
use memtrace::python::maps::Mappings;
use memtrace::python::offsets::Offsets;
use memtrace::python::runtime::ThreadList;
use memtrace::python::version::NamedVersion;
use memtrace::python::{Images, LineTable, LineTableKind, layouts, text};
use memtrace_common::event::Header;
use memtrace_common::layout::{PyLayout, Slot};
use memtrace_common::limits::{LINE_TABLE_CHUNKS, MAX_FRAMES, NAME_CHUNKS, TEXT_CHUNK};
use memtrace_common::memory::ReadMemory;
use memtrace_common::native::Native;
use memtrace_common::walk::{Walk, walk};

/// A target that has all of its memory as the input says, over and over again; the first two bytes
/// are not memory but choose the version and where to look.
struct Memory<'a> {
    bytes: &'a [u8],
    reads: Cell<u64>,
}

impl ReadMemory for Memory<'_> {
    unsafe fn read_raw(&self, address: u64, into: *mut u8, length: u32) -> bool {
        self.reads.set(self.reads.get() + 1);
        // Some of it is not mapped.
        if self.bytes.is_empty() || address >> 47 != 0 || (address >> 12) % 7 == 6 {
            return false;
        }
        for at in 0..u64::from(length) {
            let index = ((address + at) % self.bytes.len() as u64) as usize;
            // SAFETY: the caller promises `length` bytes.
            unsafe { into.add(at as usize).write(self.bytes[index]) };
        }
        true
    }
}

fn of_version(choice: u8) -> (u8, Offsets, PyLayout) {
    let minor = 8 + choice % 8;
    let table = layouts::table(minor).ok().flatten();
    let offsets = table.and_then(|table| table.offsets(minor).ok());
    let offsets = offsets.unwrap_or_else(|| panic!("no offsets for 3.{minor}"));
    let layout = offsets.layout().unwrap_or_else(|error| panic!("3.{minor}: {error}"));
    (minor, offsets, layout)
}

fn split(input: &[u8]) -> (u8, u64, &[u8]) {
    match input {
        [choice, place, rest @ ..] => (*choice, u64::from(*place) * 0x1011, rest),
        _ => (0, 0, &[]),
    }
}

/// As a line table: the first byte chooses the format, the next four are the function's first line.
pub(crate) fn line_table(input: &[u8]) {
    let (kind, first, bytes) = match input {
        [kind, a, b, c, d, bytes @ ..] => (*kind, i32::from_le_bytes([*a, *b, *c, *d]), bytes),
        _ => (0, 1, input),
    };
    let kind =
        [LineTableKind::Lnotab, LineTableKind::Pep626, LineTableKind::Pep657][kind as usize % 3];
    let table = LineTable::new(kind, first, bytes);
    assert!(table.lines().count() <= bytes.len() + 1, "more ranges than bytes");
    let _ = table.last_line();
    for offset in [i32::MIN, -1, 0, 1, 2, 40, 1 << 16, i32::MAX] {
        let _ = table.line_at(offset);
    }
}

/// As a target's memory that has a code object somewhere.
pub(crate) fn code_object(input: &[u8]) -> bool {
    let (choice, at, bytes) = split(input);
    let memory = Memory { bytes, reads: Cell::new(0) };
    let (_, _, layout) = of_version(choice);
    let read = CodeObject::read(&memory, &layout, at);
    let found = read.is_some();
    if let Some(code) = read {
        let most = NAME_CHUNKS as usize * TEXT_CHUNK;
        assert!(code.file.chars().count() <= most && code.name.chars().count() <= most);
        assert!(code.line_table.len() <= LINE_TABLE_CHUNKS as usize * TEXT_CHUNK);
        for kind in [LineTableKind::Lnotab, LineTableKind::Pep626, LineTableKind::Pep657] {
            let _ = (code.lines(kind).line_at(i32::from(choice)), code.lines(kind).last_line());
        }
        let _ = code.is_incomplete(u32::from(choice & 3), at as i32);
    }
    for width in [0, 1, 2, 3, 4] {
        let _ = text::decode(bytes, width);
    }
    found
}

/// As a target's memory that has thread states and frames somewhere.
pub(crate) fn frames(input: &[u8]) {
    let (choice, at, bytes) = split(input);
    let memory = Memory { bytes, reads: Cell::new(0) };
    let (_, offsets, mut layout) = of_version(choice);
    for slot in [Slot::Direct, Slot::TwoLevel, Slot::KeyAt, Slot::Bound] {
        (layout.slot, layout.slot_first, layout.key_address) = (slot as u32, 0x310, at);
        layout.current_tstate_address = if choice & 0x80 == 0 { 0 } else { at };
        let mut work = Walk::new();
        // Once afresh, and once by what that found.
        for _ in 0..2 {
            walk(&memory, &layout, at, at, &mut work);
            assert!(work.frames().len() <= MAX_FRAMES);
        }
    }
    memory.reads.set(0);
    let list = ThreadList::read(&memory, &offsets, at);
    assert!(list.threads.len() <= 32_768 && list.interpreters.len() <= 256);
    assert!(memory.reads.get() <= 256 * 4 + 32_768 * 5, "{} reads", memory.reads.get());
}

/// As `_Py_DebugOffsets`, and as the version that stands somewhere in memory.
pub(crate) fn debug_offsets(input: &[u8]) {
    for minor in 8..=15 {
        let Ok(Some(table)) = layouts::table(minor) else { continue };
        let Some(own) = DebugOffsets::new(input, table) else { continue };
        let _ = (own.version(), own.free_threaded());
        if let Ok(measured) = table.offsets(minor)
            && let Ok(offsets) = own.apply(&measured)
            && let Ok(layout) = offsets.layout()
        {
            let memory = Memory { bytes: input, reads: Cell::new(0) };
            let layout = PyLayout { slot: Slot::Bound as u32, ..layout };
            let mut work = Walk::new();
            walk(&memory, &layout, 8, 16, &mut work);
            let _ = CodeObject::read(&memory, &layout, 24);
            let _ = ThreadList::read(&memory, &offsets, 32);
        }
    }
    let version = NamedVersion::from_get_version(input);
    let _ = NamedVersion::from_library_path(input);
    if let Some(version) = version {
        assert!(version.text.chars().all(|c| c.is_ascii_graphic()), "{:?}", version.text);
    }
}

/// As `/proc/PID/maps`.
pub(crate) fn maps(input: &[u8]) {
    let mappings = Mappings::parse(input);
    assert!(mappings.iter().count() <= input.len());
    for mapping in mappings.iter() {
        assert!(mapping.start < mapping.end);
        let _ = (mapping.names(1), mapping.file_name(), mapping.is_file());
        let _ = (mappings.at(mapping.start), mappings.at(mapping.end));
    }
}

/// As an ELF file.
pub(crate) fn elf(input: &[u8]) -> bool {
    let Ok(mut file) = tempfile::tempfile() else { return false };
    if file.write_all(input).is_err() {
        return false;
    }
    let Ok(Some(image)) = Images::new().get(&file) else { return false };
    let _ = (image.is_cpython(), image.is_pypy());
    for segment in image.segments() {
        let _ = image.bias(u64::MAX - 0xfff, segment.offset);
        let _ = image.code_offset(segment.address);
    }
    for name in ["_PyRuntime", "Py_Version", "PyCode_Type"] {
        let _ = image.symbol(name).and_then(|address| image.code_offset(address));
    }
    image.is_cpython()
}

/// Where a library lies in a process that there isn't, and its stack.
const CODE: u64 = 0x7f00_0000_0000;
const STACK: u64 = 0x7ffc_0000_0000;

fn head(ip: u64) -> Native {
    let header = Header { tag: memtrace_common::event::tag::NATIVE, space: 1 };
    Native { header, id: 1, stack: 1, ip, sp: STACK, bp: STACK + 16, length: 256, reserved: 0 }
}

/// As a library, and the separate debug file that it names (`lib.debug`), below a stack: 32 words of two bytes, odd ones
/// places in the library and even ones in the stack, then the place that runs and how long the debug file is, four bytes
/// each. Gives the functions of the stack, leaf first, each with its line.
pub(crate) fn native(input: &[u8]) -> Vec<(String, u32)> {
    let Some((files, tail)) = input.split_last_chunk::<72>() else { return Vec::new() };
    let number =
        |at: usize| u32::from_le_bytes([tail[at], tail[at + 1], tail[at + 2], tail[at + 3]]);
    let (library, debug) = files.split_at(files.len().saturating_sub(number(68) as usize));
    let stack =
        tail[..64].chunks_exact(2).map(|word| match u16::from_le_bytes([word[0], word[1]]) {
            0 => 0,
            place if place % 2 == 1 => CODE + u64::from(place / 2),
            place => STACK + u64::from(place / 2),
        });
    let stack: Vec<u8> = stack.flat_map(u64::to_le_bytes).collect();
    let Ok(root) = tempfile::tempdir() else { return Vec::new() };
    if !debug.is_empty() && std::fs::write(root.path().join("lib.debug"), debug).is_err() {
        return Vec::new();
    }
    let Ok(mut file) = tempfile::tempfile() else { return Vec::new() };
    if file.write_all(library).is_err() {
        return Vec::new();
    }
    let range = CODE..CODE + (library.len() as u64).next_multiple_of(4096);
    let path = Path::new("/lib.so");
    let Some(mut process) = NativeProcess::of_file(file, path, root.path(), range) else {
        return Vec::new();
    };
    let ip = CODE + u64::from(number(64));
    let calls = process.calls(&head(ip), &stack, &mut NativeFiles::default());
    assert!(calls.addresses.len() <= 128, "{} calls", calls.addresses.len());
    process.want(1, calls);
    // Whatever the stack says, all of the library's functions have their turn.
    let everywhere = (0..64).map(|part| CODE + part * library.len() as u64 / 64);
    process.want(2, Calls { generation: 0, addresses: everywhere.collect() });
    let named = process.take_named();
    for frame in named.iter().flat_map(|(_, frames)| frames) {
        assert!(frame.function.len() <= 4096, "a name of {} bytes", frame.function.len());
    }
    let frames = named.into_iter().next().map(|(_, frames)| frames).unwrap_or_default();
    frames.iter().map(|frame| (frame.function.clone(), frame.line)).collect()
}

/// As a record of the kernel side.
pub(crate) fn event(input: &[u8]) {
    match decode(input) {
        Ok(Event::Stack(_, frames)) => assert!(frames.len() * 16 <= input.len()),
        Ok(Event::Text(_, bytes)) => assert!(bytes.len() <= input.len()),
        Ok(_) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
