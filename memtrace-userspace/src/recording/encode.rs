//! From entries to their encoding.
//!
//! Makes numbers small where what came before foretells them: RSS from the window before and the
//! changes, ids from their neighbours. Checks nothing ([`super::sound`] does, before).

use std::time::{Duration, SystemTime};

use super::allocations;
use super::sound::SoFar;
use super::wire;
use crate::history::entry::{
    Began, Change, Counted, Ended, Known, Names, Ran, Source, StackName, Window,
};
use crate::history::{Entry, Head};
use crate::profile::{Ending, Memory, Reason};
use crate::units::{Bytes, PAGE};

/// The first frame's payload. A start before 1970 is cut to it.
pub(super) fn head(head: &Head) -> wire::Head {
    let since = head.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    wire::Head {
        started_at_seconds: since.as_secs(),
        started_at_nanos: since.subsec_nanos(),
        kernel: head.kernel.clone(),
        exact: head.exact,
    }
}

/// An entry that comes after `so_far`.
pub(super) fn entry(entry: &Entry, so_far: &SoFar) -> wire::Entry {
    let kind = match entry {
        Entry::Names(it) => wire::Kind::Names(Box::new(names(it))),
        Entry::Began(it) => wire::Kind::Began(began(it)),
        Entry::Known(it) => wire::Kind::Known(known(it)),
        Entry::Window(it) => wire::Kind::Window(Box::new(window(it, so_far))),
        Entry::Ended(it) => wire::Kind::Ended(ended(it)),
        Entry::Source(it) => wire::Kind::Source(source(it)),
        Entry::Allocations(it) => wire::Kind::Allocations(Box::new(allocations::encode(it))),
        Entry::Live(it) => wire::Kind::Live(Box::new(allocations::encode_live(it))),
        Entry::Ran(it) => wire::Kind::Ran(ran(it)),
    };
    wire::Entry { kind: Some(kind) }
}

fn names(names: &Names) -> wire::Names {
    let mut wire = wire::Names { texts: names.texts.clone(), ..Default::default() };
    for function in &names.functions {
        wire.function_file.push(function.file.0);
        wire.function_name.push(function.name.0);
        wire.function_first_line.push(function.first_line);
        wire.function_extent.push(i64::from(function.last_line) - i64::from(function.first_line));
    }
    for place in &names.places {
        wire.place_function.push(place.function.0);
        wire.place_line.push(place.line);
    }
    for native in &names.natives {
        wire.native_function.push(native.function.0);
        wire.native_library.push(native.library.0);
        wire.native_file.push(native.file.0);
        wire.native_line.push(native.line);
    }
    let (mut differences, mut of_natives) = (Differences::default(), Differences::default());
    for stack in &names.stacks {
        match stack {
            StackName::Lines { frames, truncated } => {
                // No stack has so many frames: an entry's bound is far below.
                let count = u32::try_from(frames.len()).unwrap_or(u32::MAX / 2);
                wire.stack_shape.push(count * 2 + u32::from(*truncated));
                wire.frame_place.extend(frames.iter().map(|place| differences.of(place.0)));
            }
            StackName::Native { frames, below } => {
                wire.stack_shape.push(NATIVE_SHAPE);
                wire.native_below.push(below.0);
                wire.native_depth.push(u32::try_from(frames.len()).unwrap_or(u32::MAX));
                wire.frame_native.extend(frames.iter().map(|native| of_natives.of(native.0)));
            }
            StackName::Unattributed { reason, name } => {
                wire.stack_shape.push(0);
                wire.reason.push(reason_number(*reason));
                wire.reason_name.push(name.0);
            }
        }
    }
    for thread in &names.threads {
        wire.thread_space.push(thread.space.0);
        wire.thread_tid.push(thread.tid);
        wire.thread_name.push(thread.name.0);
    }
    wire
}

/// A stack of lines has at least one frame, so its shape is two or more.
pub(super) const NATIVE_SHAPE: u32 = 1;

