//! What the kernel side said of stacks and code objects: numbers to frames, frames to texts.
//!
//! Code objects die and their addresses come back; a stack keeps the code that its frames had
//! when it came. Names are decoded here, lines are not: that is the name book's business, which
//! gives each stack an id the first time that something is counted for it.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use memtrace_common::event::{Code, Stack, Text, piece};
use memtrace_common::limits::{LINE_TABLE_CHUNKS, TEXT_CHUNK};
use memtrace_common::outcome::Outcome;
use memtrace_common::settings::NOT_WALKED;
use memtrace_common::walk::Frame;

use super::native::{Calls, NativeStacks};
use super::{NameBook, StackKey};
use crate::history::entry::StackId;
use crate::profile::{NativeFrame, Reason};
use crate::python::{LineTableKind, text};

/// Named stacks whose keys are kept. Four times what the kernel side remembers to have sent
/// ([`memtrace_common::limits::MAX_STACKS_SENT`]): a key that is forgotten here was forgotten there
/// long before, so its stack is sent again before it is counted.
const MAX_KEYS: usize = 4 * memtrace_common::limits::MAX_STACKS_SENT as usize;

/// A code object's texts, as far as they have come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct CodeTexts {
    /// `co_firstlineno`
    pub first_line: i32,
    /// `_co_firsttraceable`, 0 where there is none.
    pub first_traceable: i32,
    /// `co_filename`
    pub file: String,
    /// `co_qualname` or `co_name`
    pub name: String,
    /// Line table, undecoded.
    pub table: Vec<u8>,
}

/// A text that the kernel side could not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// Address of the code object.
    pub code: u64,
    /// [`piece`].
    pub piece: u8,
    /// Bytes per character, 0 for bytes.
    pub width: u8,
    /// Where the text begins in the target.
    pub address: u64,
    /// Its bytes.
    pub total: u32,
}

/// One frame of a known stack.
#[derive(Debug, Clone)]
pub struct NamedFrame {
    /// Its code.
    pub code: Rc<CodeTexts>,
    /// Bytes from the first instruction.
    pub instr: i32,
    /// `_PyInterpreterFrame.owner`; 1 is a generator's.
    pub owner: u32,
}

/// A stack, leaf first.
#[derive(Debug, Clone)]
pub struct NamedStack {
    /// How its walk ended.
    pub outcome: Outcome,
    /// The thread's name.
    pub thread: String,
    /// Its frames.
    pub frames: Vec<NamedFrame>,
}

/// A code object whose texts may still be arriving.
#[derive(Debug, Default)]
struct Arriving {
    texts: CodeTexts,
    /// Undecoded file name and name, with their width.
    raw: [(Vec<u8>, u8); 2],
    /// The finished form, made when the first stack needs it.
    done: Option<Rc<CodeTexts>>,
}

/// Stacks and code objects of one address space.
#[derive(Debug, Default)]
pub struct StackTable {
    codes: HashMap<u64, Arriving>,
    stacks: HashMap<StackKey, Known>,
    /// Stacks with native frames above others.
    above: NativeStacks,
    /// Windows so far.
    window: u64,
}

/// What is kept of a stack: its frames until it is named, and its id from then on.
#[derive(Debug)]
struct Known {
    /// Frames, until they are named.
    frames: Option<NamedStack>,
    /// Its id and its thread's name, once they are asked for.
    named: Option<StackId>,
    thread: Rc<str>,
    /// The window that last counted something for it.
    used: u64,
}

impl StackTable {
    /// Id of the stack with this key. `kind` is how the process's line tables are read.
    pub fn name(
        &mut self,
        key: StackKey,
        kind: Option<LineTableKind>,
        book: &mut NameBook,
    ) -> StackId {
        if key == NOT_WALKED {
            return book.row(Reason::NotWalked, "");
        }
        let window = self.window;
        if let Some(stack) = self.above.name(key) {
            let below = self.name(stack.below, kind, book);
            return book.with_native(below, &stack.frames);
        }
        let Some(known) = self.stacks.get_mut(&key) else {
            return book.row(Reason::StackLost, "");
        };
        known.used = window;
        if let Some(frames) = known.frames.take() {
            known.named = Some(book.stack(&frames, kind));
        }
        known.named.unwrap_or_else(|| book.row(Reason::StackLost, ""))
    }

    /// Name of the thread that the stack was first met in; empty when it never came.
    #[must_use]
    pub fn thread(&self, key: StackKey) -> Rc<str> {
        let key = self.above.below(key);
        self.stacks.get(&key).map_or_else(|| Rc::from(""), |known| Rc::clone(&known.thread))
    }

