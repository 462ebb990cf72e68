//! What each minor version of CPython keeps where: `cpython-offsets.toml`, read once.
//!
//! This module decides nothing about a process: it turns the table of a minor version into
//! [`Offsets`], which a process's own `_Py_DebugOffsets` may then override (`debug_offsets`), and
//! [`Offsets`] into the [`PyLayout`] that the walk runs on (`offsets`). A version without a table
//! has no offsets; nothing is ever taken from a neighbour's.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use memtrace_common::layout::ABSENT;
use serde::Deserialize;

use super::line_table::LineTableKind;
use super::offsets::{FrameOffsets, Instruction, Offsets, RuntimeOffsets};
use super::version::{NEWEST_MINOR, OLDEST_MINOR};
use crate::machine::{HERE, Machine};

/// The table as it was measured; `docs/cpython.md` says how.
pub(crate) const OFFSETS: &str = include_str!("../../cpython-offsets.toml");

/// Where a thread's `PyThreadState*` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum TstateSlot {
    /// A pthread key, `_PyRuntime.…autoTSSkey` (up to 3.14).
    #[serde(rename = "pthread_tsd")]
    PthreadKey,
    /// The thread-local variable `_Py_tss_gilstate` (3.15).
    #[serde(rename = "tls")]
    ThreadLocal,
}

/// The table of one minor version. Field names are the file's, which are CPython's.
#[derive(Debug, Clone, Deserialize)]
pub struct Table {
    /// Which format `co_linetable` or `co_lnotab` has.
    pub line_table: LineTableKind,
    /// Where threads keep their thread state.
    pub tstate_slot: TstateSlot,
    /// Byte position of each entry of `_Py_DebugOffsets` (3.13 and newer).
    pub debug_offsets_layout: Option<BTreeMap<String, u32>>,
    instr_unit_bytes: u32,
    /// 3.12 and newer; frames of 3.11 and older are all the program's.
    skip_owner_min: Option<u32>,
    /// Hexadecimal, because TOML's integers are signed. 3.11 and newer.
    executable_mask: Option<String>,
    runtime: Runtime,
    interpreter_state: InterpreterState,
    thread_state: ThreadState,
    cframe: Option<CFrame>,
    frame_object: FrameObject,
    interpreter_frame: Option<InterpreterFrame>,
    code_object: CodeObject,
    object: Object,
    unicode: Unicode,
    bytes: Bytes,
    #[serde(rename = "type")]
    type_object: TypeObject,
    bpf_frame_window: Window,
}

#[derive(Debug, Clone, Deserialize)]
struct Runtime {
    interpreters_head: u32,
    gilstate_tstate_current: Option<u32>,
    #[serde(rename = "autoTSSkey")]
    auto_tss_key: Option<u32>,
    size: u32,
}

#[derive(Debug, Clone, Deserialize)]
struct InterpreterState {
    next: u32,
    tstate_head: u32,
}

#[derive(Debug, Clone, Deserialize)]
struct ThreadState {
    next: u32,
    interp: u32,
    frame: Option<u32>,
    cframe: Option<u32>,
    current_frame: Option<u32>,
    thread_id: u32,
    native_thread_id: Option<u32>,
}

#[derive(Debug, Clone, Deserialize)]
struct CFrame {
    current_frame: u32,
}

/// Of 3.11 and newer nothing here is needed.
#[derive(Debug, Clone, Deserialize)]
struct FrameObject {
    f_back: u32,
    f_code: Option<u32>,
    f_lasti: Option<u32>,
}

#[derive(Debug, Clone, Deserialize)]
struct InterpreterFrame {
    f_code: Option<u32>,
    f_executable: Option<u32>,
    previous: u32,
    prev_instr: Option<u32>,
    instr_ptr: Option<u32>,
    owner: u32,
}

#[derive(Debug, Clone, Deserialize)]
struct CodeObject {
    co_firstlineno: u32,
    co_filename: u32,
    co_name: u32,
    co_qualname: Option<u32>,
    co_lnotab: Option<u32>,
    co_linetable: Option<u32>,
    #[serde(rename = "_co_firsttraceable")]
    co_firsttraceable: Option<u32>,
    co_code_adaptive: Option<u32>,
    read_size: u32,
}

