//! Names for what the books count: texts, functions, places, stacks and threads, each named once
//! for the whole trace and known by its position in a table from then on.
//!
//! Lines are looked up here, once per stack. Stacks that show the same lines have one id, whatever
//! address their code objects had: what is kept grows with the program, not with time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use memtrace_common::outcome::Outcome;
use memtrace_common::walk::UNKNOWN_INSTR;

use super::stacks::{NamedFrame, NamedStack};
use crate::history::entry::{
    Function, FunctionId, Names, NativeId, NativeName, PlaceId, PlaceName, SpaceId, StackId,
    StackName, TextId, ThreadId, ThreadName,
};
use crate::history::{MAX_THREADS, OTHER_THREADS};
use crate::profile::{NativeFrame, Reason};
use crate::python::{LineTable, LineTableKind};

/// Ids of values, in the order in which they were met.
#[derive(Debug)]
struct Table<T> {
    ids: HashMap<T, u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { ids: HashMap::new() }
    }
}

impl<T: Hash + Eq + Clone> Table<T> {
    /// The value's id; a new value is added to `fresh`.
    fn id(&mut self, value: T, fresh: &mut Vec<T>) -> u32 {
        let next = self.ids.len() as u32;
        *self.ids.entry(value).or_insert_with_key(|value| {
            fresh.push(value.clone());
            next
        })
    }
}

/// The names of one trace.
#[derive(Debug, Default)]
pub struct NameBook {
    texts: Table<String>,
    functions: Table<Function>,
    places: Table<PlaceName>,
    natives: Table<NativeName>,
    stacks: Table<StackName>,
    threads: HashMap<(SpaceId, u32), ThreadId>,
    threads_of_space: HashMap<SpaceId, usize>,
    fresh: Names,
    named_threads: u32,
    bound: Option<usize>,
}

impl NameBook {
    /// What was named since the last time.
    pub fn take_fresh(&mut self) -> Names {
        std::mem::take(&mut self.fresh)
    }

    /// Names so many stacks at most. Lines that only others have are one row
    /// ([`Reason::BeyondLimit`]) from then on.
    pub fn set_bound(&mut self, stacks: usize) {
        self.bound = Some(stacks);
    }

