//! The one walker on live interpreters, from outside: every frame of every thread of
//! `programs/walk_target.py` against what CPython itself says about them.
#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop here")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use harness::interpreters::{self, Interpreter as Python};
use memtrace::python::code_object::CodeObject;
use memtrace::python::{Discovery, Images, Interpreter, TargetMemory, discover};
use memtrace_common::layout::PyLayout;
use memtrace_common::memory::ReadMemory;
use memtrace_common::outcome::Outcome;
use memtrace_common::walk::{Walk, walk};
use serde::Deserialize;

/// What `walk_target.py` prints.
#[derive(Deserialize)]
struct Answer {
    version: String,
    threads: Vec<AnswerThread>,
}

#[derive(Deserialize)]
struct AnswerThread {
    id: u64,
    name: String,
    frames: Vec<(String, u32, String)>,
}

/// A running target; ends with the test.
struct Target(Child);

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(python: &Python) -> (Target, Answer) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/walk_target.py");
    let mut child = Command::new(&python.path)
        .arg(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let answer = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{python:?}: {e}: {line}"));
    (Target(child), answer)
}

fn interpreter_of(target: &Target) -> Box<Interpreter> {
    match discover(target.0.id(), &mut Images::new()).unwrap() {
        Discovery::Python(interpreter) => interpreter,
        other => panic!("{other:?}"),
    }
}

/// A target whose pages can be loaded from, as the kernel side sees it; these are copies.
struct Paged<'a> {
    memory: &'a TargetMemory,
    pages: RefCell<HashMap<u64, Box<[u8; 4096]>>>,
}

impl<'a> Paged<'a> {
    fn new(memory: &'a TargetMemory) -> Self {
        Self { memory, pages: RefCell::default() }
    }
}

impl ReadMemory for Paged<'_> {
    fn has_pages(&self) -> bool {
        true
    }

    unsafe fn read_raw(&self, address: u64, into: *mut u8, length: u32) -> bool {
        // SAFETY: the caller vouches for `into`.
        unsafe { self.memory.read_raw(address, into, length) }
    }

    fn page(&self, address: u64) -> u64 {
        let mut page = Box::new([0; 4096]);
        let start = address & !4095;
        // SAFETY: a page is 4096 bytes long.
        if !unsafe { self.memory.read_raw(start, page.as_mut_ptr(), 4096) } {
            return 0;
        }
        let mut pages = self.pages.borrow_mut();
        pages.entry(start).or_insert(page).as_ptr() as u64
    }

    fn load(&self, place: u64) -> u64 {
        let pages = self.pages.borrow();
        let page = pages.values().find(|page| {
            let start = page.as_ptr() as u64;
            (start..=start + 4088).contains(&place)
        });
        let page = page.expect("a place in a page that was found");
        let at = (place - page.as_ptr() as u64) as usize;
        u64::from_ne_bytes(page[at..at + 8].try_into().unwrap())
    }
}

/// One thread's stack as seen from outside, read by the walk through `walked`.
fn stack(
    memory: &TargetMemory,
    walked: &impl ReadMemory,
    interpreter: &Interpreter,
    layout: &PyLayout,
    thread: (u64, u64),
    known: u64,
) -> (Vec<(String, u32, String)>, u64) {
    let mut work = Walk::new();
    work.tstate = known;
    let (thread_pointer, bound) = thread;
    walk(walked, layout, thread_pointer, bound, &mut work);
    assert_eq!(Outcome::from_number(work.outcome as u8), Some(Outcome::Complete));
    let mut frames = Vec::new();
    for frame in work.frames() {
        let code = CodeObject::read(memory, layout, frame.code).expect("a code object");
        if code.is_incomplete(frame.owner, frame.instr) {
            continue;
        }
        let line = code.lines(interpreter.line_table).line_at(frame.instr);
        let line = line.unwrap_or(code.first_line as u32);
        frames.push((code.file, line, code.name));
    }
    (frames, work.tstate)
}

