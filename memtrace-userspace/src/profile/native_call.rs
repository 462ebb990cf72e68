//! Both ends of a chain of native calls: where memory grew, and what Python had called. Either alone
//! says little (`memset`, `array_fill`).

use std::sync::Arc;

use super::NativeFrame;

/// Where memory grew, and what Python had called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NativeCall<'a> {
    /// The innermost function.
    pub function: &'a str,
    /// Its library; empty for code made at run time.
    pub library: &'a str,
    /// The outermost one.
    pub called_as: &'a str,
}

impl<'a> NativeCall<'a> {
    /// Of frames, leaf first. How CPython comes to call an extension is left out.
    #[must_use]
    pub fn of(frames: &'a [Arc<NativeFrame>]) -> Self {
        let Some(leaf) = frames.first() else { return Self::default() };
        let any =
            |names: &[&str], library: &str| names.iter().any(|name| library.starts_with(name));
        let is_extension = |frame: &Arc<NativeFrame>| !any(&INTERPRETER, &frame.library);
        let is_libc = |frame: &Arc<NativeFrame>| any(&LIBC, &frame.library);
        let is_call = |frame: &Arc<NativeFrame>| any(&CALLS, &frame.function);
        // The outermost function of an extension; of CPython's own where only libc is above it.
        let of_extension = |frame: &&Arc<NativeFrame>| is_extension(frame) && !is_libc(frame);
        let outermost = frames
            .iter()
            .rfind(|frame| of_extension(frame) && !is_call(frame))
            .or_else(|| frames.iter().rfind(|frame| !is_call(frame)))
            .or(frames.last());
        Self {
            function: &leaf.function,
            library: &leaf.library,
            called_as: outermost.map_or("", |frame| &frame.function),
        }
    }

    /// `libc` for `libc.so.6`, `_multiarray_umath` for `_multiarray_umath.cpython-312-x86_64-linux-gnu.so`.
    #[must_use]
    pub fn short_library(&self) -> &'a str {
        self.library.split('.').next().unwrap_or_default()
    }
}

const INTERPRETER: [&str; 2] = ["libpython", "python"];
/// How calls of any function are made.
const CALLS: [&str; 11] = [
    "PyObject_Vectorcall",
    "PyObject_Call",
    "_PyObject_",
    "_PyVectorcall_",
    "_PyFunction_",
    "cfunction_",
    "method_vectorcall",
    "type_call",
    "object_vacall",
    "wrapperdescr_",
    "dispatcher_vectorcall",
];
const LIBC: [&str; 3] = ["libc.so", "libc-", "ld-linux"];
