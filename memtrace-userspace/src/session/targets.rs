//! All targets of a trace, and what each kind of event means for them.

mod lives;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use memtrace_common::event::Header;
use memtrace_common::native::Native;
use tracing::debug;

use super::binding::Bindings;
use super::familiar::Familiar;
use super::haste::Haste;
use super::journal::Journal;
use super::kills::Kills;
use super::lens::Lenses;
use super::machine::Machine;
use super::past::Past;
use super::recognise;
use super::target::{Known, Recognition, Target, command_line};
use super::thinning::Thinning;
use super::{Plan, SessionError, Traced, visit};
use crate::kernel::{Event, KernelError, Probes, ProcessProbe};
use crate::native::{NativeFiles, NativeProcess};
use crate::python::Images;
use crate::python::Interpreter;
use crate::source::TargetFiles;

/// How often targets are checked for an end that the ring buffer had no room for, and for threads
/// that are still to be bound.
const CHECK: Duration = Duration::from_millis(250);

/// Targets up to which a second interpreter is looked for at each turn of the loop; of more of them only as
/// often as everything is checked. A look takes some microseconds.
const WATCHED_QUICKLY: usize = 32;

/// Every target, dead or alive, by the number of its space.
pub(super) struct Targets {
    pub(super) probes: Probes,
    pub(super) targets: HashMap<u32, Target>,
    /// Those that have ended.
    pub(super) past: HashMap<u32, Past>,
    /// In the order in which they were met.
    pub(super) order: Vec<u32>,
    /// Where what happened is written down.
    pub(super) journal: Journal,
    pub(super) images: Images,
    pub(super) bindings: Bindings,
    /// When the whole machine is traced.
    pub(super) machine: Option<Machine>,
    follow: bool,
    pub(super) uprobes: bool,
    /// Evaluations are counted.
    pub(super) calls: bool,
    /// A command of ours that has not called `exec` yet.
    pub(super) expected: Option<u32>,
    checked: Instant,
    /// Checks so far.
    pub(super) rounds: usize,
    /// No record was left in the ring buffer at some moment since the last check.
    pub(super) emptied: bool,
    /// Spaces that had ended at the last check, and no record of it had come.
    pub(super) ended: HashSet<u32>,
    haste: Haste,
    kills: Kills,
    pub(super) familiar: Familiar,
    pub(super) natives: NativeFiles,
    pub(super) lenses: Option<Lenses>,
    pub(super) thinning: Option<Thinning>,
}

impl Targets {
    pub(super) fn new(mut probes: Probes, plan: &Plan) -> Result<Self, KernelError> {
        let lenses = match plan.lens {
            Some(lens) => Some(Lenses::new(lens, &mut probes)?),
            None => None,
        };
        Ok(Self {
            lenses,
            thinning: None,
            probes,
            targets: HashMap::new(),
            past: HashMap::new(),
            order: Vec::new(),
            journal: Journal::new(plan.keep_entries, !plan.machine),
            images: Images::new(),
            bindings: Bindings::new(plan.binding),
            machine: plan.machine.then(Machine::default),
            follow: plan.follow,
            uprobes: plan.uprobes,
            calls: plan.calls,
            expected: None,
            checked: Instant::now(),
            rounds: 0,
            emptied: false,
            ended: HashSet::new(),
            haste: Haste::default(),
            kills: Kills::new(),
            familiar: Familiar::default(),
            natives: NativeFiles::default(),
        })
    }

    pub(super) fn probes(&mut self) -> &mut Probes {
        &mut self.probes
    }

    /// Begins to trace a process whose interpreter is known.
    pub(super) fn begin(&mut self, pid: u32, interpreter: Interpreter) -> Result<(), SessionError> {
        let layout = self.bindings.layout(&interpreter);
        let Some(begun) = self.probes.begin(pid, &layout, self.follow)? else {
            return Err(SessionError::Gone(pid));
        };
        let mut target = Target::new(pid, begun.space, begun.mm, begun.pages);
        target.files = TargetFiles::open(pid).ok().map(Arc::new);
        self.add(target);
        self.recognised(begun.space, interpreter);
        self.bindings.tend(&mut self.probes, &mut self.targets);
        self.begin_lens(begun.space)?;
        Ok(())
    }

