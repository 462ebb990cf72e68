//! From a process id to its interpreter: not Python, traceable, or Python, but: why not.
//!
//! Everything is read from outside; the process is neither stopped nor changed. Nothing here
//! knows the kernel side: the result's [`PyLayout`](memtrace_common::layout::PyLayout) is all
//! that it gets.

use std::fs::File;
use std::io::{Read, Seek};
use std::thread::sleep;
use std::time::Duration;

use memtrace_common::memory::ReadMemory;

use super::debug_offsets::{DEBUG_OFFSETS_SIZE, DebugOffsets};
use super::image::Images;
use super::interpreter::{Build, Interpreter};
use super::layouts::{self, Table};
use super::likeness::Likeness;
use super::locate::{self, Located, Search};
use super::maps::Mappings;
use super::memory::TargetMemory;
use super::offsets::Offsets;
use super::refusal::{DiscoverError, Refusal};
use super::settle::{self, Known, Settled};
use super::thread_area::ThreadArea;
use super::version::{NEWEST_MINOR, NamedVersion, OLDEST_MINOR, Version};
use crate::machine::HERE;

/// What a process turned out to be.
#[derive(Debug)]
pub enum Discovery {
    /// No Python in it (yet: a program may load one later).
    NotPython,
    /// A CPython that can be traced.
    Python(Box<Interpreter>),
    /// A Python that can't be traced.
    Refused(Refusal),
}

