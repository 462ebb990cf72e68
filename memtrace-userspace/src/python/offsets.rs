//! The offsets of one process's interpreter, and the [`PyLayout`] made of them.
//!
//! Here they are still CPython's: bytes from the beginning of each structure. The layout has
//! them as the walk wants them, inside the one window that is read of a frame, and checked. Where
//! they come from (`layouts`, `debug_offsets`) and where the thread state is (`slot`) is known
//! elsewhere.

use memtrace_common::layout::{ABSENT, FLAG_INSTR_IS_INDEX, PyLayout};
use memtrace_common::limits::{CODE_BYTES, FRAME_WINDOW, STR_BYTES};

use super::layouts::LayoutError;

/// Largest offset that is believed, in any structure.
pub const OFFSET_LIMIT: u32 = 1 << 20;

/// What user space needs to list interpreters and threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeOffsets {
    /// Size of `_PyRuntimeState`: tells whether the table's runtime offsets are this build's.
    pub size: u32,
    /// `_PyRuntimeState.interpreters.head`
    pub interpreters_head: u32,
    /// `_PyRuntimeState.gilstate.tstate_current` (3.11 and older)
    pub tstate_current: Option<u32>,
    /// `_PyRuntimeState.…autoTSSkey` (up to 3.14): u32 `_is_initialized`, u32 `_key`
    pub auto_tss_key: Option<u32>,
    /// `PyInterpreterState.next`
    pub interpreter_next: u32,
    /// `PyInterpreterState.threads.head`
    pub interpreter_threads: u32,
    /// `PyThreadState.next`
    pub thread_next: u32,
    /// `PyThreadState.interp`
    pub thread_interpreter: u32,
    /// `PyThreadState.native_thread_id` (3.11 and newer)
    pub thread_native_id: Option<u32>,
    /// `PyTypeObject.tp_basicsize`
    pub tp_basicsize: u32,
    /// What `PyCode_Type.tp_basicsize` must hold.
    pub code_basicsize: u32,
}

/// What a frame's instruction field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instruction {
    /// A pointer into the code object's bytecode (3.11 and newer).
    Pointer,
    /// An i32 index into the bytecode, in units of so many bytes (3.10 and older).
    Index {
        /// Bytes of one unit.
        unit: u32,
    },
}

/// Bytes from the beginning of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameOffsets {
    /// First byte to read.
    pub window_start: u32,
    /// Bytes to read.
    pub window_length: u32,
    /// Code object reference.
    pub code: u32,
    /// Caller's frame.
    pub back: u32,
    /// Where it is in the code.
    pub instr: u32,
    /// How to read it.
    pub kind: Instruction,
    /// `owner` (3.11 and newer).
    pub owner: Option<u32>,
}

/// Everything about one process's interpreter that the walk and discovery need. Fields that are
/// named as in [`PyLayout`] mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of PyLayout, documented there")]
pub struct Offsets {
    /// For listing interpreters and threads.
    pub runtime: RuntimeOffsets,
    /// For walking.
    pub frame: FrameOffsets,
    pub code_mask: u64,
    pub skip_owner_min: u32,
    pub instr_base: u32,
    pub tstate_thread_id: u32,
    pub tstate_frame: u32,
    pub cframe_frame: u32,
    pub code_file: u32,
    pub code_name: u32,
    pub code_table: u32,
    pub code_first_line: u32,
    pub code_first_traceable: u32,
    pub object_type: u32,
    pub str_length: u32,
    pub str_state: u32,
    pub str_ascii: u32,
    pub str_compact: u32,
    pub bytes_length: u32,
    pub bytes_data: u32,
}

/// Bytes before a frame that the walk reads along with it. Interpreter frames (3.11 and newer) of
/// calls from Python to Python lie side by side in a chunk of the thread's data stack, each some
/// 100 to 250 bytes long, callers first.
const BEHIND: u32 = 640;