    /// A window of time is over: keys that nothing was counted for in the longest time are forgotten
    /// when there are too many (a program that makes code all the time has ever new ones).
    pub fn close_window(&mut self) {
        self.window += 1;
        self.above.close_window(MAX_KEYS);
        if self.stacks.len() > MAX_KEYS {
            let mut used: Vec<u64> = self.stacks.values().map(|known| known.used).collect();
            let middle = used.len() / 2;
            let (_, median, _) = used.select_nth_unstable(middle);
            let median = *median;
            self.stacks.retain(|_, known| known.used >= median);
        }
    }

    /// Native calls above a stack that has come; `key` stands for both from now on. `true` when the
    /// frames for them are wanted ([`StackTable::supply_native`]) before the window closes.
    pub fn native(&mut self, key: StackKey, below: StackKey, calls: Calls) -> bool {
        self.above.add(key, below, calls)
    }

    /// The frames of native calls, leaf first.
    pub fn supply_native(&mut self, key: StackKey, frames: Vec<Arc<NativeFrame>>) {
        self.above.supply(key, frames);
    }

    /// The key that a stack is counted by: the same for all that show the same frames.
    pub fn counted_by(&mut self, key: StackKey) -> StackKey {
        self.above.counted_by(key)
    }

    /// A code object begins to arrive. One that is known already comes again when the kernel side
    /// has forgotten that it sent it, or when it was freed and another one is there now.
    pub fn code(&mut self, event: &Code) {
        let known = self.codes.entry(event.code).or_default();
        let same = known.texts.first_line == event.first_line
            && known.texts.first_traceable == event.first_traceable;
        if known.done.is_none() || !same {
            *known = Arriving::default();
            known.texts.first_line = event.first_line;
            known.texts.first_traceable = event.first_traceable;
        }
    }

    /// Part of a text. Two CPUs may send the same code object at once; a part that begins a text
    /// begins it anew, and one that doesn't continue it says nothing new. Returns the text if the
    /// kernel side could not read it.
    pub fn text(&mut self, event: &Text, bytes: &[u8]) -> Option<Missing> {
        let code = self.codes.get_mut(&event.code)?;
        if code.done.is_some() {
            return None;
        }
        let target = match event.piece {
            piece::TABLE => &mut code.texts.table,
            piece::FILE | piece::NAME => {
                let (target, width) = &mut code.raw[usize::from(event.piece)];
                *width = event.width;
                target
            }
            _ => return None,
        };
        if event.offset == 0 {
            target.clear();
        }
        if target.len() == event.offset as usize {
            target.extend_from_slice(bytes);
        }
        let unread = bytes.is_empty() && event.total > 0 && event.address != 0;
        unread.then_some(Missing {
            code: event.code,
            piece: event.piece,
            width: event.width,
            address: event.address.wrapping_sub(u64::from(event.offset)),
            total: event.total,
        })
    }

    /// A text that the kernel side could not read, found by other means.
    pub fn supply(&mut self, missing: Missing, bytes: &[u8]) {
        let limit = LINE_TABLE_CHUNKS as usize * TEXT_CHUNK;
        let event = Text {
            header: memtrace_common::event::Header { tag: 0, space: 0 },
            code: missing.code,
            address: 0,
            offset: 0,
            length: 0,
            total: 0,
            piece: missing.piece,
            width: missing.width,
            reserved: 0,
        };
        self.text(&event, &bytes[..bytes.len().min(limit)]);
    }

    /// The code object at this address is gone; what comes there next is another one.
    pub fn code_freed(&mut self, code: u64) {
        self.codes.remove(&code);
    }

    /// The texts of the code object at this address, if it has come.
    pub fn texts(&mut self, code: u64) -> Option<Rc<CodeTexts>> {
        self.codes.contains_key(&code).then(|| self.finished(code))
    }

    /// A stack, once its code objects have come.
    pub fn stack(&mut self, event: &Stack, frames: &[Frame]) {
        let outcome = u8::try_from(event.outcome)
            .ok()
            .and_then(Outcome::from_number)
            .unwrap_or(Outcome::Unreadable);
        let end = event.comm.iter().position(|byte| *byte == 0).unwrap_or(event.comm.len());
        let thread = String::from_utf8_lossy(&event.comm[..end]).into_owned();
        let frames = frames
            .iter()
            .map(|frame| NamedFrame {
                code: self.finished(frame.code),
                instr: frame.instr,
                owner: frame.owner,
            })
            .collect();
        let used = self.window;
        let name = Rc::from(thread.as_str());
        let stack = NamedStack { outcome, thread, frames };
        let known = Known { frames: Some(stack), named: None, thread: name, used };
        self.stacks.insert(event.id, known);
    }