#[derive(Debug, Clone, Deserialize)]
struct Object {
    ob_type: u32,
}

#[derive(Debug, Clone, Deserialize)]
struct Unicode {
    length: u32,
    state: u32,
    ascii_data: u32,
    compact_data: u32,
}

#[derive(Debug, Clone, Deserialize)]
struct Bytes {
    ob_size: u32,
    ob_sval: u32,
}

#[derive(Debug, Clone, Deserialize)]
struct TypeObject {
    tp_basicsize: u32,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Window {
    start: u32,
    len: u32,
}

/// What is wrong with a table or with a process's own account of its offsets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The embedded file does not read: a defect of memtrace.
    #[error("the table of CPython's offsets does not read: {0}")]
    Table(String),
    /// The table lacks something that its version must have: a defect of memtrace.
    #[error("the table of CPython 3.{minor} has no {field}")]
    Missing {
        /// Which table.
        minor: u8,
        /// What it lacks.
        field: &'static str,
    },
    /// `_Py_DebugOffsets` says something impossible.
    #[error("the interpreter's own table of offsets (_Py_DebugOffsets) {0}")]
    DebugOffsets(String),
    /// A field lies where the walk can't read it.
    #[error("{field} at byte {offset} of a frame can't be read in one window of {window} bytes")]
    Window {
        /// Which field.
        field: &'static str,
        /// Where it is.
        offset: u32,
        /// How long a window may be.
        window: u32,
    },
    /// A field lies where the kernel side doesn't look.
    #[error(
        "{field} at byte {offset} of {structure} is beyond the {reach} bytes that memtrace looks at"
    )]
    Reach {
        /// What it is a field of.
        structure: &'static str,
        /// Which field.
        field: &'static str,
        /// Where it is.
        offset: u32,
        /// How many bytes are looked at.
        reach: u32,
    },
}

/// The table of CPython `3.minor`; `None` for a version that is not supported.
///
/// # Errors
///
/// [`LayoutError::Table`] when the embedded file does not read.
pub fn table(minor: u8) -> Result<Option<&'static Table>, LayoutError> {
    static TABLES: OnceLock<Result<BTreeMap<u8, Table>, LayoutError>> = OnceLock::new();
    match TABLES.get_or_init(read_tables) {
        Ok(tables) => Ok(tables.get(&minor)),
        Err(error) => Err(error.clone()),
    }
}

/// By how much more the GIL takes of `_PyRuntime` than on x86-64, where the tables were measured. Up to
/// 3.11 it is there, with two mutexes, before `gilstate` (`_gil_runtime_state`,
/// `Include/internal/pycore_gil.h`); glibc's have 48 bytes on aarch64 and 40 on x86-64.
fn gil_growth(machine: Machine, minor: u8) -> u32 {
    const LAST_IN_RUNTIME: u8 = 11;
    match machine {
        Machine::Aarch64 if minor <= LAST_IN_RUNTIME => 2 * (48 - 40),
        _ => 0,
    }
}

fn read_tables() -> Result<BTreeMap<u8, Table>, LayoutError> {
    let error = |error: &dyn std::fmt::Display| LayoutError::Table(error.to_string());
    let mut file: toml::Table = toml::from_str(OFFSETS).map_err(|e| error(&e))?;
    let mut tables = BTreeMap::new();
    for minor in OLDEST_MINOR..=NEWEST_MINOR {
        let name = format!("v3_{minor}");
        let table = file.remove(&name).ok_or_else(|| error(&format!("[{name}] is missing")))?;
        let table =
            table.try_into().map_err(|e: toml::de::Error| error(&format!("[{name}]: {e}")))?;
        tables.insert(minor, table);
    }
    Ok(tables)
}

