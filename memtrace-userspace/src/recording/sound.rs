//! What an entry must keep to, given those before it.
//!
//! The same check serves the writer, which then makes nothing that can't be read, and the reader,
//! for which a file is anybody's text. Whoever gets an entry from a recording may use its ids as
//! they are and add its figures up in any order without overflow. Whether the figures obey the law
//! is not asked here.

use std::collections::HashMap;

use crate::history::Entry;
use crate::history::entry::{Allocations, Change, Ended, Live, Names, SpaceId, StackName, Window};
use crate::profile::{Blocks, Ending, Memory};
use crate::units::{Bytes, Nanos};

/// No single figure is larger: 4 PiB, what five levels of page tables can address in RAM.
const MAX_BYTES: u64 = 1 << 52;
/// Nor the sum of all figures of a recording: ten GiB a second for most of a year. Sums of these
/// sums, as reports make them, stay far from the end of `i64`.
const MAX_SUM: u64 = 1 << 58;
/// 146 years of nanoseconds, and as many events.
const MAX_COUNT: u64 = 1 << 62;

/// Why an entry is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// An id that was not introduced before it is used.
    #[error("there is no {table} {id}")]
    Unknown {
        /// Of which table.
        table: &'static str,
        /// The id.
        id: u32,
    },
    /// More names than ids.
    #[error("more names than can be numbered")]
    TooManyNames,
    /// A stack of lines without a line.
    #[error("a stack without frames")]
    NoFrames,
    /// A space begins that has begun.
    #[error("process {0} of the recording begins twice")]
    BegunTwice(u32),
    /// Something happens in a space that has ended.
    #[error("something happens in process {0} of the recording after its end")]
    AfterTheEnd(u32),
    /// Time runs backwards, or is beyond all bounds.
    #[error("its time is impossible")]
    Time,
    /// More memory than machines have, or more events.
    #[error("its figures are impossible")]
    Figures,
}

/// What the entries so far have introduced, and where their sums stand.
#[derive(Debug, Default)]
pub(super) struct SoFar {
    texts: u32,
    functions: u32,
    places: u32,
    natives: u32,
    stacks: u32,
    /// Of each stack: whether it has native frames.
    with_native: Vec<bool>,
    threads: u32,
    spaces: HashMap<SpaceId, SpaceSoFar>,
    /// Where the last window of any space ended.
    pub(super) last_window: Nanos,
    sums: Sums,
}

/// One space.
#[derive(Debug, Clone, Copy)]
struct SpaceSoFar {
    at: Nanos,
    rss: Memory,
    ended: bool,
}

impl SoFar {
    /// RSS of a space after its last window.
    pub(super) fn rss(&self, space: SpaceId) -> Memory {
        self.spaces.get(&space).map_or(Memory::ZERO, |space| space.rss)
    }

    /// Takes an entry in.
    ///
    /// # Errors
    ///
    /// What is wrong with it. What was taken in then counts for nothing any more.
    pub(super) fn admit(&mut self, entry: &Entry) -> Result<(), Unsound> {
        match entry {
            Entry::Names(names) => self.names(names),
            Entry::Began(began) => {
                if began.at.0 > MAX_COUNT {
                    return Err(Unsound::Time);
                }
                self.sums.memory(began.before)?;
                let space = SpaceSoFar { at: began.at, rss: began.before, ended: false };
                match self.spaces.insert(began.space, space) {
                    None => Ok(()),
                    Some(_) => Err(Unsound::BegunTwice(began.space.0)),
                }
            }
            Entry::Known(known) => self.space(known.space).map(drop),
            Entry::Window(window) => self.window(window),
            Entry::Ended(ended) => self.ended(ended),
            Entry::Allocations(counted) => self.allocations(counted),
            Entry::Live(live) => self.live(live),
            Entry::Source(source) => {
                self.space(source.space)?;
                known("text", source.file.0, self.texts)
            }
            Entry::Ran(ran) => {
                // Counts may come after a space's end: they are read when the command is over.
                self.space(ran.space)?;
                if ran.at.0 > MAX_COUNT {
                    return Err(Unsound::Time);
                }
                for (place, count) in &ran.counts {
                    known("place", place.0, self.places)?;
                    self.sums.events(*count)?;
                }
                Ok(())
            }
        }
    }