#[test]
fn walk_equals_the_interpreters_own_stacks_frame_by_frame() {
    let pythons = interpreters::supported().unwrap();
    assert!(!pythons.is_empty(), "no CPython 3.8 to 3.15 was found: nothing is tested");
    for python in &pythons {
        let (target, answer) = start(python);
        let interpreter = interpreter_of(&target);
        let memory = TargetMemory::open(target.0.id()).unwrap();
        assert_eq!(interpreter.text, answer.version);
        assert!(interpreter.started && interpreter.slot_confirmed, "{interpreter:?}");
        assert!(answer.threads.len() >= 24, "{python:?}: {} threads", answer.threads.len());
        let mut compared = 0;
        for thread in &answer.threads {
            let (layout, whose) = (&interpreter.layout, (thread.id, 0));
            let (found, tstate) = stack(&memory, &memory, &interpreter, layout, whose, 0);
            assert_eq!(found, thread.frames, "{} in {}", answer.version, thread.name);
            compared += found.len();
            // By pages, first by the slot and then by the thread state that this found.
            let paged = Paged::new(&memory);
            for known in [0, tstate] {
                let (found, _) = stack(&memory, &paged, &interpreter, layout, whose, known);
                assert_eq!(found, thread.frames, "{} by pages", thread.name);
            }
            assert!(!paged.pages.borrow().is_empty(), "no page was asked for");
        }
        assert!(compared >= 220, "{python:?}: only {compared} frames");
        println!(
            "{} ({}): {} threads, {compared} frames, 0 mismatches",
            answer.version,
            interpreter.build,
            answer.threads.len()
        );
    }
}

#[test]
fn walk_by_bound_thread_states_gives_the_same_stacks() {
    for python in &interpreters::supported().unwrap() {
        let (target, answer) = start(python);
        let interpreter = interpreter_of(&target);
        let memory = TargetMemory::open(target.0.id()).unwrap();
        let layout = interpreter.layout_bound();
        let states = interpreter.threads(&memory);
        assert_eq!((states.strangers, states.interpreters.len()), (0, 1));
        for thread in &answer.threads {
            let state = states.threads.iter().find(|state| state.thread_id == thread.id).unwrap();
            let whose = (0, state.address);
            let (found, _) = stack(&memory, &memory, &interpreter, &layout, whose, 0);
            assert_eq!(found, thread.frames, "{} in {}", answer.version, thread.name);
        }
    }
}

/// What the kernel side uses until the slot is confirmed: the key, read at every event.
#[test]
fn walk_by_the_keys_address_gives_the_same_stacks() {
    for python in
        interpreters::supported().unwrap().iter().filter(|python| python.minor() < (3, 15))
    {
        let (target, answer) = start(python);
        let interpreter = interpreter_of(&target);
        let memory = TargetMemory::open(target.0.id()).unwrap();
        let key = interpreter.offsets.runtime.auto_tss_key.unwrap();
        let layout = PyLayout {
            slot: memtrace_common::layout::Slot::KeyAt as u32,
            key_address: interpreter.runtime + u64::from(key),
            // glibc's thread-specific data on x86-64 (2.36 to 2.43, docs/cpython.md).
            slot_first: 0x310,
            slot_second: 0x510,
            ..interpreter.layout
        };
        for thread in &answer.threads {
            let whose = (thread.id, 0);
            let (found, _) = stack(&memory, &memory, &interpreter, &layout, whose, 0);
            assert_eq!(found, thread.frames, "{} in {}", answer.version, thread.name);
        }
    }
}

/// The comparison above can fail: with the neighbouring version's offsets it does.
#[test]
fn walk_with_another_versions_offsets_does_not_pass_for_right() {
    let pythons = interpreters::supported().unwrap();
    for python in &pythons {
        let minor = u8::try_from(python.version.1).unwrap();
        let other = if minor == 15 { 13 } else { minor + 1 };
        let (target, answer) = start(python);
        let interpreter = interpreter_of(&target);
        let memory = TargetMemory::open(target.0.id()).unwrap();
        let table = memtrace::python::layouts::table(other).unwrap().unwrap();
        let layout = PyLayout {
            slot: interpreter.layout.slot,
            slot_first: interpreter.layout.slot_first,
            slot_second: interpreter.layout.slot_second,
            code_type_address: interpreter.layout.code_type_address,
            ..table.offsets(other).unwrap().layout().unwrap()
        };
        if layout == interpreter.layout {
            continue; // 3.8 and 3.9 have the same frames.
        }
        let right = answer.threads.iter().filter(|thread| {
            let mut work = Walk::new();
            walk(&memory, &layout, thread.id, 0, &mut work);
            let names: Option<Vec<(String, u32, String)>> = work
                .frames()
                .iter()
                .map(|frame| {
                    let code = CodeObject::read(&memory, &layout, frame.code)?;
                    let line = code.lines(interpreter.line_table).line_at(frame.instr)?;
                    Some((code.file, line, code.name))
                })
                .collect();
            names.as_ref() == Some(&thread.frames)
        });
        assert!(right.count() < answer.threads.len(), "{} with 3.{other}'s", answer.version);
    }
}
