//! CPython's own functions: the one that maps arenas, and with `--objects` those that allocate objects.
//!
//! No symbol of a stripped build names them; the tables that CPython calls them through do
//! (`docs/cpython.md`, 6.1). From 3.12 on the tables are in `_PyRuntime`; before, they are statics
//! whose addresses the code of the functions that hand them out has.

use memtrace_common::lens::Reads;
use memtrace_common::memory::ReadMemory;

use super::{Function, entry};
use crate::python::{Images, Interpreter, ProbePoint, TargetMemory};

/// The file with the places of the tables.
const OFFSETS: &str = include_str!("../../cpython-offsets.toml");

/// `PyMemAllocatorEx` after its context, and `PyObjectArenaAllocator` likewise: the functions take
/// the context first (`Include/cpython/objimpl.h`, `pymem.h`).
const OBJECT_FUNCTIONS: [(&str, Reads); 4] = [
    ("object malloc", Reads::NOTHING.size(2)),
    ("object calloc", Reads::NOTHING.count(2).size(3)),
    ("object realloc", Reads::NOTHING.old(2).size(3)),
    ("object free", Reads::NOTHING.old(2)),
];
const ARENA_FUNCTIONS: [(&str, Reads); 2] =
    [("arena alloc", Reads::NOTHING.size(2)), ("arena free", Reads::NOTHING.old(2))];

/// Where the interpreter's file is mapped, and what it says.
pub(super) struct Code<'a> {
    memory: &'a TargetMemory,
    pub(super) file: std::fs::File,
    pub(super) image: std::sync::Arc<crate::python::Image>,
    pub(super) bias: u64,
    pub(super) path: std::path::PathBuf,
}

impl<'a> Code<'a> {
    pub(super) fn of(
        memory: &'a TargetMemory,
        interpreter: &Interpreter,
        images: &mut Images,
    ) -> Option<Self> {
        let pid = memory.pid();
        let mapping = memory
            .mappings()
            .iter()
            .find(|mapping| mapping.executable && mapping.path == interpreter.image)?;
        let file = mapping.open(pid).ok()?;
        let image = images.get(&file).ok()??;
        let bias = image.bias(mapping.start, mapping.offset)?;
        // Another probe of the same file says how it is reached.
        let path = interpreter
            .eval_frame
            .as_ref()
            .map_or_else(|| mapping.map_file(pid), |point| point.path.clone());
        Some(Self { memory, file, image, bias, path })
    }

    fn point(&self, address: u64) -> Option<ProbePoint> {
        let file_offset = self.image.code_offset(address.wrapping_sub(self.bias))?;
        Some(ProbePoint { path: self.path.clone(), file_offset })
    }

    /// The functions of a table, behind its context, if all of them are code of the interpreter.
    fn table(&self, address: u64, names: &[(&'static str, Reads)]) -> Option<Vec<Function>> {
        let function = |(at, (name, reads)): (usize, &(&'static str, Reads))| {
            let pointer = self.memory.read_u64(address.wrapping_add(8 + 8 * at as u64))?;
            let code = self.memory.bytes(pointer, entry::LENGTH).unwrap_or_default();
            let inside = entry::emulated(&code);
            let point = self.point(pointer.wrapping_add(inside.unwrap_or(0)))?;
            Some(Function { name, point, reads: *reads, emulated: inside.is_some() })
        };
        let functions: Option<Vec<_>> = names.iter().enumerate().map(function).collect();
        functions.filter(|all| all[0].point != all[all.len() - 1].point)
    }

    /// The table that an exported function reads: at the static of one of its first instructions that
    /// are relative to the instruction pointer.
    fn table_of(&self, symbol: &str, names: &[(&'static str, Reads)]) -> Option<Vec<Function>> {
        /// Bytes of such a function.
        const LENGTH: usize = 48;
        let start = self.bias.wrapping_add(self.image.symbol(symbol)?);
        let code = self.memory.bytes(start, LENGTH)?;
        (0..LENGTH - 4).find_map(|at| {
            if code[at] & 0xc7 != 0x05 {
                return None;
            }
            let relative = i32::from_le_bytes(code[at + 1..at + 5].try_into().ok()?);
            let next = start.wrapping_add(at as u64 + 5);
            self.table(next.wrapping_add_signed(relative.into()), names)
        })
    }
}

/// Place of a table in `_PyRuntime` (3.12 and newer).
fn place(minor: u8, table: &str) -> Option<u64> {
    let file: toml::Table = toml::from_str(OFFSETS).ok()?;
    let place = file.get(&format!("v3_{minor}"))?.get("allocators")?.get(table)?.as_integer()?;
    u64::try_from(place).ok()
}

fn functions(
    memory: &TargetMemory,
    interpreter: &Interpreter,
    images: &mut Images,
    (place_name, symbol): (&str, &str),
    names: &[(&'static str, Reads)],
) -> Option<Vec<Function>> {
    let code = Code::of(memory, interpreter, images)?;
    match place(interpreter.version.minor, place_name) {
        Some(offset) => code.table(interpreter.runtime.wrapping_add(offset), names),
        None => code.table_of(symbol, names),
    }
}

/// The functions that map arenas and give them back; `None` where they can't be found.
#[must_use]
pub fn arenas(
    memory: &TargetMemory,
    interpreter: &Interpreter,
    images: &mut Images,
) -> Option<Vec<Function>> {
    let table = ("obj_arena", "PyObject_GetArenaAllocator");
    functions(memory, interpreter, images, table, &ARENA_FUNCTIONS)
}

/// How far objects can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objects {
    /// The functions behind the tables.
    pub functions: Vec<Function>,
    /// The compiler has put the allocator into its callers: calls of the functions are few.
    pub inlined: bool,
}

/// The functions that allocate objects; `None` where they can't be found.
#[must_use]
pub fn objects(
    memory: &TargetMemory,
    interpreter: &Interpreter,
    images: &mut Images,
) -> Option<Objects> {
    let table = ("obj", "PyObject_Malloc");
    let functions = functions(memory, interpreter, images, table, &OBJECT_FUNCTIONS)?;
    let code = Code::of(memory, interpreter, images)?;
    Some(Objects { functions, inlined: is_inlined(&code).unwrap_or(false) })
}

/// A build that has the allocator in its callers compares the table's entry with the function's
/// address before it calls it: in `PyObject_Malloc` and `PyObject_Free` there is more than a jump.
fn is_inlined(code: &Code<'_>) -> Option<bool> {
    let start = code.bias.wrapping_add(code.image.symbol("PyObject_Malloc")?);
    let bytes = code.memory.bytes(start, 32)?;
    // `jmp *` through memory or a register.
    let jumps = bytes.windows(2).any(|pair| pair[0] == 0xff && matches!(pair[1] & 0x38, 0x20));
    Some(!jumps)
}
