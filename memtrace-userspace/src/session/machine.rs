//! What tracing a whole machine takes beyond tracing chosen targets: every program that calls `exec`
//! has a space at once, so that no Python is missed, and is sent away when it turns out to be none.
//!
//! Which Pythons are wanted is not decided here; see [`Session::let_go`](super::Session::let_go).

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;

use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn as _, FileHeader as _};

use super::facts::Facts;
use super::target::{Recognition, Target};
use super::targets::Targets;
use crate::history::entry::SpaceId;
use crate::kernel::KernelError;
use crate::kernel::descriptors::is_about_descriptors;
use crate::python::{BoundedRead, FILE_LIMIT};

/// Programs that are remembered to be no Python. Beyond that they are learnt anew.
const MOST_FOREIGN: usize = 4096;

/// Looks at a program that is linked with an interpreter, or called as they are, before it is sent away:
/// a second, for loaders on a busy machine. Any other is sent away at the first look; one that loads an
/// interpreter later is found by whoever lists the machine's processes.
const PATIENCE: u32 = 2 * Recognition::QUICK_LOOKS;

/// A Python that can't be traced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// In our pid namespace.
    pub pid: u32,
    /// Its arguments.
    pub command: Vec<String>,
    /// Why not: a sentence.
    pub why: String,
}

/// Whether an interpreter's library may still be about to be loaded: the program is linked with it, is
/// called as interpreters are, or is a loader that was given one.
fn may_become_python(pid: u32) -> bool {
    let exe = format!("/proc/{pid}/exe");
    let name = std::fs::read_link(&exe).unwrap_or_default();
    let name = name.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.contains("python")
        || name.starts_with("ld-")
        || match std::fs::File::open(exe) {
            Ok(file) => needs_python(&file).unwrap_or(true),
            // Nobody could look.
            Err(error) => is_about_descriptors(&error),
        }
}