impl Table {
    /// The offsets of this version, as its table has them.
    ///
    /// # Errors
    ///
    /// [`LayoutError::Missing`] or [`LayoutError::Table`]: defects of the table.
    pub fn offsets(&self, minor: u8) -> Result<Offsets, LayoutError> {
        let need = |value: Option<u32>, field| value.ok_or(LayoutError::Missing { minor, field });
        let code = &self.code_object;
        let thread = &self.thread_state;
        let head = thread.frame.or(thread.cframe).or(thread.current_frame);
        let behind_gil = |offset| offset + gil_growth(HERE, minor);
        Ok(Offsets {
            runtime: RuntimeOffsets {
                size: self.runtime.size,
                interpreters_head: self.runtime.interpreters_head,
                tstate_current: self.runtime.gilstate_tstate_current.map(behind_gil),
                auto_tss_key: self.runtime.auto_tss_key.map(behind_gil),
                interpreter_next: self.interpreter_state.next,
                interpreter_threads: self.interpreter_state.tstate_head,
                thread_next: thread.next,
                thread_interpreter: thread.interp,
                thread_native_id: thread.native_thread_id,
                tp_basicsize: self.type_object.tp_basicsize,
                code_basicsize: code.read_size,
            },
            frame: self.frame_offsets(minor)?,
            code_mask: self.code_mask()?,
            skip_owner_min: self.skip_owner_min.unwrap_or(ABSENT),
            instr_base: code.co_code_adaptive.unwrap_or(0),
            tstate_thread_id: thread.thread_id,
            tstate_frame: need(head, "frame, cframe or current_frame of the thread state")?,
            cframe_frame: self.cframe.as_ref().map_or(ABSENT, |cframe| cframe.current_frame),
            code_file: code.co_filename,
            code_name: code.co_qualname.unwrap_or(code.co_name),
            code_table: need(code.co_linetable.or(code.co_lnotab), "line table")?,
            code_first_line: code.co_firstlineno,
            code_first_traceable: code.co_firsttraceable.unwrap_or(ABSENT),
            object_type: self.object.ob_type,
            str_length: self.unicode.length,
            str_state: self.unicode.state,
            str_ascii: self.unicode.ascii_data,
            str_compact: self.unicode.compact_data,
            bytes_length: self.bytes.ob_size,
            bytes_data: self.bytes.ob_sval,
        })
    }

    fn frame_offsets(&self, minor: u8) -> Result<FrameOffsets, LayoutError> {
        let need = |value: Option<u32>, field| value.ok_or(LayoutError::Missing { minor, field });
        let (window_start, window_length) =
            (self.bpf_frame_window.start, self.bpf_frame_window.len);
        Ok(match &self.interpreter_frame {
            Some(frame) => FrameOffsets {
                window_start,
                window_length,
                code: need(frame.f_code.or(frame.f_executable), "f_code or f_executable")?,
                back: frame.previous,
                instr: need(frame.prev_instr.or(frame.instr_ptr), "prev_instr or instr_ptr")?,
                kind: Instruction::Pointer,
                owner: Some(frame.owner),
            },
            None => FrameOffsets {
                window_start,
                window_length,
                code: need(self.frame_object.f_code, "f_code")?,
                back: self.frame_object.f_back,
                instr: need(self.frame_object.f_lasti, "f_lasti")?,
                kind: Instruction::Index { unit: self.instr_unit_bytes },
                owner: None,
            },
        })
    }

    fn code_mask(&self) -> Result<u64, LayoutError> {
        let Some(mask) = &self.executable_mask else { return Ok(u64::MAX) };
        mask.strip_prefix("0x")
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or_else(|| LayoutError::Table(format!("executable_mask {mask:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Debian's 3.11 for arm64, by disassembly of `PyGILState_GetThisThreadState`: the key is at 612 of
    /// `_PyRuntime`, behind its flag.
    #[test]
    fn the_gil_moves_what_stands_behind_it_on_aarch64() {
        let table = table(11).unwrap().unwrap();
        let flag = table.runtime.auto_tss_key.unwrap();
        assert_eq!(flag + gil_growth(Machine::Aarch64, 11) + 4, 612);
        assert_eq!(gil_growth(Machine::Aarch64, 12), 0);
        assert_eq!(gil_growth(Machine::X86_64, 11), 0);
    }
}
