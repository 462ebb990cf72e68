//! Where each minor version of CPython keeps its arenas, its lists of tracked objects and the
//! names of its types: the parts of `cpython-offsets.toml` that only a look from outside needs.
//!
//! What the walk of frames needs is `python::layouts`'. A version without a table is refused by
//! discovery before anything here is asked.

use std::collections::BTreeMap;

use memtrace_common::memory::ReadMemory;
use serde::Deserialize;

use crate::python::Interpreter;
use crate::python::layouts::OFFSETS;

/// The table of one minor version. Names are the file's.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Layout {
    pub(super) arena_size: u64,
    pub(super) pool_size: u64,
    pub(super) block_alignment: u64,
    pub(super) small_request_threshold: u64,
    pub(super) runtime: Runtime,
    pub(super) interpreter_state: InterpreterState,
    pub(super) thread_state: ThreadState,
    #[serde(rename = "type")]
    pub(super) type_object: TypeObject,
    pub(super) gc: Gc,
    pub(super) unicode: Unicode,
    /// 3.12 and newer: from the beginning of `_PyRuntime`.
    pub(super) allocators: Option<Allocators>,
    /// 3.12 and newer.
    pub(super) obmalloc_state: Option<ObmallocState>,
    /// 3.13 and newer.
    debug_offsets_layout: Option<BTreeMap<String, u64>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Runtime {
    /// 3.8; later in each interpreter.
    pub(super) gc: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct InterpreterState {
    pub(super) gc: Option<u64>,
    pub(super) obmalloc: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ThreadState {
    /// 3.11 and newer: the newest piece of the thread's stack of frames.
    pub(super) datastack_chunk: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct TypeObject {
    pub(super) tp_name: u64,
    pub(super) tp_basicsize: u64,
    pub(super) tp_itemsize: u64,
    pub(super) tp_flags: u64,
    pub(super) tp_base: u64,
    pub(super) ht_qualname: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Gc {
    pub(super) gc_head_size: u64,
    pub(super) gc_generation_size: u64,
    pub(super) generation0_ptr: u64,
    pub(super) permanent_generation: u64,
    pub(super) generations: u64,
    pub(super) collecting: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Unicode {
    pub(super) length: u64,
    pub(super) state: u64,
    pub(super) ascii_data: u64,
    pub(super) compact_data: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Allocators {
    pub(super) raw: u64,
    pub(super) obj: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ObmallocState {
    pub(super) interp_obmalloc_is_pointer: bool,
    pub(super) arenas: u64,
    pub(super) maxarenas: u64,
    pub(super) raw_allocated_blocks: u64,
}

impl Layout {
    /// The table of this interpreter's minor version, with what the interpreter states itself;
    /// `None` if the embedded file does not have it: a defect of memtrace.
    #[must_use]
    pub(super) fn of(interpreter: &Interpreter, memory: &impl ReadMemory) -> Option<Self> {
        let mut layout = Self::read(interpreter.version.minor)?;
        // 3.13 and newer state where an interpreter's collector is; the tables are of one patch
        // release.
        if let Some(at) =
            layout.debug_offsets_layout.as_ref().and_then(|it| it.get("interpreter_state_gc"))
            && let Some(gc) = memory.read_u64(interpreter.runtime.wrapping_add(*at))
            && gc < 1 << 20
        {
            layout.interpreter_state.gc = Some(gc);
        }
        Some(layout)
    }

    fn read(minor: u8) -> Option<Self> {
        let mut file: toml::Table = toml::from_str(OFFSETS).ok()?;
        file.remove(&format!("v3_{minor}"))?.try_into().ok()
    }

    /// Number of size classes.
    #[must_use]
    pub(super) fn classes(&self) -> usize {
        (self.small_request_threshold / self.block_alignment.max(1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::version::{NEWEST_MINOR, OLDEST_MINOR};

    #[test]
    fn every_supported_version_has_what_a_snapshot_needs() {
        for minor in OLDEST_MINOR..=NEWEST_MINOR {
            let layout = Layout::read(minor).unwrap();
            assert_eq!(layout.classes(), 32, "3.{minor}");
            assert_eq!(layout.arena_size / layout.pool_size, 64, "3.{minor}");
            assert_eq!(layout.interpreter_state.gc.is_some(), minor >= 9, "3.{minor}");
            assert_eq!(layout.runtime.gc.is_some(), minor == 8, "3.{minor}");
            assert_eq!(layout.obmalloc_state.is_some(), minor >= 12, "3.{minor}");
            assert_eq!(layout.allocators.is_some(), minor >= 12, "3.{minor}");
            assert_eq!(layout.gc.gc_head_size, 16, "3.{minor}");
        }
        assert!(Layout::read(16).is_none());
    }
}
