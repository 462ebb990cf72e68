//! Where a CPython evaluates frames: a native stack ends there, and Python's own begins.

use std::fs::File;
use std::ops::Range;

use object::elf::{SHT_DYNSYM, SHT_SYMTAB};

use super::limits::MAX_FILE_BYTES;
use super::symbols;
use super::unwind::Tables;
use crate::python::BoundedRead;

/// Exported by every CPython from 3.6 on (`Include/cpython/ceval.h`), so stripped ones have it, too.
const EVALUATION: &[u8] = b"_PyEval_EvalFrameDefault";

/// Interpreters made of tail calls have a function for each instruction (`Python/ceval.c`, 3.14).
const TAIL_CALLS: &[u8] = b"_TAIL_CALL_";

/// Addresses of an interpreter's frame evaluation; nothing for other files.
pub(super) fn ranges(file: &File, tables: &Tables) -> Vec<Range<u64>> {
    let data = &BoundedRead::new(file, MAX_FILE_BYTES);
    let mut whole = symbols::ranges(data, SHT_DYNSYM, |name| name == EVALUATION);
    if whole.is_empty() {
        // A program that embeds an interpreter need not export it.
        return symbols::ranges(data, SHT_SYMTAB, is_part);
    }
    let parts = symbols::ranges(data, SHT_SYMTAB, is_part);
    if parts.is_empty() {
        let cold = tables.cold_parts(&whole);
        whole.extend(cold);
    }
    whole.extend(parts);
    whole
}

fn is_part(name: &[u8]) -> bool {
    name.starts_with(TAIL_CALLS)
        || name.strip_prefix(EVALUATION).is_some_and(|rest| rest.is_empty() || rest[0] == b'.')
}
