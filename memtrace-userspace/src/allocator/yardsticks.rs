//! Functions of CPython's that may be called in proportion to a program's work, and not too often.
//!
//! Which of them is, in a target, is found by trying (`session/yardstick.rs`). Builds with link-time
//! optimisation have many a function inside of its callers; what types point to is called in every build.

use std::collections::HashMap;
use std::os::unix::fs::FileExt as _;

use memtrace_common::memory::ReadMemory as _;
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSymbol as _};

use super::cpython::Code;
use super::entry;
use crate::python::{BoundedRead, FILE_LIMIT, Images, Interpreter, ProbePoint, TargetMemory};

/// A function whose calls may be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Yardstick {
    /// `PyDict_New`, `PyMethod_Type.tp_dealloc`
    pub name: String,
    /// Where it is.
    pub point: ProbePoint,
}

/// Exported functions; each version has some of them.
const FUNCTIONS: [&str; 59] = [
    "PyArg_ParseTupleAndKeywords",
    "PyArg_UnpackTuple",
    "PyBuffer_Release",
    "PyByteArray_FromStringAndSize",
    "PyBytes_FromStringAndSize",
    "PyContextVar_Get",
    "PyDict_New",
    "PyErr_ExceptionMatches",
    "PyErr_GivenExceptionMatches",
    "PyErr_SetString",
    "PyEval_EvalCode",
    "PyEval_RestoreThread",
    "PyEval_SaveThread",
    "PyFloat_FromDouble",
    "PyIter_Next",
    "PyList_Append",
    "PyList_New",
    "PyLong_AsSsize_t",
    "PyLong_FromSsize_t",
    "PyMem_Malloc",
    "PyMem_Realloc",
    "PyMemoryView_FromObject",
    "PyNumber_AsSsize_t",
    "PyNumber_Index",
    "PyObject_Call",
    "PyObject_CallFunctionObjArgs",
    "PyObject_CallMethodObjArgs",
    "PyObject_CallOneArg",
    "PyObject_ClearWeakRefs",
    "PyObject_GetItem",
    "PyObject_GetIter",
    "PyObject_GetOptionalAttr",
    "PyObject_Hash",
    "PyObject_IsInstance",
    "PyObject_RichCompare",
    "PyObject_SetAttr",
    "PyObject_Size",
    "PyObject_Str",
    "PyObject_Vectorcall",
    "PySequence_Fast",
    "PySequence_Tuple",
    "PyTuple_FromArray",
    "PyTuple_Pack",
    "PyUnicode_AsEncodedString",
    "PyUnicode_AsUTF8AndSize",
    "PyUnicode_Format",
    "PyUnicode_Join",
    "_PyCode_Validate",
    "_PyDict_NewPresized",
    "_PyEval_EvalFrameDefault",
    "_PyEval_GetIter",
    "_PyObject_CallFunction_SizeT",
    "_PyObject_GC_New",
    "_PyObject_GetMethod",
    "_PyObject_LookupAttr",
    "_PyObject_LookupSpecial",
    "_PyObject_MakeTpCall",
    "_PyUnicode_JoinArray",
    "_Py_ReachedRecursionLimit",
];

/// `PyTypeObject.tp_dealloc` and `tp_call` (`Include/cpython/object.h`, the same since 2.5).
const DEALLOC: (&str, u64) = ("tp_dealloc", 48);
const CALL: (&str, u64) = ("tp_call", 128);

/// Exported types, and what of each.
const TYPES: [(&str, (&str, u64)); 27] = [
    ("PyByteArray_Type", DEALLOC),
    ("PyCFunction_Type", DEALLOC),
    ("PyCMethod_Type", DEALLOC),
    ("PyCell_Type", DEALLOC),
    ("PyDictItems_Type", DEALLOC),
    ("PyDictIterItem_Type", DEALLOC),
    ("PyDict_Type", DEALLOC),
    ("PyEnum_Type", DEALLOC),
    ("PyFilter_Type", DEALLOC),
    ("PyFrame_Type", DEALLOC),
    ("PyFunction_Type", DEALLOC),
    ("PyGen_Type", DEALLOC),
    ("PyListIter_Type", DEALLOC),
    ("PyList_Type", DEALLOC),
    ("PyMap_Type", DEALLOC),
    ("PyMemoryView_Type", DEALLOC),
    ("PyMethod_Type", DEALLOC),
    ("PyModule_Type", DEALLOC),
    ("PyRange_Type", DEALLOC),
    ("PySet_Type", DEALLOC),
    ("PySlice_Type", DEALLOC),
    ("PySuper_Type", DEALLOC),
    ("PyTraceBack_Type", DEALLOC),
    ("PyTupleIter_Type", DEALLOC),
    ("PyTuple_Type", DEALLOC),
    ("PyType_Type", CALL),
    ("PyZip_Type", DEALLOC),
];

/// Those of an interpreter whose beginning the kernel emulates, each code once.
#[must_use]
pub fn yardsticks(
    memory: &TargetMemory,
    interpreter: &Interpreter,
    images: &mut Images,
) -> Vec<Yardstick> {
    found(memory, interpreter, images).unwrap_or_default()
}

fn found(
    memory: &TargetMemory,
    interpreter: &Interpreter,
    images: &mut Images,
) -> Option<Vec<Yardstick>> {
    let Code { file, image, bias, path, .. } = Code::of(memory, interpreter, images)?;
    let data = &BoundedRead::new(&file, FILE_LIMIT);
    let elf = ElfFile64::<object::Endianness, _>::parse(data).ok()?;
    let symbols: HashMap<&[u8], u64> = elf
        .dynamic_symbols()
        .filter(|symbol| symbol.is_definition())
        .filter_map(|symbol| Some((symbol.name_bytes().ok()?, symbol.address())))
        .collect();
    let symbol = |name: &str| symbols.get(name.as_bytes()).copied();
    let functions = FUNCTIONS.iter().filter_map(|name| Some(((*name).to_owned(), symbol(name)?)));
    let slots = TYPES.iter().filter_map(|(name, (slot, place))| {
        let entry = bias.wrapping_add(symbol(name)?).wrapping_add(*place);
        let address = memory.read_u64(entry)?.wrapping_sub(bias);
        Some((format!("{name}.{slot}"), address))
    });
    let mut all: Vec<Yardstick> = Vec::new();
    for (name, address) in functions.chain(slots) {
        let Some(start) = image.code_offset(address) else { continue };
        let mut code = [0; entry::LENGTH];
        if file.read_exact_at(&mut code, start).is_err() {
            continue;
        }
        let Some(inside) = entry::emulated(&code) else { continue };
        let file_offset = start + inside;
        if !all.iter().any(|known| known.point.file_offset == file_offset) {
            all.push(Yardstick { name, point: ProbePoint { path: path.clone(), file_offset } });
        }
    }
    Some(all)
}
