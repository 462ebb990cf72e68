//! What the allocator lens counted, as it lies in a recording: messages, and the way there and back.
//!
//! As in `wire`, `encode` and `decode`: a list of things is one list for each of their parts, a part
//! that is zero throughout is left out, ids are differences.

use prost::Message;

use super::decode::{Column, Ids, Wrong};
use super::encode::{Differences, column};
use crate::history::entry::{AllocationChange, Allocations, Live, SpaceId, StackId, ThreadId};
use crate::profile::Blocks;
use crate::units::{Bytes, Nanos};

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireAllocations {
    #[prost(uint32, tag = "1")]
    space: u32,
    #[prost(uint64, tag = "2")]
    at: u64,
    #[prost(uint64, tag = "3")]
    time: u64,
    /// Below `time`.
    #[prost(sint64, tag = "4")]
    recorded: i64,
    /// Below `time`.
    #[prost(sint64, tag = "5")]
    frees_seen: i64,
    #[prost(uint64, tag = "6")]
    lost: u64,
    #[prost(sint64, tag = "7")]
    lost_bytes: i64,
    #[prost(uint64, tag = "8")]
    unknown_frees: u64,
    #[prost(uint64, tag = "9")]
    hits: u64,
    #[prost(uint64, tag = "10")]
    cost: u64,

    /// Each less the one before.
    #[prost(sint64, repeated, tag = "11")]
    stack: Vec<i64>,
    #[prost(uint32, repeated, tag = "12")]
    thread: Vec<u32>,
    #[prost(uint64, repeated, tag = "13")]
    all: Vec<u64>,
    #[prost(sint64, repeated, tag = "14")]
    all_bytes: Vec<i64>,
    #[prost(uint64, repeated, tag = "15")]
    freed: Vec<u64>,
    #[prost(sint64, repeated, tag = "16")]
    freed_bytes: Vec<i64>,
    #[prost(uint64, repeated, tag = "17")]
    temporary: Vec<u64>,
    #[prost(sint64, repeated, tag = "18")]
    temporary_bytes: Vec<i64>,

    #[prost(uint64, tag = "19")]
    slowed: u64,

    #[prost(string, repeated, tag = "20")]
    measured_by: Vec<String>,
    #[prost(uint64, repeated, tag = "21")]
    measured: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireLive {
    #[prost(uint32, tag = "1")]
    space: u32,
    #[prost(uint64, tag = "2")]
    at: u64,
    /// Each less the one before.
    #[prost(sint64, repeated, tag = "3")]
    stack: Vec<i64>,
    #[prost(uint32, repeated, tag = "4")]
    thread: Vec<u32>,
    /// In milliseconds.
    #[prost(uint64, repeated, tag = "5")]
    age: Vec<u64>,
    #[prost(uint64, repeated, tag = "6")]
    count: Vec<u64>,
    #[prost(sint64, repeated, tag = "7")]
    bytes: Vec<i64>,
}

pub(super) fn encode(counted: &Allocations) -> WireAllocations {
    let below = |time: Nanos| counted.time.0.wrapping_sub(time.0).cast_signed();
    let mut ids = Differences::default();
    let changes = &counted.changes;
    WireAllocations {
        space: counted.space.0,
        at: counted.at.0,
        time: counted.time.0,
        recorded: below(counted.recorded),
        frees_seen: below(counted.frees_seen),
        lost: counted.lost,
        lost_bytes: counted.lost_bytes.0,
        unknown_frees: counted.unknown_frees,
        hits: counted.hits,
        cost: counted.cost.0,
        slowed: counted.slowed.0,
        measured_by: counted.measured.iter().map(|(name, _)| name.clone()).collect(),
        measured: column(&counted.measured, |(_, time)| time.0),
        stack: changes.iter().map(|change| ids.of(change.stack.0)).collect(),
        thread: column(changes, |change| change.thread.0),
        all: column(changes, |change| change.all.count),
        all_bytes: column(changes, |change| change.all.bytes.0),
        freed: column(changes, |change| change.freed.count),
        freed_bytes: column(changes, |change| change.freed.bytes.0),
        temporary: column(changes, |change| change.temporary.count),
        temporary_bytes: column(changes, |change| change.temporary.bytes.0),
    }
}

pub(super) fn encode_live(live: &Live) -> WireLive {
    let mut ids = Differences::default();
    let blocks = &live.blocks;
    WireLive {
        space: live.space.0,
        at: live.at.0,
        stack: blocks.iter().map(|(stack, ..)| ids.of(stack.0)).collect(),
        thread: column(blocks, |(_, thread, ..)| thread.0),
        age: column(blocks, |(_, _, age, _)| *age),
        count: column(blocks, |(.., blocks)| blocks.count),
        bytes: column(blocks, |(.., blocks)| blocks.bytes.0),
    }
}

/// Blocks from two columns.
fn blocks(count: &Column<u64>, bytes: &Column<i64>, at: usize) -> Blocks {
    Blocks { count: count.at(at), bytes: Bytes(bytes.at(at)) }
}

pub(super) fn decode(wire: WireAllocations) -> Result<Allocations, Wrong> {
    let count = wire.stack.len();
    let threads = Column::of(wire.thread, count)?;
    let all = (Column::of(wire.all, count)?, Column::of(wire.all_bytes, count)?);
    let freed = (Column::of(wire.freed, count)?, Column::of(wire.freed_bytes, count)?);
    let temporary = (Column::of(wire.temporary, count)?, Column::of(wire.temporary_bytes, count)?);
    let mut changes = Vec::with_capacity(count);
    for (at, stack) in Ids::of(wire.stack).enumerate() {
        changes.push(AllocationChange {
            stack: StackId(stack?),
            thread: ThreadId(threads.at(at)),
            all: blocks(&all.0, &all.1, at),
            freed: blocks(&freed.0, &freed.1, at),
            temporary: blocks(&temporary.0, &temporary.1, at),
        });
    }
    let times = Column::of(wire.measured, wire.measured_by.len())?;
    let measured = wire.measured_by.into_iter().enumerate();
    let measured = measured.map(|(at, name)| (name, Nanos(times.at(at)))).collect();
    let below = |by: i64| Nanos(wire.time.wrapping_sub(by.cast_unsigned()));
    Ok(Allocations {
        space: SpaceId(wire.space),
        at: Nanos(wire.at),
        time: Nanos(wire.time),
        recorded: below(wire.recorded),
        frees_seen: below(wire.frees_seen),
        lost: wire.lost,
        lost_bytes: Bytes(wire.lost_bytes),
        unknown_frees: wire.unknown_frees,
        hits: wire.hits,
        cost: Nanos(wire.cost),
        slowed: Nanos(wire.slowed),
        measured,
        changes,
    })
}

pub(super) fn decode_live(wire: WireLive) -> Result<Live, Wrong> {
    let count = wire.stack.len();
    let threads = Column::of(wire.thread, count)?;
    let ages = Column::of(wire.age, count)?;
    let (counts, bytes) = (Column::of(wire.count, count)?, Column::of(wire.bytes, count)?);
    let mut all = Vec::with_capacity(count);
    for (at, stack) in Ids::of(wire.stack).enumerate() {
        let (thread, age) = (ThreadId(threads.at(at)), ages.at(at));
        all.push((StackId(stack?), thread, age, blocks(&counts, &bytes, at)));
    }
    Ok(Live { space: SpaceId(wire.space), at: Nanos(wire.at), blocks: all })
}