/// What stops discovery on its way: an answer or an error.
enum Stop {
    Refused(Refusal),
    Failed(DiscoverError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<E: Into<DiscoverError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Bytes of an interpreter's writable data that are searched for its version.
const DATA_LIMIT: u64 = 16 << 20;

/// Bytes of an image that are searched for its library path.
const IMAGE_LIMIT: u64 = 64 << 20;

/// Looks at a process, given by its id in *our* pid namespace (it may live in another one).
///
/// # Errors
///
/// [`DiscoverError`] when the process could not be looked at: gone, or not allowed.
pub fn discover(pid: u32, images: &mut Images) -> Result<Discovery, DiscoverError> {
    for _ in 0..ATTEMPTS {
        match discover_once(pid, images) {
            Ok((discovery @ Discovery::Python(_), _)) | Ok((discovery, true)) => {
                return Ok(discovery);
            }
            Ok((_, false)) => {}
            Err(DiscoverError::Exited { .. }) if !is_dead(pid) => {}
            Err(error) => return Err(error),
        }
        sleep(PAUSE);
    }
    // It calls `exec` again and again, or takes its time about one.
    if is_dead(pid) { Err(DiscoverError::Exited { pid }) } else { Ok(Discovery::NotPython) }
}

/// A process that calls `exec` has no memory for a moment, or is another program when its old one
/// has just been looked at. So often that is put down to chance.
const ATTEMPTS: usize = 5;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(1);

/// The answer, and whether the process still runs the same program.
fn discover_once(pid: u32, images: &mut Images) -> Result<(Discovery, bool), DiscoverError> {
    let failed = |error| DiscoverError::from_io(pid, error);
    let mappings = Mappings::of(pid).map_err(failed)?;
    if mappings.is_empty() {
        return match is_dead(pid) {
            true => Err(DiscoverError::Exited { pid }),
            false => Ok((Discovery::NotPython, true)),
        };
    }
    let memory = TargetMemory::with_mappings(pid, mappings).map_err(failed)?;
    let discovery = match locate::search(&memory, images) {
        Search::Nothing { denied: true } => return Err(DiscoverError::FilesDenied { pid }),
        Search::Nothing { denied: false } => Discovery::NotPython,
        Search::PyPy(path) => {
            Discovery::Refused(Refusal::PyPy { image: path.display().to_string() })
        }
        Search::CPython(located) => {
            match look_into(&memory, &located, ThreadArea::of(&memory, images)) {
                Ok(interpreter) => Discovery::Python(Box::new(interpreter)),
                Err(Stop::Refused(refusal)) => Discovery::Refused(refusal),
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
    };
    let now = Mappings::of(pid).map_err(failed)?;
    if now.is_empty() {
        return Err(DiscoverError::Exited { pid });
    }
    let first = |mappings: &Mappings| mappings.iter().find(|it| it.executable).cloned();
    Ok((discovery, first(&now) == first(memory.mappings())))
}

/// Kernel threads have no mappings either.
fn is_dead(pid: u32) -> bool {
    procfs::process::Process::new(pid.cast_signed())
        .and_then(|process| process.stat())
        .map_or(true, |stat| matches!(stat.state, 'Z' | 'X'))
}

fn look_into(
    memory: &TargetMemory,
    located: &Located,
    area: Option<ThreadArea>,
) -> Result<Interpreter, Stop> {
    let image = located.mapping.path.display().to_string();
    if located.image.machine != HERE.elf() || !located.image.is_64 {
        let (machine, bits) = (located.image.machine, if located.image.is_64 { 64 } else { 32 });
        return Err(Refusal::Machine { image, machine, bits }.into());
    }
    let Some(named) = find_version(memory, located) else {
        return Err(Refusal::UnknownVersion { image }.into());
    };
    let table = supported_table(&named)?;
    let self_check = |found: String| Refusal::SelfCheck { version: named.text.clone(), found };
    let runtime = located
        .address("_PyRuntime")
        .ok_or_else(|| self_check("it defines no _PyRuntime".to_owned()))?;
    let mut notes = Vec::new();
    let offsets = own_offsets(memory, runtime, &named, table, &mut notes)?;
    let mut layout = offsets.layout().map_err(|error| self_check(error.to_string()))?;
    let code_type = located.address("PyCode_Type");
    layout.code_type_address = code_type.unwrap_or(0);
    check_code_type(memory, code_type, &offsets, &mut notes).map_err(self_check)?;

    let reader = located.address("PyGILState_GetThisThreadState");
    let known = Known { kind: table.tstate_slot, reader, area };
    let Settled { layout, begun, started, slot_confirmed } =
        settle::settle(memory, &offsets, runtime, known, layout, &mut notes).map_err(self_check)?;

    let pid = memory.pid();
    let tp_dealloc = code_type.and_then(|code_type| memory.read_u64(code_type + TP_DEALLOC));
    Ok(Interpreter {
        version: named.version,
        image: located.mapping.path.clone(),
        build: Build { shared: located.is_shared(), stripped: located.image.stripped },
        layout,
        line_table: table.line_table,
        started,
        slot_confirmed,
        code_dealloc: tp_dealloc.and_then(|address| located.probe_point(pid, address)),
        eval_frame: located
            .address("_PyEval_EvalFrameDefault")
            .and_then(|address| located.probe_point(pid, address)),
        jit: named.version.minor >= 13 && jit_asked_for(pid),
        likeness: begun.and_then(|begun| Likeness::of(memory, located, begun)),
        notes,
        offsets,
        runtime,
        text: named.text,
    })
}

/// `PyTypeObject.tp_dealloc`, after `tp_name`, `tp_basicsize` and `tp_itemsize`
/// (`Include/cpython/object.h`, the same in 2.7 to 3.15).
const TP_DEALLOC: u64 = 48;

/// The table of a supported version, or why it isn't one.
fn supported_table(named: &NamedVersion) -> Result<&'static Table, Stop> {
    let version = named.text.clone();
    match named.version {
        Version { major: 3, minor, .. } if minor > NEWEST_MINOR => {
            Err(Refusal::TooNew { version }.into())
        }
        Version { major: 3, minor, .. } if minor >= OLDEST_MINOR => {
            layouts::table(minor)?.ok_or_else(|| Refusal::TooNew { version }.into())
        }
        _ => Err(Refusal::TooOld { version }.into()),
    }
}

/// The version, from the surest place to the least sure. `Py_Version` (3.11 and newer) is in the
/// file; the buffer of `Py_GetVersion` is filled when the runtime starts.
fn find_version(memory: &TargetMemory, located: &Located) -> Option<NamedVersion> {
    if let Some(address) = located.address("Py_Version") {
        return NamedVersion::from_hexadecimal(memory.read_u32(address)?);
    }
    NamedVersion::from_get_version(&writable_data(memory, located))
        .or_else(|| NamedVersion::from_file_name(located.mapping.file_name()))
        .or_else(|| {
            let mut image = Vec::new();
            let mut file = &located.file;
            file.rewind().ok()?;
            file.take(IMAGE_LIMIT).read_to_end(&mut image).ok()?;
            NamedVersion::from_library_path(&image)
        })
}

/// The image's writable memory, with the anonymous mapping behind it (`.bss`); zeros for what
/// isn't there.
fn writable_data(memory: &TargetMemory, located: &Located) -> Vec<u8> {
    let mut data = Vec::new();
    let mut end = 0;
    for mapping in memory.mappings().iter().filter(|mapping| mapping.writable) {
        let bss = mapping.start == end && mapping.path.as_os_str().is_empty();
        if !bss && !mapping.same_file(&located.mapping) {
            continue;
        }
        end = mapping.end;
        let mut page = vec![0; procfs::page_size() as usize];
        for address in mapping.range().step_by(page.len()) {
            if data.len() as u64 >= DATA_LIMIT {
                return data;
            }
            if !memory.read(address, &mut page) {
                page.fill(0);
            }
            data.extend_from_slice(&page);
        }
    }
    data
}

/// The table's offsets, replaced by what the interpreter itself says (3.13 and newer).
fn own_offsets(
    memory: &TargetMemory,
    runtime: u64,
    named: &NamedVersion,
    table: &Table,
    notes: &mut Vec<String>,
) -> Result<Offsets, Stop> {
    let version = || named.text.clone();
    let measured = table.offsets(named.version.minor)?;
    if table.debug_offsets_layout.is_none() {
        return Ok(measured);
    }
    let Some(bytes) = memory.bytes(runtime, DEBUG_OFFSETS_SIZE) else {
        notes.push("_Py_DebugOffsets can't be read; memtrace's own table is used".to_owned());
        return Ok(measured);
    };
    let Some(own) = DebugOffsets::new(&bytes, table) else {
        let found = "_PyRuntime does not begin with _Py_DebugOffsets".to_owned();
        return Err(Refusal::SelfCheck { version: version(), found }.into());
    };
    if own.version().map(|own| own.version) != Some(named.version) {
        let found = "_Py_DebugOffsets is of another version".to_owned();
        return Err(Refusal::SelfCheck { version: version(), found }.into());
    }
    if own.free_threaded() {
        return Err(Refusal::FreeThreaded { version: version() }.into());
    }
    let mut offsets = own
        .apply(&measured)
        .map_err(|error| Refusal::SelfCheck { version: version(), found: error.to_string() })?;
    // The key is not among what the interpreter states. It stands behind the list of
    // interpreters; where that has moved, so has the key.
    if offsets.runtime.interpreters_head != measured.runtime.interpreters_head {
        offsets.runtime.auto_tss_key = None;
        notes.push(format!("CPython {} has moved autoTSSkey; its place is not known", named.text));
    }
    Ok(offsets)
}

/// `PyCode_Type.tp_basicsize` differs between versions and is in the file: the first thing that
/// goes wrong with a wrong table.
fn check_code_type(
    memory: &TargetMemory,
    code_type: Option<u64>,
    offsets: &Offsets,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let Some(code_type) = code_type else {
        notes.push("PyCode_Type is not exported: code objects can't be checked".to_owned());
        return Ok(());
    };
    let expected = u64::from(offsets.runtime.code_basicsize);
    match memory.read_u64(code_type.wrapping_add(offsets.runtime.tp_basicsize.into())) {
        Some(size) if size == expected => Ok(()),
        Some(size) => Err(format!("code objects have {size} bytes instead of {expected}")),
        None => {
            notes.push("PyCode_Type can't be read: its size was not checked".to_owned());
            Ok(())
        }
    }
}

/// `PYTHON_JIT` in the environment that the process began with (`Doc/using/cmdline.rst`). A JIT
/// that is on by build option is not seen.
fn jit_asked_for(pid: u32) -> bool {
    const ENVIRONMENT_LIMIT: u64 = 4 << 20;
    let mut environment = Vec::new();
    let read = File::open(format!("/proc/{pid}/environ"))
        .and_then(|file| file.take(ENVIRONMENT_LIMIT).read_to_end(&mut environment));
    read.is_ok()
        && environment
            .split(|&byte| byte == 0)
            .filter_map(|variable| variable.strip_prefix(b"PYTHON_JIT="))
            .any(|value| !value.is_empty() && value != b"0")
}