impl Offsets {
    /// The layout for the walk, without a slot and without addresses.
    ///
    /// # Errors
    ///
    /// [`LayoutError::Window`] when a field of a frame is not aligned or lies outside what one
    /// read covers, however the window is laid; [`LayoutError::Reach`] when one of a code object or a str
    /// lies beyond what the kernel side looks at.
    pub fn layout(&self) -> Result<PyLayout, LayoutError> {
        self.check_reach()?;
        let frame = self.frame.with_window();
        let instr_size = if frame.kind == Instruction::Pointer { 8 } else { 4 };
        let (flags, instr_unit) = match frame.kind {
            Instruction::Pointer => (0, 1),
            Instruction::Index { unit } => (FLAG_INSTR_IS_INDEX, unit),
        };
        Ok(PyLayout {
            flags,
            code_mask: self.code_mask,
            tstate_thread_id: self.tstate_thread_id,
            tstate_frame: self.tstate_frame,
            cframe_frame: self.cframe_frame,
            window_start: frame.window_start,
            window_length: frame.window_length,
            window_behind: match frame.kind {
                Instruction::Pointer => BEHIND,
                // Frame objects are anywhere on the heap.
                Instruction::Index { .. } => 0,
            },
            code_at: frame.place("the code object", frame.code, 8)?,
            back_at: frame.place("the caller's frame", frame.back, 8)?,
            instr_at: frame.place("the instruction", frame.instr, instr_size)?,
            owner_at: match frame.owner {
                Some(owner) => frame.place("the owner", owner, 1)?,
                None => ABSENT,
            },
            skip_owner_min: self.skip_owner_min,
            instr_base: self.instr_base,
            instr_unit,
            code_file: self.code_file,
            code_name: self.code_name,
            code_table: self.code_table,
            code_first_line: self.code_first_line,
            code_first_traceable: self.code_first_traceable,
            object_type: self.object_type,
            str_length: self.str_length,
            str_state: self.str_state,
            str_ascii: self.str_ascii,
            str_compact: self.str_compact,
            bytes_length: self.bytes_length,
            bytes_data: self.bytes_data,
            ..PyLayout::NONE
        })
    }

    fn check_reach(&self) -> Result<(), LayoutError> {
        let code = |field, offset, size| ("a code object", field, offset, size, CODE_BYTES);
        let str = |field, offset, size| ("a str", field, offset, size, STR_BYTES);
        for (structure, field, offset, size, reach) in [
            code("co_firstlineno", self.code_first_line, 4),
            code("co_filename", self.code_file, 8),
            code("co_qualname", self.code_name, 8),
            code("co_linetable", self.code_table, 8),
            str("length", self.str_length, 8),
            str("state", self.str_state, 4),
            // The text itself is read elsewhere: only where it begins must be in reach.
            str("the ASCII text", self.str_ascii, 0),
            str("the text", self.str_compact, 0),
        ] {
            if offset.saturating_add(size) > reach {
                return Err(LayoutError::Reach { structure, field, offset, reach });
            }
        }
        Ok(())
    }
}

impl FrameOffsets {
    /// The same with a window that covers every field, where the given one does not (a patch
    /// release that moved a field).
    fn with_window(mut self) -> Self {
        let fields = [Some(self.code), Some(self.back), Some(self.instr), self.owner];
        let first = fields.iter().flatten().min().copied().unwrap_or(0);
        let last = fields.iter().flatten().max().copied().unwrap_or(0);
        let end = self.window_start.saturating_add(self.window_length);
        if first < self.window_start || last.saturating_add(8) > end.next_multiple_of(8) {
            self.window_start = first / 8 * 8;
            self.window_length = (last / 8 * 8).saturating_add(8) - self.window_start;
        }
        // The walk takes its words whole.
        self.window_length = self.window_length.next_multiple_of(8);
        self
    }

