//! From an encoding that may say anything to an entry, or to why it is none.
//!
//! Checks what the shape of entries asks for: columns of one length, numbers that are in their
//! range. Whether ids exist and figures make sense is [`super::sound`]'s business, afterwards.

use std::time::{Duration, SystemTime};

use super::allocations;
use super::encode::{NATIVE_SHAPE, events_of, figures, foretold, reason_number, total};
use super::sound::SoFar;
use super::wire;
use crate::history::entry::{
    Began, Change, Counted, Ended, Function, FunctionId, Known, Names, NativeId, NativeName,
    PlaceId, PlaceName, Ran, Source, SpaceId, StackId, StackName, TextId, ThreadId, ThreadName,
    Window,
};
use crate::history::{Entry, Head};
use crate::profile::{Ending, Memory, Reason, Unseen};
use crate::units::{Bytes, Nanos, PAGE};

/// The last second that has a date with a year of four digits.
const LAST_SECOND: u64 = 253_402_300_799;

/// What is wrong, as the end of a sentence.
pub(super) type Wrong = &'static str;

/// What the first frame says.
pub(super) fn head(wire: wire::Head) -> Option<Head> {
    if wire.started_at_seconds > LAST_SECOND || wire.started_at_nanos >= 1_000_000_000 {
        return None;
    }
    let since = Duration::new(wire.started_at_seconds, wire.started_at_nanos);
    let started_at = SystemTime::UNIX_EPOCH.checked_add(since)?;
    Some(Head { started_at, kernel: wire.kernel, exact: wire.exact })
}

/// The entry that comes after `so_far`.
pub(super) fn entry(wire: wire::Entry, so_far: &SoFar) -> Result<Entry, Wrong> {
    Ok(match wire.kind.ok_or("it is of no known kind")? {
        wire::Kind::Names(it) => Entry::Names(names(*it)?),
        wire::Kind::Began(it) => Entry::Began(began(it)),
        wire::Kind::Known(it) => Entry::Known(known(it)),
        wire::Kind::Window(it) => Entry::Window(window(*it, so_far)?),
        wire::Kind::Ended(it) => Entry::Ended(ended(it)?),
        wire::Kind::Source(it) => Entry::Source(source(it)),
        wire::Kind::Allocations(it) => Entry::Allocations(allocations::decode(*it)?),
        wire::Kind::Live(it) => Entry::Live(allocations::decode_live(*it)?),
        wire::Kind::Ran(it) => Entry::Ran(ran(it)?),
    })
}

const UNEVEN: Wrong = "its columns differ in length";

fn names(wire: wire::Names) -> Result<Names, Wrong> {
    let functions = wire.function_file.len();
    let even = [
        wire.function_name.len() == functions,
        wire.function_first_line.len() == functions,
        wire.function_extent.len() == functions,
        wire.place_line.len() == wire.place_function.len(),
        wire.reason_name.len() == wire.reason.len(),
        wire.thread_tid.len() == wire.thread_space.len(),
        wire.thread_name.len() == wire.thread_space.len(),
        wire.native_library.len() == wire.native_function.len(),
        wire.native_file.len() == wire.native_function.len(),
        wire.native_line.len() == wire.native_function.len(),
        wire.native_depth.len() == wire.native_below.len(),
    ];
    if even.contains(&false) {
        return Err(UNEVEN);
    }
    let mut names = Names { texts: wire.texts, ..Default::default() };
    for (at, file) in wire.function_file.into_iter().enumerate() {
        let first_line = wire.function_first_line[at];
        let last_line = i64::from(first_line).checked_add(wire.function_extent[at]);
        let last_line = last_line.and_then(|line| u32::try_from(line).ok());
        names.functions.push(Function {
            file: TextId(file),
            name: TextId(wire.function_name[at]),
            first_line,
            last_line: last_line.ok_or("a function ends nowhere")?,
        });
    }
    for (function, line) in wire.place_function.into_iter().zip(wire.place_line) {
        names.places.push(PlaceName { function: FunctionId(function), line });
    }
    for (at, function) in wire.native_function.into_iter().enumerate() {
        names.natives.push(NativeName {
            function: TextId(function),
            library: TextId(wire.native_library[at]),
            file: TextId(wire.native_file[at]),
            line: wire.native_line[at],
        });
    }
    let natives = (wire.native_below, wire.native_depth, wire.frame_native);
    let reasons = (wire.reason, wire.reason_name);
    names.stacks = stacks(&wire.stack_shape, wire.frame_place, reasons, natives)?;
    for (at, space) in wire.thread_space.into_iter().enumerate() {
        names.threads.push(ThreadName {
            space: SpaceId(space),
            tid: wire.thread_tid[at],
            name: TextId(wire.thread_name[at]),
        });
    }
    Ok(names)
}