/// Whether an ELF file names libpython among the libraries that it needs.
fn needs_python(file: &std::fs::File) -> Result<bool, object::Error> {
    let data = &BoundedRead::new(file, FILE_LIMIT);
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let Some((entries, link)) = sections.dynamic(endian, data)? else { return Ok(false) };
    let strings = sections.strings(endian, data, link)?;
    for entry in entries.iter().filter(|entry| entry.tag(endian) == DT_NEEDED) {
        let name = entry.string(endian, strings)?;
        if name.windows(LIBRARY.len()).any(|part| part == LIBRARY) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What libraries of interpreters are called.
const LIBRARY: &[u8] = b"libpython";

/// A file: device, inode, time of last change.
type FileId = (u64, u64, i64, i64);

/// What is known of the machine's programs.
#[derive(Debug, Default)]
pub(super) struct Machine {
    /// Executables that are no Python and not linked with one.
    foreign: HashSet<FileId>,
    /// Spaces whose programs may yet load an interpreter.
    patient: HashSet<u32>,
    strangers: Vec<Stranger>,
    facts: Vec<(SpaceId, Facts)>,
    /// Spaces to be let go of in the next round.
    unwanted: Vec<SpaceId>,
}

fn executable(pid: u32) -> Option<FileId> {
    let file = std::fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    Some((file.dev(), file.ino(), file.ctime(), file.ctime_nsec()))
}

impl Targets {
    /// A program has begun. One that is known not to be Python is let go of in the next round.
    pub(super) fn meet(&mut self, target: &mut Target) {
        let Some(machine) = &mut self.machine else { return };
        if executable(target.pid).is_some_and(|file| machine.foreign.contains(&file)) {
            target.recognition = None;
            machine.unwanted.push(SpaceId(target.space));
        }
    }

    /// A target turned out to be Python. What is to be known of it is read at once: it may be gone
    /// soon.
    pub(super) fn note_facts(&mut self, pid: u32, space: u32) {
        if let Some(machine) = &mut self.machine {
            let program = self.targets.get(&space).and_then(|target| target.program);
            let mut facts = Facts::of(pid);
            if let (Some(program), 0) = (program, facts.started) {
                facts = Facts::told(pid, &program);
            }
            machine.facts.push((SpaceId(space), facts));
            if let Some(file) = executable(pid) {
                machine.foreign.remove(&file);
            }
        }
    }

    pub(super) fn take_facts(&mut self) -> Vec<(SpaceId, Facts)> {
        self.machine.as_mut().map_or_else(Vec::new, |machine| std::mem::take(&mut machine.facts))
    }

    /// Lets go of the targets that are no Python, or none that can be traced.
    pub(super) fn send_away(&mut self) -> Result<(), KernelError> {
        let Some(machine) = &mut self.machine else { return Ok(()) };
        let mut unwanted = std::mem::take(&mut machine.unwanted);
        for target in self.targets.values_mut().filter(|target| target.is_live()) {
            if target.python.is_some() {
                continue;
            }
            match target.recognition {
                Some(recognition) if recognition.looks == 0 => {}
                Some(recognition) if machine.patient.contains(&target.space) => {
                    if recognition.looks > PATIENCE {
                        unwanted.push(SpaceId(target.space));
                    }
                }
                Some(_) if may_become_python(target.pid) => {
                    machine.patient.insert(target.space);
                }
                Some(_) => {
                    // One that has ended is judged by its records that are still to be booked: the
                    // kernel side may have recognised it.
                    let Some(file) = executable(target.pid) else { continue };
                    if machine.foreign.len() >= MOST_FOREIGN {
                        machine.foreign.clear();
                    }
                    machine.foreign.insert(file);
                    unwanted.push(SpaceId(target.space));
                }
                None => {
                    if let Some(why) = target.notes.pop() {
                        let (pid, command) = (target.pid, target.command.clone());
                        machine.strangers.push(Stranger { pid, command, why });
                    }
                    unwanted.push(SpaceId(target.space));
                }
            }
        }
        unwanted.sort_unstable();
        unwanted.dedup();
        self.let_go(&unwanted)
    }

    /// Lets go of targets that run on, and forgets them.
    pub(super) fn let_go(&mut self, spaces: &[SpaceId]) -> Result<(), KernelError> {
        let live = |space: &&SpaceId| self.targets.get(&space.0).is_some_and(Target::is_live);
        let spaces: Vec<SpaceId> = spaces.iter().filter(live).copied().collect();
        if spaces.is_empty() {
            return Ok(());
        }
        let pids: Vec<_> =
            spaces.iter().map(|space| (self.targets[&space.0].pid, space.0)).collect();
        self.probes.close_anyway(&pids)?;
        let (all, at) = (self.open_events(), self.journal.now());
        for SpaceId(space) in spaces {
            let Some(mut target) = self.targets.remove(&space) else { continue };
            if let Some(known) = self.probes.space(target.mm, space) {
                target.tally = known.tally;
            }
            if target.python.is_some() {
                target.close_books(at, all, Vec::new(), &mut self.journal);
            } else {
                target.tell_nothing(at, &mut self.journal);
            }
            if !self.targets.values().any(|other| other.pid == target.pid && other.is_live()) {
                self.probes.forget_threads(threads(target.pid));
            }
            self.probes.forget(target.mm, space);
            self.bindings.forget(space);
            target.let_go();
        }
        self.order.retain(|space| self.targets.contains_key(space));
        Ok(())
    }

    /// Forgets for whom it had patience.
    pub(super) fn lose_patience(&mut self) {
        if let Some(machine) = &mut self.machine {
            machine.patient.retain(|space| self.targets.contains_key(space));
        }
    }

    pub(super) fn take_strangers(&mut self) -> Vec<Stranger> {
        self.machine
            .as_mut()
            .map_or_else(Vec::new, |machine| std::mem::take(&mut machine.strangers))
    }
}

fn threads(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_program_that_is_linked_with_no_interpreter_is_known_by_its_file() {
        assert!(!needs_python(&File::open("/proc/self/exe").unwrap()).unwrap());
        assert!(!may_become_python(std::process::id()));
        // What can't be read may be anything.
        assert!(needs_python(&File::open("/proc/self/maps").unwrap()).is_err());
    }
}