    /// A child of ours is about to call `exec`.
    pub(super) fn expect(&mut self, pid: u32) -> Result<(), KernelError> {
        self.expected = Some(pid);
        self.haste.set(true);
        if let Some(lenses) = &mut self.lenses {
            lenses.expect(pid, &mut self.probes);
        }
        self.probes.expect_exec(pid, self.follow)
    }

    /// The command did not come to `exec` after all, or has ended.
    pub(super) fn any_left(&self) -> bool {
        self.machine.is_some()
            || self.expected.is_some()
            || self.targets.values().any(Target::is_live)
    }

    fn add(&mut self, mut target: Target) {
        target.budget = self.thinning.as_ref().map(|thinning| thinning.budget(target.pid));
        self.order.push(target.space);
        target.tell_beginning(&mut self.journal);
        self.targets.insert(target.space, target);
    }

    /// What a recognised interpreter brings: its version, its notes, where its code objects die.
    fn recognised(&mut self, space: u32, interpreter: Interpreter) {
        self.familiar.meet(&interpreter, &mut self.probes);
        let Some(target) = self.targets.get_mut(&space) else { return };
        target.python =
            Some(Known { version: interpreter.text.clone(), line_table: interpreter.line_table });
        target.notes.clone_from(&interpreter.notes);
        if interpreter.jit {
            target.notes.push(
                "PYTHON_JIT is set: a hot line's growth may be charged to the line before"
                    .to_owned(),
            );
        }
        target.code_dealloc.clone_from(&interpreter.code_dealloc);
        if interpreter.started {
            visit::every_cpu();
        }
        let looks = target.recognition.map_or(0, |recognition| recognition.looks);
        let complete = interpreter.code_dealloc.is_some() && interpreter.version.micro.is_some();
        if interpreter.started && (complete || looks > recognise::ENOUGH_LOOKS) {
            target.recognition = None;
        } else if target.recognition.is_none() {
            target.recognition = Some(Recognition { due: Instant::now(), looks: 0 });
        }
        target.tell_known(&mut self.journal);
        let pid = target.pid;
        self.note_facts(pid, space);
        self.bindings.watch(pid, space, &interpreter, &mut self.probes);
        if let Err(error) = self.count_calls(space, &interpreter) {
            self.note(space, format!("evaluations were not counted: {error}"));
        }
    }

    fn note(&mut self, space: u32, note: String) {
        if let Some(target) = self.targets.get_mut(&space) {
            target.notes.push(note);
            target.tell_known(&mut self.journal);
        }
    }

    /// One record of the kernel side.
    pub(super) fn handle(&mut self, event: Event<'_>) {
        match event {
            Event::Growth(mut event) => self.with(event.header, |target| {
                event.stack = target.stacks.counted_by(event.stack);
                target.books.growth(&event);
            }),
            Event::Native(event, stack) => self.native(&event, stack),
            Event::Returned(event) => {
                self.with(event.header, |target| target.books.returned(&event));
            }
            Event::Moved(event) => self.with(event.header, |target| target.books.moved(&event)),
            Event::Copied(event) => {
                self.with(event.header, |target| target.books.copied(event.stack, event.tid));
            }
            Event::Stack(event, frames) => {
                self.with(event.header, |target| target.stacks.stack(&event, &frames));
            }
            Event::Code(event) => self.with(event.header, |target| target.stacks.code(&event)),
            Event::Text(event, bytes) => self.with(event.header, |target| {
                if let Some(missing) = target.stacks.text(&event, bytes) {
                    recognise::supply(target, missing);
                }
            }),
            Event::CodeFreed(event) => {
                self.with(event.header, |target| target.stacks.code_freed(event.code));
            }
            Event::Evaluated(event) => self.evaluated(&event),
            Event::Forked(event) => self.forked(&event),
            Event::Execed(event, arguments) => self.execed(&event, arguments),
            Event::Recognised(event) => self.met_again(&event),
            Event::Exited(event) => self.exited(&event),
        }
    }

    fn with(&mut self, header: Header, act: impl FnOnce(&mut Target)) {
        match self.targets.get_mut(&header.space) {
            Some(target) => {
                target.stirred = true;
                act(target);
            }
            None => debug!("a record of unknown space {}", header.space),
        }
    }

