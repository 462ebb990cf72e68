//! Where a CPython evaluates frames: a native stack ends there, and Python's own begins.

use std::fs::File;
use std::ops::Range;

use super::symbols::Symbols;
use super::unwind::Tables;

/// Exported by every CPython from 3.6 on (`Include/cpython/ceval.h`), so stripped ones have it, too.
const EVALUATION: &str = "_PyEval_EvalFrameDefault";

/// Interpreters made of tail calls have a function for each instruction (`Python/ceval.c`, 3.14).
const TAIL_CALLS: &str = "_TAIL_CALL_";

/// Addresses of an interpreter's frame evaluation; nothing for other files.
pub(super) fn ranges(file: &File, symbols: &Symbols, tables: &Tables) -> Vec<Range<u64>> {
    let mut whole = symbols.ranges(file, |name| name == EVALUATION);
    if whole.is_empty() {
        return whole;
    }
    let is_part = |name: &str| {
        let rest = name.strip_prefix(EVALUATION);
        rest.is_some_and(|rest| rest.starts_with('.')) || name.starts_with(TAIL_CALLS)
    };
    let named = symbols.ranges(file, is_part);
    if named.is_empty() {
        let cold = tables.cold_parts(&whole);
        whole.extend(cold);
    }
    whole.extend(named);
    whole
}