fn stacks(
    shapes: &[u32],
    frames: Vec<i64>,
    (reasons, reason_names): (Vec<u32>, Vec<u32>),
    (below, depths, natives): (Vec<u32>, Vec<u32>, Vec<i64>),
) -> Result<Vec<StackName>, Wrong> {
    let mut places = Ids::of(frames);
    let mut reasons = reasons.into_iter().zip(reason_names);
    let mut above = below.into_iter().zip(depths);
    let mut natives = Ids::of(natives);
    let mut stacks = Vec::new();
    for shape in shapes {
        stacks.push(if *shape == 0 {
            let (number, name) = reasons.next().ok_or(UNEVEN)?;
            let reason = reason(number).ok_or("a reason that this format doesn't have")?;
            StackName::Unattributed { reason, name: TextId(name) }
        } else if *shape == NATIVE_SHAPE {
            let (below, depth) = above.next().ok_or(UNEVEN)?;
            let frames = some(&mut natives, depth)?.into_iter().map(NativeId).collect();
            StackName::Native { frames, below: StackId(below) }
        } else {
            let frames = some(&mut places, *shape / 2)?.into_iter().map(PlaceId).collect();
            StackName::Lines { frames, truncated: shape % 2 == 1 }
        });
    }
    if places.next().is_some()
        || reasons.next().is_some()
        || above.next().is_some()
        || natives.next().is_some()
    {
        return Err(UNEVEN);
    }
    Ok(stacks)
}

/// The next so many ids. Only as many as there are: the count alone reserves nothing.
fn some(ids: &mut Ids, count: u32) -> Result<Vec<u32>, Wrong> {
    let count = count as usize;
    let some = ids.by_ref().take(count).collect::<Result<Vec<_>, _>>()?;
    if some.len() < count { Err(UNEVEN) } else { Ok(some) }
}

/// All reasons that the format has.
pub(super) const REASONS: [Reason; 17] = [
    Reason::NativeThread,
    Reason::InterpreterStartup,
    Reason::NotPython,
    Reason::Kernel,
    Reason::OtherProcess,
    Reason::BeforeAttachReturned,
    Reason::Reclaimed,
    Reason::StackUnreadable,
    Reason::StackLost,
    Reason::Lost,
    Reason::UnderWay,
    Reason::LeftOut,
    Reason::Remainder,
    Reason::BeyondLimit,
    Reason::Ended,
    Reason::BeganLater,
    Reason::NotWalked,
];

fn reason(number: u32) -> Option<Reason> {
    REASONS.into_iter().find(|reason| reason_number(*reason) == number)
}

fn memory(wire: wire::Memory) -> Memory {
    Memory { anon: Bytes(wire.anon), file: Bytes(wire.file), shmem: Bytes(wire.shmem) }
}

fn began(wire: wire::Began) -> Began {
    Began {
        space: SpaceId(wire.space),
        at: Nanos(wire.at),
        pid: wire.pid,
        parent: wire.parent,
        before: memory(wire.before),
        command: wire.command,
    }
}

fn known(wire: wire::Known) -> Known {
    Known {
        space: SpaceId(wire.space),
        python: wire.python,
        command: wire.command,
        notes: wire.notes,
    }
}

