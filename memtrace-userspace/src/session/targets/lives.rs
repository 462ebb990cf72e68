//! How targets begin and end: forks, calls of `exec`, exits.

use std::time::Instant;

use memtrace_common::event::{Execed, Exited, Forked};
use memtrace_common::settings::Tally;
use tracing::debug;

use super::super::target::{Recognition, Target, command_line};
use super::Targets;
use crate::profile::Ending;

impl Targets {
    pub(super) fn forked(&mut self, event: &Forked) {
        let mut child = Target::new(event.pid, event.header.space, event.mm, event.pages);
        let mut interpreter = None;
        if let Some(parent) = self.targets.get(&event.parent) {
            child.parent = Some(parent.pid);
            child.python.clone_from(&parent.python);
            child.files.clone_from(&parent.files);
            child.native = parent.native.as_ref().map(|native| native.forked(event.pid));
            if child.command.is_empty() {
                child.command.clone_from(&parent.command);
            }
            interpreter = self.bindings.interpreter(parent.space).cloned();
            // Even with the layout at hand: its parent may have been recognised between the fork
            // and now.
            if interpreter.is_none() || parent.recognition.is_some() {
                child.recognition = Some(Recognition { due: Instant::now(), looks: 0 });
            }
        }
        let space = child.space;
        self.add(child);
        if let Some(interpreter) = interpreter {
            self.recognised(space, interpreter);
        }
        if let Err(error) = self.begin_lens(space) {
            debug!("{error}");
        }
    }

    pub(super) fn execed(&mut self, event: &Execed, arguments: &[u8]) {
        if self.expected == Some(event.pid) {
            self.expected = None;
        }
        let parent = self.targets.get(&event.old).and_then(|old| old.parent);
        self.finish_target(event.old, Ending::Execed, event.old_tally);
        let mut target = Target::unread(event.pid, event.header.space, event.mm, event.pages);
        target.describe(&event.program, arguments);
        if target.command.is_empty() {
            target.command = command_line(event.pid);
        }
        target.parent = parent;
        target.recognition = Some(Recognition { due: Instant::now(), looks: 0 });
        if target.command.is_empty() {
            let end = event.comm.iter().position(|byte| *byte == 0).unwrap_or(event.comm.len());
            target.command = vec![String::from_utf8_lossy(&event.comm[..end]).into_owned()];
        }
        self.meet(&mut target);
        let space = target.space;
        self.add(target);
        if let Err(error) = self.begin_lens(space) {
            debug!("{error}");
        }
    }

    pub(super) fn exited(&mut self, event: &Exited) {
        if let Some(note) = self.kills.note(event.exit_code)
            && let Some(target) = self.targets.get_mut(&event.header.space)
        {
            target.notes.push(note);
        }
        self.finish_target(event.header.space, Ending::Exited, event.tally);
    }

    pub(in crate::session) fn finish_target(&mut self, space: u32, ending: Ending, tally: Tally) {
        let (all, at) = (self.open_events(), self.journal.now());
        self.end_calls(at, space);
        if let Some(target) = self.targets.get_mut(&space)
            && target.is_live()
        {
            target.ending = ending;
            target.tally = tally;
            if let Some(lenses) = &mut self.lenses {
                lenses.end(target, at, &mut self.probes, &mut self.journal);
            }
            if self.machine.is_some() && target.python.is_none() {
                target.tell_nothing(at, &mut self.journal);
            } else {
                target.close_books(at, all, Vec::new(), &mut self.journal);
            }
            if ending == Ending::Exited
                && let Some(lenses) = &mut self.lenses
            {
                lenses.let_go(target.pid);
            }
            self.bindings.forget(space);
            self.probes.forget(target.mm, space);
            self.retire(space);
        }
    }
}
