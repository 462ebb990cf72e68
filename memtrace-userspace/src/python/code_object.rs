//! Reading a code object from outside: which file, which function, which lines.
//!
//! Works on any [`ReadMemory`]. Whether the object is still the one that was met is the caller's
//! question (code objects die and their addresses come back).

use memtrace_common::layout::PyLayout;
use memtrace_common::limits::{LINE_TABLE_CHUNKS, NAME_CHUNKS, TEXT_CHUNK};
use memtrace_common::memory::ReadMemory;
use memtrace_common::walk::UNKNOWN_INSTR;

use super::line_table::{LineTable, LineTableKind};
use super::text;

/// Bytes of a name that are read; the rest is cut. As the kernel side does.
const NAME_LIMIT: usize = NAME_CHUNKS as usize * TEXT_CHUNK;
/// Bytes of a line table that are read. As the kernel side does.
const TABLE_LIMIT: usize = LINE_TABLE_CHUNKS as usize * TEXT_CHUNK;

/// `PyASCIIObject.state`, the bits that `docs/cpython.md`, section 4 lists.
const KIND_SHIFT: u32 = 2;
const COMPACT: u32 = 1 << 5;
const ASCII: u32 = 1 << 6;

/// What names the frames of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeObject {
    /// `co_filename`
    pub file: String,
    /// `co_qualname`, or `co_name` before 3.11.
    pub name: String,
    /// `co_firstlineno`
    pub first_line: i32,
    /// `_co_firsttraceable` (3.11 and newer), in code units of two bytes.
    pub first_traceable: Option<i32>,
    /// `co_linetable` or `co_lnotab`.
    pub line_table: Vec<u8>,
}

impl CodeObject {
    /// Reads the code object at this address; `None` if there is none (its type is checked) or
    /// part of it can't be read.
    #[must_use]
    pub fn read(memory: &impl ReadMemory, layout: &PyLayout, code: u64) -> Option<Self> {
        let reader = Reader { memory, layout };
        let of_type = reader.pointer(code, layout.object_type)?;
        if layout.code_type_address != 0 && of_type != layout.code_type_address {
            return None;
        }
        Some(Self {
            file: reader.string(reader.pointer(code, layout.code_file)?)?,
            name: reader.string(reader.pointer(code, layout.code_name)?)?,
            first_line: reader.int(code, layout.code_first_line)?,
            first_traceable: reader.int(code, layout.code_first_traceable),
            line_table: reader.bytes_object(reader.pointer(code, layout.code_table)?)?,
        })
    }

    /// Its line table.
    #[must_use]
    pub fn lines(&self, kind: LineTableKind) -> LineTable<'_> {
        LineTable::new(kind, self.first_line, &self.line_table)
    }

    /// Whether a frame of this code is one that Python itself would not show (3.11 and newer): its
    /// prologue has not run, or it is the `__init__` shim of a specialised call. Such frames are
    /// dropped before stacks are compared (`_PyFrame_IsIncomplete`,
    /// `Include/internal/pycore_frame.h`). `owner` 1 is a generator's, never incomplete.
    #[must_use]
    pub fn is_incomplete(&self, owner: u32, instr: i32) -> bool {
        let generator = owner == 1;
        self.first_traceable.is_some_and(|first| {
            !generator && instr != UNKNOWN_INSTR && i64::from(instr) < 2 * i64::from(first)
        })
    }
}

struct Reader<'a, M> {
    memory: &'a M,
    layout: &'a PyLayout,
}

impl<M: ReadMemory> Reader<'_, M> {
    fn pointer(&self, object: u64, offset: u32) -> Option<u64> {
        self.memory.read_u64(object.wrapping_add(offset.into()))
    }

    fn int(&self, object: u64, offset: u32) -> Option<i32> {
        if offset == memtrace_common::layout::ABSENT {
            return None;
        }
        let bytes = self.data(object.wrapping_add(offset.into()), 4)?;
        Some(i32::from_ne_bytes(bytes.try_into().ok()?))
    }

    fn data(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        // SAFETY: the vector is `length` bytes long.
        unsafe { self.memory.read_raw(address, bytes.as_mut_ptr(), u32::try_from(length).ok()?) }
            .then_some(bytes)
    }

    fn string(&self, object: u64) -> Option<String> {
        let layout = self.layout;
        let length = usize::try_from(self.pointer(object, layout.str_length)?).ok()?;
        let state = self.int(object, layout.str_state)? as u32;
        let width = (state >> KIND_SHIFT & 7) as u8;
        if state & COMPACT == 0 || !matches!(width, 1 | 2 | 4) {
            return None;
        }
        let offset = if state & ASCII == 0 { layout.str_compact } else { layout.str_ascii };
        let size = length.saturating_mul(width.into()).min(NAME_LIMIT);
        let bytes = self.data(object.wrapping_add(offset.into()), size)?;
        Some(text::decode(&bytes, width))
    }

    fn bytes_object(&self, object: u64) -> Option<Vec<u8>> {
        let length = usize::try_from(self.pointer(object, self.layout.bytes_length)?).ok()?;
        let at = object.wrapping_add(self.layout.bytes_data.into());
        self.data(at, length.min(TABLE_LIMIT))
    }
}