fn window(mut wire: wire::Window, so_far: &SoFar) -> Result<Window, Wrong> {
    if !wire.in_bytes {
        for figure in figures(&mut wire) {
            *figure = figure.checked_mul(PAGE.cast_signed()).ok_or("a figure is out of range")?;
        }
    }
    let count = wire.stack.len();
    let bytes = |column| Column::of(column, count);
    let threads = Column::of(wire.thread, count)?;
    let events = Column::of(wire.change_events, count)?;
    let grown = [bytes(wire.grown_anon)?, bytes(wire.grown_file)?, bytes(wire.grown_shmem)?];
    let returned =
        [bytes(wire.returned_anon)?, bytes(wire.returned_file)?, bytes(wire.returned_shmem)?];
    let (copied, released) = (bytes(wire.copied)?, bytes(wire.released)?);
    let below_peak = bytes(wire.peak_rss)?;
    let unseen = (bytes(wire.unseen_grown)?, bytes(wire.unseen_returned)?);
    let variances =
        (Column::of(wire.grown_variance, count)?, Column::of(wire.returned_variance, count)?);
    let of = |[anon, file, shmem]: &[Column<i64>; 3], at: usize| Memory {
        anon: Bytes(anon.at(at)),
        file: Bytes(file.at(at)),
        shmem: Bytes(shmem.at(at)),
    };
    let mut changes = Vec::with_capacity(count);
    for (at, stack) in Ids::of(wire.stack).enumerate() {
        changes.push(Change {
            stack: StackId(stack?),
            thread: ThreadId(threads.at(at)),
            grown: of(&grown, at),
            returned: of(&returned, at),
            copied: Bytes(copied.at(at)),
            released: Bytes(released.at(at)),
            events: events.at(at),
            // Below the peak, which is only known when RSS is.
            peak_rss: Bytes(below_peak.at(at)),
            unseen: Unseen {
                grown: Bytes(unseen.0.at(at)),
                returned: Bytes(unseen.1.at(at)),
                grown_variance: variances.0.at(at),
                returned_variance: variances.1.at(at),
            },
        });
    }
    let space = SpaceId(wire.space);
    let foretold = foretold(so_far.rss(space), &changes);
    let beyond = wire.rss.unwrap_or_default();
    let plus = |told: Bytes, beyond: i64| Bytes(told.0.wrapping_add(beyond));
    let rss = Memory {
        anon: plus(foretold.anon, beyond.anon),
        file: plus(foretold.file, beyond.file),
        shmem: plus(foretold.shmem, beyond.shmem),
    };
    let peak = total(rss).0.wrapping_add(wire.peak);
    for change in &mut changes {
        change.peak_rss = Bytes(peak.wrapping_sub(change.peak_rss.0));
    }
    Ok(Window {
        space,
        at: Nanos(so_far.last_window.0.wrapping_add_signed(wire.at)),
        rss,
        peak: Bytes(peak),
        events: events_of(&changes).wrapping_add_signed(wire.events),
        lost_events: wire.lost_events,
        lost: Bytes(wire.lost),
        probe: Nanos(wire.probe),
        userspace_cpu: Nanos(wire.userspace_cpu),
        changes,
    })
}

/// One part of all things. A column that was left out is zero throughout.
pub(super) struct Column<N>(Vec<N>);

impl<N: Default + Copy> Column<N> {
    pub(super) fn of(column: Vec<N>, count: usize) -> Result<Self, Wrong> {
        if column.is_empty() || column.len() == count { Ok(Self(column)) } else { Err(UNEVEN) }
    }

    pub(super) fn at(&self, at: usize) -> N {
        self.0.get(at).copied().unwrap_or_default()
    }
}

fn ended(wire: wire::Ended) -> Result<Ended, Wrong> {
    let count = wire.present_stack.len();
    let threads = Column::of(wire.present_thread, count)?;
    let bytes = Column::of(wire.present, count)?;
    let mut present = Vec::with_capacity(count);
    for (at, stack) in Ids::of(wire.present_stack).enumerate() {
        present.push((StackId(stack?), ThreadId(threads.at(at)), Bytes(bytes.at(at))));
    }
    Ok(Ended {
        space: SpaceId(wire.space),
        at: Nanos(wire.at),
        ending: match wire.ending {
            0 => Ending::Running,
            1 => Ending::Exited,
            2 => Ending::Execed,
            _ => return Err("an ending that this format doesn't have"),
        },
        present,
    })
}

fn source(wire: wire::Source) -> Source {
    Source {
        space: SpaceId(wire.space),
        file: TextId(wire.file),
        first_line: wire.first_line,
        lines: wire.lines,
        changed: wire.changed,
        unreadable: wire.unreadable,
    }
}

fn ran(wire: wire::Ran) -> Result<Ran, Wrong> {
    if wire.count.len() != wire.place.len() {
        return Err(UNEVEN);
    }
    let places = Ids::of(wire.place);
    let counts = places.zip(wire.count).map(|(place, count)| Ok((PlaceId(place?), count)));
    Ok(Ran {
        space: SpaceId(wire.space),
        at: Nanos(wire.at),
        counted: match wire.counted {
            0 => Counted::Lines,
            1 => Counted::Functions,
            _ => return Err("it counts what this format doesn't have"),
        },
        counts: counts.collect::<Result<_, Wrong>>()?,
    })
}

/// Ids from the differences between them.
pub(super) struct Ids {
    differences: std::vec::IntoIter<i64>,
    last: u32,
}

impl Ids {
    pub(super) fn of(differences: Vec<i64>) -> Self {
        Self { differences: differences.into_iter(), last: 0 }
    }
}

impl Iterator for Ids {
    type Item = Result<u32, Wrong>;

    fn next(&mut self) -> Option<Self::Item> {
        let id = i64::from(self.last).checked_add(self.differences.next()?);
        let id = id.and_then(|id| u32::try_from(id).ok()).ok_or("an id is out of range");
        if let Ok(id) = id {
            self.last = id;
        }
        Some(id)
    }
}
