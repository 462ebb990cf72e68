//! `_Py_DebugOffsets`: what an interpreter of 3.13 or newer says about its own offsets.
//!
//! It stands at the beginning of `_PyRuntime` and is authoritative for this build; the table of
//! its minor version says where each entry is (the arrangement differs per minor), and supplies
//! what it does not have. Facts: `Include/internal/pycore_runtime.h` (3.13),
//! `pycore_debug_offsets.h` (3.14), and `docs/cpython.md`, section 5.

use super::layouts::{LayoutError, Table};
use super::offsets::{OFFSET_LIMIT, Offsets};
use super::version::NamedVersion;

/// `_Py_Debug_Cookie`
const COOKIE: &[u8; 8] = b"xdebugpy";

/// Bytes to read at `_PyRuntime` for the largest of them (3.15: 888).
pub const DEBUG_OFFSETS_SIZE: usize = 1024;

/// An interpreter's own table.
#[derive(Debug, Clone, Copy)]
pub struct DebugOffsets<'a> {
    bytes: &'a [u8],
    table: &'a Table,
}

impl<'a> DebugOffsets<'a> {
    /// `bytes` as read at `_PyRuntime`; `None` without the cookie, or for a version whose table
    /// has no arrangement of them.
    #[must_use]
    pub fn new(bytes: &'a [u8], table: &'a Table) -> Option<Self> {
        let offsets = Self { bytes, table };
        (bytes.starts_with(COOKIE) && table.debug_offsets_layout.is_some()).then_some(offsets)
    }

    /// The version that it is for.
    #[must_use]
    pub fn version(&self) -> Option<NamedVersion> {
        NamedVersion::from_hexadecimal(u32::try_from(self.entry("version")?).ok()?)
    }

    /// Whether the build runs without the GIL.
    #[must_use]
    pub fn free_threaded(&self) -> bool {
        self.entry("free_threaded").is_some_and(|value| value != 0)
    }

    /// The table's offsets with everything replaced that the interpreter states itself.
    ///
    /// # Errors
    ///
    /// [`LayoutError::DebugOffsets`] when an entry is missing or not believable.
    pub fn apply(&self, to: &Offsets) -> Result<Offsets, LayoutError> {
        let mut offsets = *to;
        let runtime = &mut offsets.runtime;
        runtime.size = self.offset("runtime_state_size")?;
        runtime.interpreters_head = self.offset("runtime_state_interpreters_head")?;
        runtime.interpreter_next = self.offset("interpreter_state_next")?;
        runtime.interpreter_threads = self.offset("interpreter_state_threads_head")?;
        runtime.thread_next = self.offset("thread_state_next")?;
        runtime.thread_interpreter = self.offset("thread_state_interp")?;
        runtime.thread_native_id = Some(self.offset("thread_state_native_thread_id")?);
        runtime.code_basicsize = self.offset("code_object_co_code_adaptive")?;
        offsets.frame.code = self.offset("interpreter_frame_executable")?;
        offsets.frame.back = self.offset("interpreter_frame_previous")?;
        offsets.frame.instr = self.offset("interpreter_frame_instr_ptr")?;
        offsets.frame.owner = Some(self.offset("interpreter_frame_owner")?);
        offsets.instr_base = self.offset("code_object_co_code_adaptive")?;
        offsets.tstate_thread_id = self.offset("thread_state_thread_id")?;
        offsets.tstate_frame = self.offset("thread_state_current_frame")?;
        offsets.code_file = self.offset("code_object_filename")?;
        offsets.code_name = self.offset("code_object_qualname")?;
        offsets.code_table = self.offset("code_object_linetable")?;
        offsets.code_first_line = self.offset("code_object_firstlineno")?;
        offsets.object_type = self.offset("pyobject_ob_type")?;
        offsets.str_length = self.offset("unicode_object_length")?;
        offsets.str_state = self.offset("unicode_object_state")?;
        offsets.str_ascii = self.offset("unicode_object_asciiobject_size")?;
        offsets.bytes_length = self.offset("bytes_object_ob_size")?;
        offsets.bytes_data = self.offset("bytes_object_ob_sval")?;
        Ok(offsets)
    }

    fn entry(&self, name: &str) -> Option<u64> {
        let at = *self.table.debug_offsets_layout.as_ref()?.get(name)? as usize;
        let bytes = self.bytes.get(at..at.checked_add(8)?)?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    }

    fn offset(&self, name: &str) -> Result<u32, LayoutError> {
        let value =
            self.entry(name).ok_or_else(|| LayoutError::DebugOffsets(format!("has no {name}")))?;
        u32::try_from(value)
            .ok()
            .filter(|&value| value < OFFSET_LIMIT)
            .ok_or_else(|| LayoutError::DebugOffsets(format!("gives {name} as {value}")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::layouts::table;
    use super::*;

    /// A table as an interpreter would have it: every entry holds its own position, so that each
    /// offset says which entry it was taken from.
    fn own_positions() -> Vec<u8> {
        let mut bytes: Vec<u8> =
            (0..DEBUG_OFFSETS_SIZE as u64).step_by(8).flat_map(u64::to_ne_bytes).collect();
        bytes[..8].copy_from_slice(COOKIE);
        bytes
    }

    #[test]
    fn entries_are_taken_from_the_arrangement_of_their_minor_version() {
        for minor in [13, 14, 15] {
            let table = table(minor).unwrap().unwrap();
            let bytes = own_positions();
            let own = DebugOffsets::new(&bytes, table).unwrap();
            let applied = own.apply(&table.offsets(minor).unwrap()).unwrap();
            let place = |name: &str| table.debug_offsets_layout.as_ref().unwrap()[name];
            assert_eq!(applied.frame.back, place("interpreter_frame_previous"));
            assert_eq!(applied.code_table, place("code_object_linetable"));
            assert_eq!(applied.str_ascii, place("unicode_object_asciiobject_size"));
            assert_eq!(applied.tstate_thread_id, place("thread_state_thread_id"));
        }
    }

    #[test]
    fn what_is_no_table_of_offsets_is_not_taken_for_one() {
        let with = table(13).unwrap().unwrap();
        let without = table(12).unwrap().unwrap();
        let mut bytes = own_positions();
        assert!(DebugOffsets::new(&bytes, without).is_none());
        bytes[0] = b'y';
        assert!(DebugOffsets::new(&bytes, with).is_none());
        assert!(
            DebugOffsets::new(b"xdebugpy", with)
                .unwrap()
                .apply(&with.offsets(13).unwrap())
                .is_err()
        );
    }

    #[test]
    fn an_unbelievable_entry_is_an_error() {
        let table = table(14).unwrap().unwrap();
        let mut bytes = own_positions();
        let place = table.debug_offsets_layout.as_ref().unwrap()["thread_state_next"] as usize;
        bytes[place..place + 8].copy_from_slice(&u64::MAX.to_ne_bytes());
        let own = DebugOffsets::new(&bytes, table).unwrap();
        let error = own.apply(&table.offsets(14).unwrap()).unwrap_err().to_string();
        assert!(error.contains("thread_state_next"), "{error}");
    }
}
