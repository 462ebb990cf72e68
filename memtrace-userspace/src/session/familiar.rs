//! Interpreters that were met before: the kernel side recognises them by their files, and what it then
//! sends is enough for a process's books, also when the process has ended by the time it is read.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use memtrace_common::recognise::{FileKey, MAX_IMAGES, Program, Recognised};

use super::facts::{Facts, Lineage};
use super::target::{Known, Recognition, Target};
use super::targets::Targets;
use crate::kernel::Probes;
use crate::python::Interpreter;
use crate::source::TargetFiles;

/// Until a process that the kernel side recognised is looked at: most are short, and nothing of theirs
/// waits for it.
const AT_LEISURE: Duration = Duration::from_millis(100);

/// Interpreters remembered; the kernel side has forgotten older ones.
const MOST: usize = 4 * MAX_IMAGES as usize;

/// The interpreters.
#[derive(Debug, Default)]
pub(super) struct Familiar {
    numbers: HashMap<FileKey, u32>,
    known: HashMap<u32, Known>,
    order: VecDeque<(FileKey, u32)>,
    next: u32,
}

impl Familiar {
    /// Remembers an interpreter, and has the kernel side know it.
    pub(super) fn meet(&mut self, interpreter: &Interpreter, probes: &mut Probes) {
        let Some(likeness) = interpreter.likeness else { return };
        let known = Known { version: interpreter.text.clone(), line_table: interpreter.line_table };
        if let Some(number) = self.numbers.get(&likeness.file) {
            // The full version may show later than all else.
            if interpreter.version.micro.is_some() {
                self.known.insert(*number, known);
            }
            return;
        }
        self.next += 1;
        self.numbers.insert(likeness.file, self.next);
        self.known.insert(self.next, known);
        self.order.push_back((likeness.file, self.next));
        if self.order.len() > MOST
            && let Some((file, number)) = self.order.pop_front()
        {
            self.numbers.remove(&file);
            self.known.remove(&number);
        }
        let mut image = likeness.image;
        image.number = self.next;
        probes.teach(likeness.file, image);
    }
}

impl Targets {
    /// The kernel side has recognised a target's interpreter.
    pub(super) fn met_again(&mut self, event: &Recognised) {
        let space = event.header.space;
        let Some(known) = self.familiar.known.get(&event.image).cloned() else { return };
        let Some(target) = self.targets.get_mut(&space).filter(|target| target.python.is_none())
        else {
            return;
        };
        target.python = Some(known);
        target.files = TargetFiles::open(target.pid).ok().map(Arc::new);
        // The lens puts its probes where a look finds allocators.
        if target.recognition.is_some() && self.lenses.is_none() {
            let looks = Recognition::QUICK_LOOKS;
            target.recognition = Some(Recognition { due: Instant::now() + AT_LEISURE, looks });
        }
        target.tell_known(&mut self.journal);
        let pid = target.pid;
        self.note_facts(pid, space);
    }
}

impl Target {
    /// Takes over what the kernel side tells of the program; `arguments` are what came of them.
    pub(super) fn describe(&mut self, program: &Program, arguments: &[u8]) {
        self.program = Some(*program);
        if arguments.len() == program.total as usize && !arguments.is_empty() {
            let arguments = arguments.strip_suffix(&[0]).unwrap_or(arguments).split(|it| *it == 0);
            self.command = arguments.map(|it| String::from_utf8_lossy(it).into_owned()).collect();
        }
    }
}

impl Facts {
    /// Facts of a process that ended before it could be asked: what the kernel side told of it, and its
    /// parent's cgroup, since it began in that one.
    pub(super) fn told(pid: u32, program: &Program) -> Self {
        let parent = Self::of(program.parent);
        Self {
            pid,
            parent: program.parent,
            started: program.started_ns / NANOS_PER_TICK,
            user: super::facts::user_name(program.user),
            cgroup: parent.cgroup,
            lineage: super::facts::places_are_random().then_some(Lineage {
                stack: program.stack,
                code: program.code,
                heap: program.heap,
                arguments: program.arguments,
            }),
        }
    }
}

/// `USER_HZ` is 100 on every Linux that has x86-64 or arm64.
const NANOS_PER_TICK: u64 = 10_000_000;