    fn finished(&mut self, code: u64) -> Rc<CodeTexts> {
        let known = self.codes.entry(code).or_default();
        let Arriving { texts, raw: [file, name], done } = known;
        done.get_or_insert_with(|| {
            let mut texts = std::mem::take(texts);
            let decode = |(bytes, width): &(Vec<u8>, u8)| text::decode(bytes, *width);
            texts.file = if file.0.is_empty() { "<unreadable>".into() } else { decode(file) };
            texts.name = if name.0.is_empty() { "<unreadable>".into() } else { decode(name) };
            texts.table.shrink_to_fit();
            Rc::new(texts)
        });
        known.raw = Default::default();
        known.texts.first_line = known.done.as_ref().map_or(0, |done| done.first_line);
        known.texts.first_traceable = known.done.as_ref().map_or(0, |done| done.first_traceable);
        known.done.clone().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use memtrace_common::event::Header;

    use super::*;

    const HEADER: Header = Header { tag: 0, space: 1 };

    fn frames(table: &StackTable, key: StackKey) -> &[NamedFrame] {
        &table.stacks[&key].frames.as_ref().unwrap().frames
    }

    fn send(table: &mut StackTable, address: u64, file: &str, first_line: i32) {
        table.code(&Code { header: HEADER, code: address, first_line, first_traceable: 0 });
        for (piece, text) in [(piece::FILE, file), (piece::NAME, "f")] {
            let bytes = text.as_bytes();
            for (index, chunk) in bytes.chunks(4).enumerate() {
                let (length, total) = (chunk.len() as u32, bytes.len() as u32);
                let offset = 4 * index as u32;
                let text = Text {
                    header: HEADER,
                    code: address,
                    address: 0x2000,
                    offset,
                    length,
                    total,
                    piece,
                    width: 1,
                    reserved: 0,
                };
                assert_eq!(table.text(&text, chunk), None);
            }
        }
    }

    fn stack(table: &mut StackTable, id: u64, address: u64) -> String {
        let head = Stack {
            header: HEADER,
            id,
            depth: 1,
            outcome: 0,
            comm: *b"python\0\0\0\0\0\0\0\0\0\0",
        };
        table.stack(&head, &[Frame { code: address, instr: 0, owner: 0 }]);
        frames(table, id)[0].code.file.clone()
    }

    #[test]
    fn texts_come_in_parts() {
        let mut table = StackTable::default();
        send(&mut table, 0x1000, "/srv/application.py", 3);
        assert_eq!(stack(&mut table, 1, 0x1000), "/srv/application.py");
        assert_eq!(&*table.thread(1), "python");
    }

    #[test]
    fn a_recycled_address_does_not_bring_the_old_name_back_nor_change_old_stacks() {
        let mut table = StackTable::default();
        send(&mut table, 0x1000, "old.py", 1);
        assert_eq!(stack(&mut table, 1, 0x1000), "old.py");
        table.code_freed(0x1000);
        send(&mut table, 0x1000, "new.py", 1);
        assert_eq!(stack(&mut table, 2, 0x1000), "new.py");
        assert_eq!(frames(&table, 1)[0].code.file, "old.py");
    }

    #[test]
    fn a_code_object_sent_twice_at_once_has_one_text() {
        let mut table = StackTable::default();
        let part = |offset, length, total| Text {
            header: HEADER,
            code: 1,
            address: 0x2000,
            offset,
            length,
            total,
            piece: piece::FILE,
            width: 1,
            reserved: 0,
        };
        table.code(&Code { header: HEADER, code: 1, first_line: 1, first_traceable: 0 });
        table.text(&part(0, 3, 6), b"abc");
        table.code(&Code { header: HEADER, code: 1, first_line: 1, first_traceable: 0 });
        table.text(&part(0, 3, 6), b"abc");
        table.text(&part(3, 3, 6), b"def");
        table.text(&part(3, 3, 6), b"def");
        assert_eq!(stack(&mut table, 1, 1), "abcdef");
    }

    #[test]
    fn of_too_many_keys_those_unused_for_longest_are_forgotten() {
        let mut table = StackTable::default();
        send(&mut table, 0x1000, "app.py", 1);
        let mut book = NameBook::default();
        let (old, new) = (1, 1_000_000);
        for key in 0..MAX_KEYS as u64 {
            stack(&mut table, old + key, 0x1000);
        }
        table.close_window();
        for key in 0..MAX_KEYS as u64 {
            stack(&mut table, new + key, 0x1000);
        }
        let named = table.name(new, Some(LineTableKind::Pep657), &mut book);
        table.close_window();
        assert_eq!(table.name(new, None, &mut book), named, "an id stays what it was");
        let lost = book.row(Reason::StackLost, "");
        assert_eq!(table.name(old, None, &mut book), lost);
    }

    #[test]
    fn an_unread_text_can_be_supplied() {
        let mut table = StackTable::default();
        table.code(&Code { header: HEADER, code: 1, first_line: 1, first_traceable: 0 });
        let unread = Text {
            header: HEADER,
            code: 1,
            address: 0x2000,
            offset: 0,
            length: 0,
            total: 9,
            piece: piece::FILE,
            width: 1,
            reserved: 0,
        };
        let missing = table.text(&unread, b"").unwrap();
        table.supply(missing, b"frozen.py");
        assert_eq!(stack(&mut table, 1, 1), "frozen.py");
    }
}
