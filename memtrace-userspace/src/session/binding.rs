//! Threads bound to their thread states by the frame-evaluation probe, where no slot is known.
//!
//! The probe is attached only while a thread is still unbound: every hit costs the target about a
//! microsecond, and up to 3.10 every Python call is a hit.

use std::collections::{HashMap, HashSet};

use memtrace_common::layout::{FLAG_SLOT_MOVES, PyLayout, Slot};
use tracing::{debug, warn};

use super::target::Target;
use crate::kernel::Probes;
use crate::python::maps::Mappings;
use crate::python::runtime::ThreadState;
use crate::python::{Interpreter, TargetMemory};

/// How a thread's state is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// By its slot in thread-local storage, or by the probe where there is none.
    Auto,
    /// By the probe (for tests, and for a libc that memtrace does not know).
    FrameEvaluation,
}

/// Checks that a thread gets to run Python before it is taken for a native one.
const PATIENCE: u32 = 20;

/// A target whose threads are being bound.
struct Watched {
    pid: u32,
    interpreter: Interpreter,
    by_probe: bool,
    /// Checks survived by threads that are still unbound.
    waited: HashMap<u32, u32>,
    native: HashSet<u32>,
}

/// The interpreters of live targets, and those among them that need the probe.
pub(super) struct Bindings {
    mode: Binding,
    watched: HashMap<u32, Watched>,
}

impl Bindings {
    pub(super) fn new(mode: Binding) -> Self {
        Self { mode, watched: HashMap::new() }
    }

    fn needs_probe(&self, interpreter: &Interpreter) -> bool {
        self.mode == Binding::FrameEvaluation
            || (interpreter.started && interpreter.layout.slot == Slot::Unknown as u32)
    }

    /// The layout that the kernel side gets.
    pub(super) fn layout(&self, interpreter: &Interpreter) -> PyLayout {
        if self.needs_probe(interpreter) { interpreter.layout_bound() } else { interpreter.layout }
    }

    /// Begins to look after a target's threads. Those whose thread state is known already are
    /// bound at once: a thread that only calls from Python to Python never hits the probe.
    pub(super) fn watch(
        &mut self,
        pid: u32,
        space: u32,
        interpreter: &Interpreter,
        probes: &mut Probes,
    ) {
        let by_probe = self.needs_probe(interpreter);
        if by_probe {
            for (tid, tstate) in known_threads(pid, interpreter) {
                // A thread that can't be told of is left to the probe.
                if let Err(error) = probes.bind(pid, tid, tstate) {
                    debug!(pid, tid, %error, "thread not bound");
                }
            }
        }
        self.watched.insert(
            space,
            Watched {
                pid,
                interpreter: interpreter.clone(),
                by_probe,
                waited: HashMap::new(),
                native: HashSet::new(),
            },
        );
    }

    pub(super) fn interpreter(&self, space: u32) -> Option<&Interpreter> {
        self.watched.get(&space).map(|watched| &watched.interpreter)
    }

    /// Those of these targets that have got a second interpreter since they were looked at: a thread of theirs
    /// may change its thread state, which the kernel side must then ask for at each event.
    pub(super) fn grown_interpreters(&mut self, spaces: &[u32]) -> Vec<(u32, PyLayout)> {
        let mut grown = Vec::new();
        for space in spaces {
            let Some(watched) = self.watched.get_mut(space) else { continue };
            if watched.by_probe || watched.interpreter.layout.flags & FLAG_SLOT_MOVES != 0 {
                continue;
            }
            // No mapping is asked for: the page must be present, which a list in use is.
            let memory = TargetMemory::with_mappings(watched.pid, Mappings::default());
            if memory.is_ok_and(|memory| watched.interpreter.has_subinterpreters(&memory)) {
                let layout = watched.interpreter.layout_of_several();
                watched.interpreter.layout = layout;
                grown.push((*space, layout));
            }
        }
        grown
    }

    pub(super) fn forget(&mut self, space: u32) {
        self.watched.remove(&space);
    }

    /// Attaches the probe where a thread is unbound, and takes it off where none is.
    pub(super) fn tend(&mut self, probes: &mut Probes, targets: &mut HashMap<u32, Target>) {
        for (space, watched) in self.watched.iter_mut().filter(|(_, watched)| watched.by_probe) {
            let Some(target) = targets.get_mut(space) else { continue };
            if !watched.has_unbound(target.pid, probes) {
                if let Some(probe) = target.eval_probe.take() {
                    probe.close_in_background();
                }
                continue;
            }
            let (None, Some(point)) = (&target.eval_probe, &watched.interpreter.eval_frame) else {
                continue;
            };
            let attached =
                probes.attach_to_process("eval_frame", target.pid, &point.path, point.file_offset);
            match attached {
                Ok(probe) => target.eval_probe = Some(probe),
                Err(error) => warn!("process {}: {error}", target.pid),
            }
        }
    }
}

/// Threads of the process by their ids on this host, with their thread states: told by
/// `native_thread_id` (3.11 and newer, counted inside the target's pid namespace), or by the thread
/// pointer where there is only one thread.
fn known_threads(pid: u32, interpreter: &Interpreter) -> Vec<(u32, u64)> {
    let Ok(memory) = TargetMemory::open(pid) else { return Vec::new() };
    let states = interpreter.threads(&memory).threads;
    let tids = thread_ids(pid);
    if let ([state], [(tid, _)]) = (&states[..], &tids[..]) {
        return vec![(*tid, state.address)];
    }
    let of_state = |state: &ThreadState| {
        let (tid, _) =
            tids.iter().find(|(_, inside)| Some(u64::from(*inside)) == state.native_id)?;
        Some((*tid, state.address))
    };
    states.iter().filter_map(of_state).collect()
}

/// The process's threads: id on this host, id in the innermost pid namespace.
fn thread_ids(pid: u32) -> Vec<(u32, u32)> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of_task = |tid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).ok()?;
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        Some((tid, ids.split_whitespace().last()?.parse().ok()?))
    };
    tasks.flatten().filter_map(|task| of_task(task.file_name().to_str()?.parse().ok()?)).collect()
}

impl Watched {
    /// Whether a thread that may run Python is not bound yet.
    fn has_unbound(&mut self, pid: u32, probes: &Probes) -> bool {
        let threads: HashSet<u32> = thread_ids(pid).into_iter().map(|(tid, _)| tid).collect();
        self.waited.retain(|tid, _| threads.contains(tid));
        let mut unbound = false;
        for tid in threads {
            if self.native.contains(&tid) {
                continue;
            }
            if probes.is_bound(tid) {
                self.waited.remove(&tid);
                continue;
            }
            let waited = self.waited.entry(tid).or_default();
            *waited += 1;
            if *waited > PATIENCE {
                self.native.insert(tid);
            } else {
                unbound = true;
            }
        }
        unbound
    }
}