    /// A field's place in the window, if the walk can read it there: aligned by its size and
    /// wholly inside.
    fn place(&self, field: &'static str, offset: u32, size: u32) -> Result<u32, LayoutError> {
        offset
            .checked_sub(self.window_start)
            .filter(|at| at % size == 0 && at.saturating_add(size) <= self.window_length)
            .filter(|_| self.window_length as usize <= FRAME_WINDOW)
            .ok_or(LayoutError::Window { field, offset, window: FRAME_WINDOW as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::layouts::table;
    use super::super::version::{NEWEST_MINOR, OLDEST_MINOR};
    use super::*;

    fn offsets(minor: u8) -> Offsets {
        table(minor).unwrap().unwrap().offsets(minor).unwrap()
    }

    #[test]
    fn every_supported_version_has_a_layout_and_no_other_has() {
        for minor in OLDEST_MINOR..=NEWEST_MINOR {
            let layout = offsets(minor).layout().unwrap_or_else(|e| panic!("3.{minor}: {e}"));
            assert!(layout.window_length as usize <= FRAME_WINDOW, "3.{minor}");
        }
        for minor in [6, 7, 16] {
            assert!(table(minor).unwrap().is_none(), "3.{minor}");
        }
    }

    /// Frames skipped, tags masked, the instruction's form: as `docs/cpython.md`, 3.2 to 3.4.
    #[test]
    fn the_forms_of_each_version_are_those_of_the_document() {
        let check = |minor, skip, mask, cframe, index: Option<u32>, first_traceable| {
            let layout = offsets(minor).layout().unwrap();
            let flags = if index.is_some() { FLAG_INSTR_IS_INDEX } else { 0 };
            assert_eq!(layout.skip_owner_min, skip, "3.{minor}");
            assert_eq!(layout.code_mask, mask, "3.{minor}");
            assert_eq!(layout.cframe_frame, cframe, "3.{minor}");
            assert_eq!((layout.flags, layout.instr_unit), (flags, index.unwrap_or(1)), "3.{minor}");
            assert_eq!(layout.code_first_traceable, first_traceable, "3.{minor}");
        };
        check(8, ABSENT, u64::MAX, ABSENT, Some(1), ABSENT);
        check(10, ABSENT, u64::MAX, ABSENT, Some(2), ABSENT);
        check(11, ABSENT, u64::MAX, 8, None, 168);
        check(12, 3, u64::MAX, 0, None, 176);
        check(13, 3, u64::MAX, ABSENT, None, 184);
        check(14, 3, !3, ABSENT, None, 192);
        check(15, 3, !3, ABSENT, None, 192);
    }

    #[test]
    fn places_are_relative_to_the_window() {
        let layout = offsets(8).layout().unwrap();
        assert_eq!((layout.window_start, layout.window_length), (24, 88));
        assert_eq!((layout.back_at, layout.code_at, layout.instr_at), (0, 8, 80));
        let layout = offsets(11).layout().unwrap();
        assert_eq!(
            (layout.code_at, layout.back_at, layout.instr_at, layout.owner_at),
            (0, 16, 24, 37)
        );
    }

    #[test]
    fn a_field_outside_the_window_moves_the_window_or_is_refused() {
        let mut moved = offsets(13);
        moved.frame.owner = Some(90);
        let layout = moved.layout().unwrap();
        assert_eq!((layout.window_start, layout.window_length, layout.owner_at), (0, 96, 90));
        moved.frame.owner = Some(400);
        assert!(matches!(moved.layout(), Err(LayoutError::Window { .. })));
        let mut crooked = offsets(13);
        crooked.frame.back = 12;
        assert!(matches!(crooked.layout(), Err(LayoutError::Window { offset: 12, .. })));
    }

    /// As `fingerprint` packs them: more than a byte would be another field's offset.
    #[test]
    fn offsets_that_the_kernel_side_packs_fit_into_a_byte_in_every_version() {
        for minor in OLDEST_MINOR..=NEWEST_MINOR {
            let layout = offsets(minor).layout().unwrap();
            for offset in layout.naming_offsets() {
                assert!(u8::try_from(offset).is_ok(), "3.{minor}: {offset}");
            }
        }
    }

    #[test]
    fn a_field_beyond_what_the_kernel_side_looks_at_is_refused() {
        let check = |change: fn(&mut Offsets), refused: Option<(&str, u32)>| {
            let mut changed = offsets(14);
            change(&mut changed);
            let found = match changed.layout() {
                Ok(_) => None,
                Err(LayoutError::Reach { field, offset, .. }) => Some((field, offset)),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(found, refused);
        };
        check(|it| it.code_first_line = 252, None);
        check(|it| it.code_first_line = 253, Some(("co_firstlineno", 253)));
        check(|it| it.code_file = 248, None);
        check(|it| it.code_file = 256, Some(("co_filename", 256)));
        check(|it| it.code_name = u32::MAX, Some(("co_qualname", u32::MAX)));
        check(|it| it.code_table = 249, Some(("co_linetable", 249)));
        check(|it| it.str_length = 72, None);
        check(|it| it.str_length = 80, Some(("length", 80)));
        check(|it| it.str_state = 77, Some(("state", 77)));
        check(|it| it.str_ascii = 80, None);
        check(|it| it.str_ascii = 256 + 40, Some(("the ASCII text", 296)));
        check(|it| it.str_compact = 81, Some(("the text", 81)));
    }

    /// The walk reads the flag and the key as one word at `autoTSSkey`.
    #[test]
    fn the_key_follows_its_flag_in_every_table() {
        let file: toml::Table = toml::from_str(include_str!("../../cpython-offsets.toml")).unwrap();
        for minor in OLDEST_MINOR..NEWEST_MINOR {
            let runtime = &file[&format!("v3_{minor}")]["runtime"];
            let flag = runtime["autoTSSkey"].as_integer().unwrap();
            assert_eq!(runtime["autoTSSkey_key"].as_integer().unwrap(), flag + 4, "3.{minor}");
            assert_eq!(offsets(minor).runtime.auto_tss_key, Some(flag as u32));
        }
        assert_eq!(offsets(15).runtime.auto_tss_key, None);
    }
}