/// Never changed; a new reason gets a new number and the format a new version.
pub(super) const fn reason_number(reason: Reason) -> u32 {
    match reason {
        Reason::NativeThread => 1,
        Reason::InterpreterStartup => 2,
        Reason::NotPython => 3,
        Reason::Kernel => 4,
        Reason::OtherProcess => 5,
        Reason::BeforeAttachReturned => 6,
        Reason::Reclaimed => 7,
        Reason::StackUnreadable => 8,
        Reason::StackLost => 9,
        Reason::Lost => 10,
        Reason::UnderWay => 11,
        Reason::LeftOut => 12,
        Reason::Remainder => 13,
        Reason::BeyondLimit => 14,
        Reason::Ended => 15,
        Reason::BeganLater => 16,
        Reason::NotWalked => 17,
    }
}

fn memory(memory: Memory) -> wire::Memory {
    wire::Memory { anon: memory.anon.0, file: memory.file.0, shmem: memory.shmem.0 }
}

fn began(began: &Began) -> wire::Began {
    wire::Began {
        space: began.space.0,
        at: began.at.0,
        pid: began.pid,
        parent: began.parent,
        before: memory(began.before),
        command: began.command.clone(),
    }
}

fn known(known: &Known) -> wire::Known {
    wire::Known {
        space: known.space.0,
        python: known.python.clone(),
        command: known.command.clone(),
        notes: known.notes.clone(),
    }
}

/// RSS at the end of a window, as the window before and the changes foretell it. Wraps where the
/// figures are impossible, the same way for writer and reader.
pub(super) fn foretold(before: Memory, changes: &[Change]) -> Memory {
    let sum = |kind: fn(&Memory) -> Bytes| {
        let start = kind(&before).0;
        Bytes(changes.iter().fold(start, |sum, change| {
            sum.wrapping_add(kind(&change.grown).0).wrapping_sub(kind(&change.returned).0)
        }))
    };
    Memory { anon: sum(|m| m.anon), file: sum(|m| m.file), shmem: sum(|m| m.shmem) }
}

/// RSS in one figure; wraps, too.
pub(super) fn total(rss: Memory) -> Bytes {
    Bytes(rss.anon.0.wrapping_add(rss.file.0).wrapping_add(rss.shmem.0))
}

/// Events of all changes; wraps, too.
pub(super) fn events_of(changes: &[Change]) -> u64 {
    changes.iter().fold(0, |sum, change| sum.wrapping_add(change.events))
}

fn window(window: &Window, so_far: &SoFar) -> wire::Window {
    let foretold = foretold(so_far.rss(window.space), &window.changes);
    let beyond = |is: Bytes, told: Bytes| is.0.wrapping_sub(told.0);
    let rss = wire::Memory {
        anon: beyond(window.rss.anon, foretold.anon),
        file: beyond(window.rss.file, foretold.file),
        shmem: beyond(window.rss.shmem, foretold.shmem),
    };
    let above = beyond(window.peak, total(window.rss));
    let mut wire = wire::Window {
        space: window.space.0,
        at: window.at.0.wrapping_sub(so_far.last_window.0).cast_signed(),
        in_bytes: false,
        rss: (rss != wire::Memory::default()).then_some(rss),
        peak: above,
        events: window.events.wrapping_sub(events_of(&window.changes)).cast_signed(),
        lost_events: window.lost_events,
        lost: window.lost.0,
        probe: window.probe.0,
        userspace_cpu: window.userspace_cpu.0,
        ..Default::default()
    };
    let mut differences = Differences::default();
    wire.stack = window.changes.iter().map(|change| differences.of(change.stack.0)).collect();
    wire.thread = column(&window.changes, |change| change.thread.0);
    wire.change_events = column(&window.changes, |change| change.events);
    let bytes = |part: &dyn Fn(&Change) -> i64| column(&window.changes, part);
    wire.grown_anon = bytes(&|change| change.grown.anon.0);
    wire.grown_file = bytes(&|change| change.grown.file.0);
    wire.grown_shmem = bytes(&|change| change.grown.shmem.0);
    wire.returned_anon = bytes(&|change| change.returned.anon.0);
    wire.returned_file = bytes(&|change| change.returned.file.0);
    wire.returned_shmem = bytes(&|change| change.returned.shmem.0);
    wire.copied = bytes(&|change| change.copied.0);
    wire.released = bytes(&|change| change.released.0);
    wire.unseen_grown = bytes(&|change| change.unseen.grown.0);
    wire.unseen_returned = bytes(&|change| change.unseen.returned.0);
    wire.grown_variance = column(&window.changes, |change| change.unseen.grown_variance);
    wire.returned_variance = column(&window.changes, |change| change.unseen.returned_variance);
    wire.peak_rss = bytes(&|change| beyond(window.peak, change.peak_rss));
    in_pages(&mut wire);
    wire
}