    fn names(&mut self, names: &Names) -> Result<(), Unsound> {
        grow(&mut self.texts, names.texts.len())?;
        for function in &names.functions {
            known("text", function.file.0, self.texts)?;
            known("text", function.name.0, self.texts)?;
        }
        grow(&mut self.functions, names.functions.len())?;
        for place in &names.places {
            known("function", place.function.0, self.functions)?;
        }
        grow(&mut self.places, names.places.len())?;
        for native in &names.natives {
            known("text", native.function.0, self.texts)?;
            known("text", native.library.0, self.texts)?;
            known("text", native.file.0, self.texts)?;
        }
        grow(&mut self.natives, names.natives.len())?;
        for stack in &names.stacks {
            match stack {
                StackName::Native { frames, below } => {
                    known("stack", below.0, self.stacks)?;
                    if frames.is_empty() || self.with_native[below.0 as usize] {
                        return Err(Unsound::NoFrames);
                    }
                    frames.iter().try_for_each(|it| known("native frame", it.0, self.natives))?;
                }
                StackName::Unattributed { name, .. } => known("text", name.0, self.texts)?,
                StackName::Lines { frames, .. } if frames.is_empty() => {
                    return Err(Unsound::NoFrames);
                }
                StackName::Lines { frames, .. } => {
                    frames.iter().try_for_each(|frame| known("place", frame.0, self.places))?;
                }
            }
            self.with_native.push(matches!(stack, StackName::Native { .. }));
            grow(&mut self.stacks, 1)?;
        }
        for thread in &names.threads {
            known("text", thread.name.0, self.texts)?;
        }
        grow(&mut self.threads, names.threads.len())
    }

    fn window(&mut self, window: &Window) -> Result<(), Unsound> {
        for change in &window.changes {
            known("stack", change.stack.0, self.stacks)?;
            known("thread", change.thread.0, self.threads)?;
            self.sums.change(change)?;
        }
        self.sums.one(window.rss.anon)?;
        self.sums.one(window.rss.file)?;
        self.sums.one(window.rss.shmem)?;
        self.sums.one(window.peak)?;
        self.sums.bytes(window.lost)?;
        self.sums.events(window.events)?;
        self.sums.events(window.lost_events)?;
        self.sums.time(window.probe)?;
        self.sums.time(window.userspace_cpu)?;
        let space = self.at(window.space, window.at)?;
        space.rss = window.rss;
        self.last_window = window.at;
        Ok(())
    }

    fn ended(&mut self, ended: &Ended) -> Result<(), Unsound> {
        for (stack, thread, bytes) in &ended.present {
            known("stack", stack.0, self.stacks)?;
            known("thread", thread.0, self.threads)?;
            self.sums.bytes(*bytes)?;
        }
        self.at(ended.space, ended.at)?.ended = ended.ending != Ending::Running;
        Ok(())
    }

    fn allocations(&mut self, counted: &Allocations) -> Result<(), Unsound> {
        if counted.recorded > counted.time || counted.frees_seen > counted.time {
            return Err(Unsound::Time);
        }
        for change in &counted.changes {
            known("stack", change.stack.0, self.stacks)?;
            known("thread", change.thread.0, self.threads)?;
            for blocks in [change.all, change.freed, change.temporary] {
                self.sums.blocks(blocks)?;
            }
        }
        for count in [counted.lost, counted.unknown_frees, counted.hits] {
            self.sums.events(count)?;
        }
        self.sums.allocated(counted.lost_bytes)?;
        self.sums.time(counted.time)?;
        self.sums.time(counted.cost)?;
        self.sums.time(counted.slowed)?;
        for (_, time) in &counted.measured {
            self.sums.time(*time)?;
        }
        self.at(counted.space, counted.at).map(drop)
    }