    /// Whether there are as many stacks as there may be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bound.is_some_and(|bound| self.stacks.ids.len() >= bound)
    }

    fn text(&mut self, text: &str) -> TextId {
        match self.texts.ids.get(text) {
            Some(id) => TextId(*id),
            None => TextId(self.texts.id(text.to_owned(), &mut self.fresh.texts)),
        }
    }

    /// A stack's id. Without `kind` nothing is known of the process's Python.
    pub fn stack(&mut self, stack: &NamedStack, kind: Option<LineTableKind>) -> StackId {
        let reason = match stack.outcome {
            Outcome::Complete | Outcome::Truncated | Outcome::CutByUnreadableFrame => {
                let Some(kind) = kind else { return self.row(Reason::NotPython, &stack.thread) };
                if self.is_full() && !self.knows(stack, kind) {
                    return self.row(Reason::BeyondLimit, "");
                }
                let complete = stack.frames.iter().filter(|frame| is_complete(frame));
                let frames: Vec<PlaceId> = complete.map(|frame| self.place(frame, kind)).collect();
                if !frames.is_empty() {
                    let truncated = stack.outcome == Outcome::Truncated;
                    return self.named(StackName::Lines { frames, truncated });
                }
                Reason::InterpreterStartup
            }
            Outcome::NativeThread => Reason::NativeThread,
            Outcome::InterpreterNotStarted | Outcome::NoFrames => Reason::InterpreterStartup,
            Outcome::Unreadable => Reason::StackUnreadable,
            Outcome::NotPython => Reason::NotPython,
            Outcome::NotByTarget => Reason::OtherProcess,
        };
        self.row(reason, &stack.thread)
    }

    /// The id of what no line answers for.
    pub fn row(&mut self, reason: Reason, name: &str) -> StackId {
        let name = self.text(name);
        self.named(StackName::Unattributed { reason, name })
    }

    /// The id of a stack with native frames above it.
    pub fn with_native(&mut self, below: StackId, frames: &[Arc<NativeFrame>]) -> StackId {
        let frames: Vec<NativeId> = frames.iter().map(|frame| self.native(frame)).collect();
        if frames.is_empty() {
            return below;
        }
        self.named(StackName::Native { frames, below })
    }

    fn native(&mut self, frame: &NativeFrame) -> NativeId {
        let native = NativeName {
            function: self.text(&frame.function),
            library: self.text(&frame.library),
            file: self.text(&frame.file),
            line: frame.line,
        };
        NativeId(self.natives.id(native, &mut self.fresh.natives))
    }

    fn named(&mut self, stack: StackName) -> StackId {
        StackId(self.stacks.id(stack, &mut self.fresh.stacks))
    }

    fn place(&mut self, frame: &NamedFrame, kind: LineTableKind) -> PlaceId {
        let (line, first_line, last_line) = extent(frame, kind);
        let (file, name) = (self.text(&frame.code.file), self.text(&frame.code.name));
        let function = Function { file, name, first_line, last_line };
        let function = FunctionId(self.functions.id(function, &mut self.fresh.functions));
        PlaceId(self.places.id(PlaceName { function, line }, &mut self.fresh.places))
    }

    /// Whether a stack of lines has a name already; nothing is named for that.
    fn knows(&self, stack: &NamedStack, kind: LineTableKind) -> bool {
        let place = |frame: &NamedFrame| {
            let (line, first_line, last_line) = extent(frame, kind);
            let text = |text: &String| self.texts.ids.get(text).copied().map(TextId);
            let (file, name) = (text(&frame.code.file)?, text(&frame.code.name)?);
            let function = Function { file, name, first_line, last_line };
            let function = FunctionId(*self.functions.ids.get(&function)?);
            self.places.ids.get(&PlaceName { function, line }).copied().map(PlaceId)
        };
        let complete = stack.frames.iter().filter(|frame| is_complete(frame));
        let Some(frames) = complete.map(place).collect::<Option<Vec<_>>>() else { return false };
        let truncated = stack.outcome == Outcome::Truncated;
        frames.is_empty() || self.stacks.ids.contains_key(&StackName::Lines { frames, truncated })
    }

    /// A thread's id, when it has one.
    #[must_use]
    pub fn known_thread(&self, space: SpaceId, tid: u32) -> Option<ThreadId> {
        let beyond = tid == OTHER_THREADS
            || self.threads_of_space.get(&space).is_some_and(|known| *known >= MAX_THREADS);
        let tid = if beyond && !self.threads.contains_key(&(space, tid)) { 0 } else { tid };
        self.threads.get(&(space, tid)).copied()
    }

    /// Names a thread. Those beyond [`MAX_THREADS`] of a process share one id.
    pub fn thread(&mut self, space: SpaceId, tid: u32, name: &str) -> ThreadId {
        let known = self.threads_of_space.entry(space).or_default();
        let beyond = tid == OTHER_THREADS || *known >= MAX_THREADS;
        let (tid, name) = if beyond { (0, "other threads") } else { (tid, name) };
        *known += 1;
        let name = self.text(name);
        let id = ThreadId(self.named_threads);
        *self.threads.entry((space, tid)).or_insert_with(|| {
            self.named_threads += 1;
            self.fresh.threads.push(ThreadName { space, tid, name });
            id
        })
    }

    /// Forgets the threads of a space that has ended; what has their ids keeps them.
    pub fn forget(&mut self, space: SpaceId) {
        if self.threads_of_space.remove(&space).is_some() {
            self.threads.retain(|(of, _), _| *of != space);
        }
    }
}

/// The line of a frame, and the first and the last of its function.
fn extent(frame: &NamedFrame, kind: LineTableKind) -> (u32, u32, u32) {
    let code = &frame.code;
    let table = LineTable::new(kind, code.first_line, &code.table);
    let first_line = u32::try_from(code.first_line).unwrap_or(0);
    let line = if frame.instr == UNKNOWN_INSTR { None } else { table.line_at(frame.instr) };
    (line.unwrap_or(first_line), first_line, table.last_line())
}