    fn native(&mut self, event: &Native, stack: &[u8]) {
        let Some(target) = self.targets.get_mut(&event.header.space) else { return };
        let process = target.native.get_or_insert_with(|| NativeProcess::new(target.pid));
        let calls = process.calls(event, stack, &mut self.natives);
        if target.stacks.native(event.id, event.stack, calls.clone()) {
            process.want(event.id, calls);
        }
    }

    /// When the next target is to be looked at for its interpreter.
    fn next_recognition(&self) -> Option<Instant> {
        let recognitions = self.targets.values().filter_map(|target| target.recognition);
        recognitions.map(|recognition| recognition.due).min()
    }

    /// Records come faster than they are booked.
    pub(super) fn hurry(&mut self) {
        self.haste.set(true);
    }

    /// When something is to be done next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let lens = self.lenses.as_ref().and_then(Lenses::due);
        [self.next_recognition(), lens].into_iter().flatten().min()
    }

    /// What is due: looks for interpreters, threads to bind, ends without a record.
    pub(super) fn tend(&mut self, now: Instant) -> Result<(), SessionError> {
        let new = |target: &Target| target.recognition.is_some_and(|known| known.is_pressing());
        self.haste.set(self.expected.is_some() || self.targets.values().any(new));
        let due: Vec<u32> = self
            .targets
            .values()
            .filter(|target| target.recognition.is_some_and(|recognition| recognition.due <= now))
            .map(|target| target.space)
            .collect();
        for space in due {
            self.look_again(space)?;
        }
        self.send_away()?;
        self.tend_lenses(now)?;
        if now.duration_since(self.checked) >= CHECK {
            self.checked = now;
            self.probes.log();
            let spaces = self.due_for_a_check();
            self.find_ended(&spaces);
            self.watch_code(&spaces)?;
            self.thin()?;
            self.bindings.tend(&mut self.probes, &mut self.targets);
            self.tell_grown_interpreters(&spaces)?;
        } else if self.targets.len() <= WATCHED_QUICKLY {
            let stirred = self.targets.values().filter(|target| target.stirred);
            let spaces: Vec<u32> = stirred.map(|target| target.space).collect();
            self.tell_grown_interpreters(&spaces)?;
        }
        Ok(())
    }

    fn look_again(&mut self, space: u32) -> Result<(), SessionError> {
        let Some(target) = self.targets.get_mut(&space) else { return Ok(()) };
        let found = recognise::look(target, &mut self.images);
        let (pid, space) = (target.pid, target.space);
        self.look_with_lens(space, found.as_ref());
        if let Some(interpreter) = found {
            let layout = self.bindings.layout(&interpreter);
            if self.probes.configure(pid, space, &layout)? {
                // The files that it was started with may be others than those of its parent.
                if let Some(target) = self.targets.get_mut(&space) {
                    target.command = command_line(pid);
                    target.files =
                        TargetFiles::open(pid).ok().map(Arc::new).or(target.files.take());
                }
                self.recognised(space, interpreter);
            }
        }
        Ok(())
    }

    /// The processes that are still traced.
    pub(super) fn live(&self) -> Vec<u32> {
        self.targets.values().filter(|target| target.is_live()).map(|target| target.pid).collect()
    }

    /// Takes over the kernel side's last word for the targets that run on.
    pub(super) fn read_tallies(&mut self) {
        for target in self.targets.values_mut().filter(|target| target.is_live()) {
            if let Some(space) = self.probes.space(target.mm, target.space) {
                target.tally = space.tally;
            }
        }
    }

    /// Takes the kernel side off. Closing a uprobe waits for grace periods of the kernel, and
    /// closers that wait together share them, so each link is closed in a thread of its own.
    pub(super) fn detach(self) -> Traced {
        let (files, killed) = (self.files(), self.kills.any());
        let Self { probes, journal, mut targets, lenses, .. } = self;
        let mut links: Vec<ProcessProbe> = Vec::new();
        links.extend(lenses.into_iter().flat_map(Lenses::into_links));
        for target in targets.values_mut() {
            links.extend(target.code_probe.take());
            links.extend(target.eval_probe.take());
            links.extend(target.calls.take().and_then(|calls| calls.probe));
        }
        std::thread::scope(|scope| {
            for link in links {
                scope.spawn(move || drop(link));
            }
        });
        ProcessProbe::wait_for_background();
        // Last, since it says to the process that mends that all are out.
        drop(probes);
        let (history, entries) = journal.into_history();
        Traced { profile: history.profile(), files, entries, killed }
    }
}
