//! Discovery's last step: has the runtime started, where is the thread state, do frames look like
//! frames?
//!
//! The target runs on while this looks, so each question may be asked a few times; none waits
//! for the target to do something.

use std::thread::sleep;
use std::time::Duration;

use memtrace_common::layout::{FLAG_SLOT_MOVES, PyLayout, Slot};
use memtrace_common::memory::ReadMemory;
use memtrace_common::walk::{Walk, walk};

use super::layouts::TstateSlot;
use super::memory::TargetMemory;
use super::offsets::Offsets;
use super::runtime::{ThreadList, TssKey};
use super::slot::{self, Hint, Place};
use super::thread_area::ThreadArea;
use super::tls;
use crate::machine::{HERE, Machine};

/// How often a question is asked before its answer counts. Thread states are without a thread
/// for some microseconds while a thread begins or ends.
const ATTEMPTS: usize = 6;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(2);
/// Threads whose frames are looked at for the self-check.
const THREADS_CHECKED: usize = 64;

/// Bytes of `PyGILState_GetThisThreadState` that are decoded. It has some 30.
const READER_LENGTH: usize = 48;

/// The layout with its slot, and how sure it is.
#[derive(Debug)]
pub(super) struct Settled {
    /// Complete.
    pub(super) layout: PyLayout,
    /// The same for a process that has only begun, where that can be said.
    pub(super) begun: Option<PyLayout>,
    /// There are thread states.
    pub(super) started: bool,
    /// The slot was seen to be right for every live thread.
    pub(super) slot_confirmed: bool,
}

/// What is known of the slot beforehand.
#[derive(Debug)]
pub(super) struct Known {
    /// What kind of slot this version has.
    pub(super) kind: TstateSlot,
    /// Address of `PyGILState_GetThisThreadState`.
    pub(super) reader: Option<u64>,
    /// Where the C library keeps things.
    pub(super) area: Option<ThreadArea>,
}

/// Finds the slot and checks frames.
///
/// # Errors
///
/// A self-check that failed, in words.
pub(super) fn settle(
    memory: &TargetMemory,
    offsets: &Offsets,
    runtime: u64,
    Known { kind, reader, area }: Known,
    mut layout: PyLayout,
    notes: &mut Vec<String>,
) -> Result<Settled, String> {
    let key_address =
        offsets.runtime.auto_tss_key.map(|offset| runtime.wrapping_add(offset.into()));
    // Only x86-64's code is decoded.
    let reader = reader.filter(|_| HERE == Machine::X86_64);
    let code = reader.and_then(|reader| memory.bytes(reader, READER_LENGTH)).unwrap_or_default();
    if let Some(area) = &area {
        area.put(&mut layout);
    }
    let mut variable = tls::static_variable(&code);
    let mut list = ThreadList::default();
    let mut found = None;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            sleep(PAUSE);
        }
        list = ThreadList::read(memory, offsets, runtime);
        if list.interpreters.is_empty() {
            break;
        }
        if let (None, Some(reader)) = (variable, reader)
            && kind == TstateSlot::ThreadLocal
        {
            variable = tls::library_variable(&code)
                .and_then(|it| it.offset(memory, reader, &list.threads));
        }
        let hint = match (kind, key_address, variable) {
            (TstateSlot::ThreadLocal, _, Some(offset)) => Hint::Variable(offset),
            (TstateSlot::ThreadLocal, _, None) => Hint::AnyVariable,
            (TstateSlot::PthreadKey, None, _) => Hint::AnyKey,
            (TstateSlot::PthreadKey, Some(address), _) => match TssKey::read(memory, address) {
                TssKey::Made(key) => Hint::Key(key),
                TssKey::Absent | TssKey::Nonsense => continue,
            },
        };
        found = area.as_ref().and_then(|area| slot::find(memory, area, &list.threads, hint));
        if found.is_some() {
            break;
        }
    }
    if key_address.is_some_and(|at| TssKey::read(memory, at) == TssKey::Nonsense) {
        return Err("autoTSSkey holds no key".to_owned());
    }
    if list.threads.is_empty() && list.strangers > 0 {
        return Err("thread states do not belong to the interpreter that lists them".to_owned());
    }
    let started = found.is_some()
        || (!list.threads.is_empty()
            && key_address.is_none_or(|at| TssKey::read(memory, at) != TssKey::Absent));
    let variable = variable.filter(|_| kind == TstateSlot::ThreadLocal).map(Place::Static);
    let begun = match (kind, &area, variable) {
        (TstateSlot::ThreadLocal, Some(area), Some(variable)) => {
            let mut begun = layout;
            variable.put(area, &mut begun);
            Some(begun)
        }
        (TstateSlot::ThreadLocal, ..) => None,
        (TstateSlot::PthreadKey, area, _) => {
            let mut begun = layout;
            put_key_address(memory, key_address, area.as_ref(), &mut begun, &mut Vec::new());
            Some(begun).filter(|begun| begun.slot == Slot::KeyAt as u32)
        }
    };
    match (&area, found.or(variable)) {
        (Some(area), Some(place)) => place.put(area, &mut layout),
        _ => put_key_address(memory, key_address, area.as_ref(), &mut layout, notes),
    }
    if offsets.runtime.tstate_current.is_some() && list.interpreters.len() > 1 {
        let offset = offsets.runtime.tstate_current.unwrap_or(0);
        layout.current_tstate_address = runtime.wrapping_add(offset.into());
    }
    if list.interpreters.len() > 1 {
        layout.flags |= FLAG_SLOT_MOVES;
    }
    if started {
        check_frames(memory, offsets, runtime, &layout)?;
        if found.is_none() {
            notes.push("no place was seen to hold the thread state of every thread".to_owned());
        }
    }
    Ok(Settled { layout, begun, started, slot_confirmed: found.is_some() })
}

