//! Looking for a target's interpreter: at `exec` the program is there and its libraries are not,
//! so the look is repeated, quickly at first.

use std::time::{Duration, Instant};

use tracing::debug;

use super::target::{Recognition, Target};
use crate::ledger::Missing;
use crate::python::Images;
use crate::python::Interpreter;
use crate::python::TargetMemory;
use crate::python::{Discovery, discover};

/// Time from one look to the next: a millisecond while a loader does its work, then ever longer,
/// since a program may load an interpreter at any time.
fn pause(looks: u32) -> Duration {
    match looks {
        0..Recognition::QUICK_LOOKS => Duration::from_millis(1),
        100..200 => Duration::from_millis(10),
        _ => Duration::from_millis(500),
    }
}

/// Looks after which a started interpreter is taken as it is, though it never said its full
/// version.
pub(super) const ENOUGH_LOOKS: u32 = 150;

/// Looks once. The interpreter, when it was found.
pub(super) fn look(target: &mut Target, images: &mut Images) -> Option<Interpreter> {
    let looks = target.recognition.map_or(0, |recognition| recognition.looks);
    target.recognition = Some(Recognition { due: Instant::now() + pause(looks), looks: looks + 1 });
    let begun = Instant::now();
    let discovery = discover(target.pid, images);
    debug!("process {}: look {looks} took {:?}", target.pid, begun.elapsed());
    match discovery {
        Ok(Discovery::Python(interpreter)) => {
            let (started, confirmed) = (interpreter.started, interpreter.slot_confirmed);
            debug!("process {}: started {started}, slot confirmed {confirmed}", target.pid);
            Some(*interpreter)
        }
        Ok(Discovery::Refused(refusal)) => {
            target.recognition = None;
            target.notes.push(format!("{refusal}"));
            None
        }
        Ok(Discovery::NotPython) => None,
        Err(error) => {
            debug!("process {}: {error}", target.pid);
            None
        }
    }
}

/// More than this of one text is not read.
const TEXT_LIMIT: usize = 64 << 10;

/// Reads a text that the kernel side could not, because its page is not in memory: pages of a
/// file are read from the file.
pub(super) fn supply(target: &mut Target, missing: Missing) {
    let length = (missing.total as usize).min(TEXT_LIMIT);
    let memory = TargetMemory::open(target.pid).ok();
    if let Some(bytes) = memory.and_then(|memory| memory.bytes(missing.address, length)) {
        target.stacks.supply(missing, &bytes);
    }
}