/// Divides all bytes by the size of a page, if that goes without remainder.
fn in_pages(wire: &mut wire::Window) {
    let mut figures = figures(wire);
    if figures.iter().any(|figure| **figure % PAGE.cast_signed() != 0) {
        wire.in_bytes = true;
        return;
    }
    for figure in &mut figures {
        **figure /= PAGE.cast_signed();
    }
}

/// All figures of a window that are bytes.
pub(super) fn figures(wire: &mut wire::Window) -> Vec<&mut i64> {
    let mut figures = vec![&mut wire.peak, &mut wire.lost];
    if let Some(rss) = &mut wire.rss {
        figures.extend([&mut rss.anon, &mut rss.file, &mut rss.shmem]);
    }
    for column in [
        &mut wire.grown_anon,
        &mut wire.grown_file,
        &mut wire.grown_shmem,
        &mut wire.returned_anon,
        &mut wire.returned_file,
        &mut wire.returned_shmem,
        &mut wire.copied,
        &mut wire.released,
        &mut wire.peak_rss,
        &mut wire.unseen_grown,
        &mut wire.unseen_returned,
    ] {
        figures.extend(column);
    }
    figures
}

/// One part of all things; nothing if it is zero throughout.
pub(super) fn column<T, N: Default + PartialEq>(things: &[T], part: impl Fn(&T) -> N) -> Vec<N> {
    let column: Vec<N> = things.iter().map(part).collect();
    if column.iter().all(|number| *number == N::default()) { Vec::new() } else { column }
}

fn ended(ended: &Ended) -> wire::Ended {
    let mut differences = Differences::default();
    wire::Ended {
        space: ended.space.0,
        at: ended.at.0,
        ending: match ended.ending {
            Ending::Running => 0,
            Ending::Exited => 1,
            Ending::Execed => 2,
        },
        present_stack: ended.present.iter().map(|(stack, ..)| differences.of(stack.0)).collect(),
        present_thread: column(&ended.present, |(_, thread, _)| thread.0),
        present: column(&ended.present, |(.., bytes)| bytes.0),
    }
}

fn ran(ran: &Ran) -> wire::Ran {
    let mut differences = Differences::default();
    wire::Ran {
        space: ran.space.0,
        at: ran.at.0,
        counted: match ran.counted {
            Counted::Lines => 0,
            Counted::Functions => 1,
        },
        place: ran.counts.iter().map(|(place, _)| differences.of(place.0)).collect(),
        count: ran.counts.iter().map(|(_, count)| *count).collect(),
    }
}

fn source(source: &Source) -> wire::Source {
    wire::Source {
        space: source.space.0,
        file: source.file.0,
        first_line: source.first_line,
        lines: source.lines.clone(),
        changed: source.changed,
        unreadable: source.unreadable.clone(),
    }
}

/// Ids, each as its difference to the one before.
#[derive(Default)]
pub(super) struct Differences {
    last: u32,
}

impl Differences {
    pub(super) fn of(&mut self, id: u32) -> i64 {
        let difference = i64::from(id) - i64::from(self.last);
        self.last = id;
        difference
    }
}