    fn live(&mut self, live: &Live) -> Result<(), Unsound> {
        for (stack, thread, milliseconds, blocks) in &live.blocks {
            if *milliseconds > MAX_COUNT / 1_000_000 {
                return Err(Unsound::Time);
            }
            known("stack", stack.0, self.stacks)?;
            known("thread", thread.0, self.threads)?;
            self.sums.blocks(*blocks)?;
        }
        // They may come after a space's end: they are looked for, for several at once.
        self.space(live.space)?;
        if live.at.0 > MAX_COUNT { Err(Unsound::Time) } else { Ok(()) }
    }

    fn space(&mut self, space: SpaceId) -> Result<&mut SpaceSoFar, Unsound> {
        self.spaces.get_mut(&space).ok_or(Unsound::Unknown { table: "process", id: space.0 })
    }

    /// Moves a space's clock on.
    fn at(&mut self, space: SpaceId, at: Nanos) -> Result<&mut SpaceSoFar, Unsound> {
        let known = self.space(space)?;
        if known.ended {
            return Err(Unsound::AfterTheEnd(space.0));
        }
        if at < known.at || at.0 > MAX_COUNT {
            return Err(Unsound::Time);
        }
        known.at = at;
        Ok(known)
    }
}

fn known(table: &'static str, id: u32, so_far: u32) -> Result<(), Unsound> {
    if id < so_far { Ok(()) } else { Err(Unsound::Unknown { table, id }) }
}

fn grow(table: &mut u32, by: usize) -> Result<(), Unsound> {
    let grown = u32::try_from(by).ok().and_then(|by| table.checked_add(by));
    *table = grown.ok_or(Unsound::TooManyNames)?;
    Ok(())
}

/// Running totals of what reports add up.
#[derive(Debug, Default)]
struct Sums {
    bytes: u64,
    /// What allocators hand out may be more in an hour than machines have.
    allocated: u64,
    events: u64,
    time: u64,
    /// Of estimates.
    variance: u64,
}

impl Sums {
    /// A figure that nobody adds up.
    fn one(&self, Bytes(bytes): Bytes) -> Result<(), Unsound> {
        if bytes.unsigned_abs() <= MAX_BYTES { Ok(()) } else { Err(Unsound::Figures) }
    }

    fn bytes(&mut self, bytes: Bytes) -> Result<(), Unsound> {
        self.one(bytes)?;
        add(&mut self.bytes, bytes.0.unsigned_abs(), MAX_SUM)
    }

    fn allocated(&mut self, Bytes(bytes): Bytes) -> Result<(), Unsound> {
        add(&mut self.allocated, bytes.unsigned_abs(), MAX_COUNT)
    }

    fn blocks(&mut self, blocks: Blocks) -> Result<(), Unsound> {
        self.allocated(blocks.bytes)?;
        self.events(blocks.count)
    }

    fn memory(&mut self, memory: Memory) -> Result<(), Unsound> {
        [memory.anon, memory.file, memory.shmem].into_iter().try_for_each(|kind| self.bytes(kind))
    }

    fn change(&mut self, change: &Change) -> Result<(), Unsound> {
        self.memory(change.grown)?;
        self.memory(change.returned)?;
        self.bytes(change.copied)?;
        self.bytes(change.released)?;
        self.one(change.peak_rss)?;
        self.bytes(change.unseen.grown)?;
        self.bytes(change.unseen.returned)?;
        self.variance(change.unseen.grown_variance)?;
        self.variance(change.unseen.returned_variance)?;
        self.events(change.events)
    }

    fn variance(&mut self, variance: u64) -> Result<(), Unsound> {
        add(&mut self.variance, variance, MAX_COUNT)
    }

    fn events(&mut self, events: u64) -> Result<(), Unsound> {
        add(&mut self.events, events, MAX_COUNT)
    }

    fn time(&mut self, Nanos(time): Nanos) -> Result<(), Unsound> {
        add(&mut self.time, time, MAX_COUNT)
    }
}

fn add(sum: &mut u64, more: u64, most: u64) -> Result<(), Unsound> {
    let added = sum.checked_add(more).filter(|added| *added <= most);
    *sum = added.ok_or(Unsound::Figures)?;
    Ok(())
}