/// From 3.11 on a frame exists before its function's own code runs, and specialised class calls
/// insert a frame that is no function of the program's (`_PyFrame_IsIncomplete`,
/// `Include/internal/pycore_frame.h`). Generators (owner 1) are always complete.
fn is_complete(frame: &NamedFrame) -> bool {
    frame.owner == 1
        || frame.instr == UNKNOWN_INSTR
        || frame.instr >= 2 * frame.code.first_traceable
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::ledger::CodeTexts;

    fn stack(outcome: Outcome, names: &[&str]) -> NamedStack {
        let frame = |name: &&str| NamedFrame {
            code: Rc::new(CodeTexts {
                first_line: 7,
                file: "a.py".to_owned(),
                name: (*name).to_owned(),
                ..CodeTexts::default()
            }),
            instr: 0,
            owner: 0,
        };
        NamedStack {
            outcome,
            thread: "python".to_owned(),
            frames: names.iter().map(frame).collect(),
        }
    }

    #[test]
    fn equal_lines_are_named_once_whatever_code_object_had_them() {
        let mut book = NameBook::default();
        let kind = Some(LineTableKind::Pep657);
        let first = book.stack(&stack(Outcome::Complete, &["f", "g"]), kind);
        assert_eq!(book.stack(&stack(Outcome::Complete, &["f", "g"]), kind), first);
        assert_ne!(book.stack(&stack(Outcome::Complete, &["g", "f"]), kind), first);
        let fresh = book.take_fresh();
        assert_eq!(fresh.texts, ["a.py", "f", "g"]);
        assert_eq!((fresh.functions.len(), fresh.places.len(), fresh.stacks.len()), (2, 2, 2));
        assert_eq!(book.take_fresh(), Names::default());
    }

    #[test]
    fn a_full_book_keeps_what_it_has_and_puts_the_rest_into_one_row() {
        let mut book = NameBook::default();
        let kind = Some(LineTableKind::Pep657);
        book.set_bound(2);
        let first = book.stack(&stack(Outcome::Complete, &["f"]), kind);
        book.stack(&stack(Outcome::Complete, &["g"]), kind);
        assert!(book.is_full());
        book.take_fresh();
        let beyond = book.stack(&stack(Outcome::Complete, &["f", "g"]), kind);
        assert_eq!(book.stack(&stack(Outcome::Complete, &["h"]), kind), beyond);
        assert_eq!(book.stack(&stack(Outcome::Complete, &["f"]), kind), first);
        let fresh = book.take_fresh();
        assert_eq!((fresh.functions.len(), fresh.places.len(), fresh.stacks.len()), (0, 0, 1));
        assert!(matches!(
            fresh.stacks[0],
            StackName::Unattributed { reason: Reason::BeyondLimit, .. }
        ));
    }

    #[test]
    fn a_stack_without_lines_says_why_and_whose() {
        let mut book = NameBook::default();
        let reason_of = |book: &mut NameBook, outcome, names: &[&str], kind| {
            book.stack(&stack(outcome, names), kind);
            match book.take_fresh().stacks.pop() {
                Some(StackName::Unattributed { reason, .. }) => Some(reason),
                _ => None,
            }
        };
        let python = Some(LineTableKind::Pep657);
        let found = reason_of(&mut book, Outcome::Complete, &["f"], None);
        assert_eq!(found, Some(Reason::NotPython));
        let found = reason_of(&mut book, Outcome::NativeThread, &[], python);
        assert_eq!(found, Some(Reason::NativeThread));
        let found = reason_of(&mut book, Outcome::NoFrames, &[], python);
        assert_eq!(found, Some(Reason::InterpreterStartup));
    }

    #[test]
    fn threads_beyond_the_bound_share_one_name() {
        let mut book = NameBook::default();
        let space = SpaceId(1);
        for tid in 1..=MAX_THREADS as u32 + 50 {
            assert_eq!(book.known_thread(space, tid).is_some(), tid > MAX_THREADS as u32 + 1);
            if book.known_thread(space, tid).is_none() {
                book.thread(space, tid, "worker");
            }
        }
        let threads = book.take_fresh().threads;
        assert_eq!(threads.len(), MAX_THREADS + 1);
        assert_eq!(threads.last().map(|thread| thread.tid), Some(0));
        assert_eq!(book.known_thread(space, 5), Some(ThreadId(4)));
    }
}