/// The kernel side reads the key for itself at each event; it knows glibc's layout only.
fn put_key_address(
    memory: &TargetMemory,
    key_address: Option<u64>,
    area: Option<&ThreadArea>,
    layout: &mut PyLayout,
    notes: &mut Vec<String>,
) {
    let musl = memory.mappings().iter().any(|it| it.file_name().starts_with("ld-musl"));
    match (key_address, area) {
        (Some(address), Some(area)) if !musl => {
            layout.slot = Slot::KeyAt as u32;
            layout.key_address = address;
            (layout.slot_first, layout.slot_second) = (area.glibc_first, area.glibc_second);
        }
        _ => notes.push(
            "where threads keep their thread state is not known: threads are bound as they run"
                .to_owned(),
        ),
    }
}

/// Whether the running frame of some thread is of a code object. Threads run on meanwhile, so one
/// good frame is an answer and a bad one is asked again.
fn check_frames(
    memory: &TargetMemory,
    offsets: &Offsets,
    runtime: u64,
    layout: &PyLayout,
) -> Result<(), String> {
    let by_state = PyLayout { slot: Slot::Bound as u32, current_tstate_address: 0, ..*layout };
    if layout.code_type_address == 0 {
        return Ok(());
    }
    let mut bad = None;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            sleep(PAUSE);
        }
        for thread in
            ThreadList::read(memory, offsets, runtime).threads.iter().take(THREADS_CHECKED)
        {
            let mut work = Walk::new();
            walk(memory, &by_state, 0, thread.address, &mut work);
            let Some(frame) = work.frames().first() else { continue };
            let of_type = memory.read_u64(frame.code.wrapping_add(layout.object_type.into()));
            if of_type == Some(layout.code_type_address) {
                return Ok(());
            }
            bad = Some(frame.code);
        }
        if bad.is_none() {
            // No thread runs Python now: nothing to check, and nothing wrong.
            return Ok(());
        }
    }
    bad.map_or(Ok(()), |code| Err(format!("a frame's code, at {code:#x}, is no code object")))
}
