//! Counting the objects that the garbage collector tracks, by type.
//!
//! The collector's lists are doubly linked, so each step is checked by the link back. A target
//! that runs changes them meanwhile: what doesn't fit is read again, then followed if an object
//! of a known kind is there, and told; otherwise what is behind is reached from the list's end, or the
//! list is given up, and told. A target that is held may be in the middle of a step, too. Strings, numbers
//! and arrays of bytes are not tracked, and so not here.

use std::collections::{BTreeMap, HashSet, VecDeque};

use memtrace_common::memory::ReadMemory;

use super::block_sizes::BlockSizes;
use super::blocks::Blocks;
use super::layout::Layout;
use super::picture::{Census, TypeRow};
use super::types::Types;
use crate::python::{Interpreter, TargetMemory, Version};
use crate::units::Bytes;

/// Objects that are counted: at 48 bytes at least, they would fill 24 GiB.
const OBJECTS_LIMIT: u64 = 1 << 29;
/// A link that doesn't fit is read again so often.
const READ_AGAIN: usize = 3;
/// Torn links in a list until it is given up, unless the collector is at work: it keeps its
/// counts where the links back were.
const TORN_LIMIT: u64 = 10_000;
/// Objects that were met last, from which a list that ended nowhere is gone on with.
const TRAIL: usize = 4096;
/// How often.
const RESUMED_LIMIT: usize = 1000;
/// Objects that are counted from a list's end, to where it could not be gone on with: 64 MiB of ours.
const BACKWARD_LIMIT: usize = 1 << 22;
/// Low bits of both links are flags of the collector (`Include/internal/pycore_gc.h`).
const FLAGS: u64 = 3;

/// `PyVarObject.ob_size`
const OB_SIZE: u64 = 16;

/// What is counted of a type.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    objects: u64,
    permanent: u64,
    bytes: u64,
}

impl Count {
    fn plus(self, other: Self) -> Self {
        Self {
            objects: self.objects + other.objects,
            permanent: self.permanent + other.permanent,
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

/// Counts them; `None` when the lists were not found.
pub(super) fn count(
    memory: &TargetMemory,
    interpreter: &Interpreter,
    layout: &Layout,
    sizes: &BlockSizes,
) -> Option<Census> {
    let blocks = Blocks::new(memory);
    let mut heads = Vec::new();
    let mut collecting = false;
    for at in collectors(memory, interpreter, layout) {
        heads.extend(lists(memory, interpreter.version, layout, at)?);
        let flag = memory.read_u32(at.wrapping_add(layout.gc.collecting));
        collecting |= flag.is_some_and(|flag| flag != 0);
    }
    if heads.is_empty() {
        return None;
    }
    let mut walk = Walk {
        blocks: &blocks,
        sizes,
        head_size: layout.gc.gc_head_size,
        types: Types::new(layout, interpreter.version.minor),
        counts: Vec::new(),
        heads: heads.iter().map(|head| head.address).collect(),
        collecting,
        objects: 0,
        torn_links: 0,
        lists_cut: 0,
    };
    for head in heads {
        walk.list(head);
    }
    Some(walk.finish())
}

/// Addresses of `struct _gc_runtime_state`.
fn collectors(memory: &TargetMemory, interpreter: &Interpreter, layout: &Layout) -> Vec<u64> {
    match (layout.runtime.gc, layout.interpreter_state.gc) {
        (Some(offset), _) => vec![interpreter.runtime.wrapping_add(offset)],
        (None, Some(offset)) => interpreter
            .threads(memory)
            .interpreters
            .into_iter()
            .map(|address| address.wrapping_add(offset))
            .collect(),
        (None, None) => Vec::new(),
    }
}

/// The head of a list.
#[derive(Debug, Clone, Copy)]
struct Head {
    address: u64,
    /// Of the permanent generation.
    permanent: bool,
}

/// Heads of the lists of one collector, if all of them look like heads.
fn lists(
    memory: &TargetMemory,
    version: Version,
    layout: &Layout,
    collector: u64,
) -> Option<Vec<Head>> {
    let gc = &layout.gc;
    let at = |offset: u64| collector.wrapping_add(offset);
    // 3.14.0 to 3.14.4 had the incremental collector: a young list and two old ones, and no
    // pointer to the first.
    let first = match (version.minor, version.micro) {
        (14, Some(0..=4)) => at(gc.generations),
        _ => memory.read_u64(at(gc.generation0_ptr))?,
    };
    let generations = (0..3).map(|index| first.wrapping_add(index * gc.gc_generation_size));
    let permanent = Head { address: at(gc.permanent_generation), permanent: true };
    let generations = generations.map(|address| Head { address, permanent: false });
    let heads: Vec<Head> = generations.chain([permanent]).collect();
    // An empty list's head points to itself, any other to what points back.
    let is_head = |head: u64| {
        let next = memory.read_u64(head)? & !FLAGS;
        let prev = memory.read_u64(head.wrapping_add(8))? & !FLAGS;
        Some((next == head) == (prev == head) && next != 0 && prev != 0)
    };
    heads.iter().all(|head| is_head(head.address) == Some(true)).then_some(heads)
}

struct Walk<'a> {
    blocks: &'a Blocks<'a>,
    sizes: &'a BlockSizes,
    head_size: u64,
    types: Types<'a>,
    /// By index of the type.
    counts: Vec<Count>,
    /// A few: four an interpreter.
    heads: Vec<u64>,
    collecting: bool,
    objects: u64,
    torn_links: u64,
    lists_cut: u64,
}

/// `PyGC_Head`, and the beginning of the object behind it.
#[derive(Debug, Clone, Copy)]
struct Node {
    next: u64,
    prev: u64,
    of_type: u64,
}

impl Walk<'_> {
    fn node(&self, address: u64) -> Option<Node> {
        let mut bytes = [0; 32];
        if !self.blocks.read(address, &mut bytes) {
            return None;
        }
        let word = |at: usize| {
            bytes.get(at..at + 8).and_then(|it| it.try_into().ok()).map(u64::from_ne_bytes)
        };
        Some(Node { next: word(0)? & !FLAGS, prev: word(8)? & !FLAGS, of_type: word(24)? })
    }

    fn list(&mut self, head: Head) {
        let Head { address: head, permanent } = head;
        let (mut before, mut previous) = (head, head);
        let mut torn = 0;
        let mut trail = VecDeque::new();
        let mut resumed = 0;
        let Some(mut at) = self.blocks.read_u64(head).map(|next| next & !FLAGS) else {
            self.lists_cut += 1;
            return;
        };
        // The collector appends one list to another, so the end may be another list's head.
        while !self.heads.contains(&at) {
            let Some((node, index)) = self.step(&mut at, previous, head) else {
                if self.heads.contains(&at) {
                    return;
                }
                self.torn_links += 1;
                if self.is_last(head, before, previous) {
                    return;
                }
                // What was here has died. Some that were met on the way are still alive.
                resumed += 1;
                let met = trail.clone();
                let Some(link) = self.resume(&mut trail).filter(|_| resumed <= RESUMED_LIMIT)
                else {
                    if !self.backward(head, permanent, &met) {
                        self.lists_cut += 1;
                    }
                    return;
                };
                before = previous;
                (previous, at) = link;
                continue;
            };
            if node.prev != previous {
                torn += 1;
                self.torn_links += 1;
                // An object that is moved here from another list still leads there.
                if self.is_last(head, before, previous) {
                    return;
                }
            }
            let give_up = torn > TORN_LIMIT && !self.collecting;
            if give_up || self.objects >= OBJECTS_LIMIT {
                self.lists_cut += 1;
                return;
            }
            self.add(at, index, permanent);
            if trail.len() == TRAIL {
                trail.pop_front();
            }
            trail.push_back(at);
            before = previous;
            previous = at;
            at = node.next;
        }
    }

    /// Whether the list ends with this object, or with the one before it: a new object is linked to
    /// the last one before it is linked back, or to the head (`_PyObject_GC_TRACK`).
    fn is_last(&self, head: u64, before: u64, object: u64) -> bool {
        self.blocks.forget(head);
        self.blocks.forget(object);
        let back = |at: u64| self.blocks.read_u64(at.wrapping_add(8)).map(|back| back & !FLAGS);
        let last = back(head);
        // An empty list's head points to itself.
        let is_before = before != object && last == Some(before);
        last.is_some() && (last == Some(object) || is_before || last == back(object))
    }

    /// Counts from the list's end to an object that was met. Nothing, if it does not lead to one: an
    /// object that leaves its list may lead nowhere before those around it lead past it.
    fn backward(&mut self, head: u64, permanent: bool, met: &VecDeque<u64>) -> bool {
        let met: HashSet<u64> = met.iter().copied().collect();
        let mut found = Vec::new();
        let mut following = head;
        self.blocks.forget(head);
        let mut back = self.blocks.read_u64(head.wrapping_add(8)).map(|back| back & !FLAGS);
        while let Some(at) = back.filter(|at| !self.heads.contains(at)) {
            if met.contains(&at) {
                for (at, index) in found {
                    self.add(at, index, permanent);
                }
                return true;
            }
            let known = self.node(at).filter(|node| node.next == following);
            let Some(node) = known else { return false };
            let Some(index) = self.types.at(self.blocks, node.of_type) else { return false };
            if found.len() >= BACKWARD_LIMIT {
                return false;
            }
            found.push((at, index));
            following = at;
            back = Some(node.prev);
        }
        false
    }

    /// The last object of the trail that is still in a list, and the one behind it, which was not
    /// met yet.
    fn resume(&mut self, trail: &mut VecDeque<u64>) -> Option<(u64, u64)> {
        let mut met = HashSet::new();
        while let Some(last) = trail.pop_back() {
            self.blocks.forget(last);
            met.insert(last);
            let Some(node) = self.node(last) else { continue };
            if self.types.at(self.blocks, node.of_type).is_none() {
                continue;
            }
            self.blocks.forget(node.next);
            let back = self.blocks.read_u64(node.next.wrapping_add(8));
            if back.is_some_and(|back| back & !FLAGS == last) {
                // What was met leads to where it ended, again.
                return (!met.contains(&node.next)).then_some((last, node.next));
            }
        }
        None
    }

    /// The object at `at`, whose link back should be to `previous`; read again, from there, if it
    /// isn't.
    fn step(&mut self, at: &mut u64, previous: u64, head: u64) -> Option<(Node, usize)> {
        let mut fallback = None;
        for attempt in 0..=READ_AGAIN {
            if attempt > 0 {
                self.blocks.forget(previous);
                *at = self.blocks.read_u64(previous)? & !FLAGS;
                if *at == head || self.heads.contains(at) {
                    return None;
                }
                self.blocks.forget(*at);
            }
            let Some(node) = self.node(*at) else { continue };
            let Some(index) = self.types.at(self.blocks, node.of_type) else { continue };
            if node.prev == previous {
                return Some((node, index));
            }
            // While the collector runs, it keeps its counts where the link back was.
            fallback = Some((*at, node, index));
        }
        let (address, node, index) = fallback?;
        *at = address;
        Some((node, index))
    }

    fn add(&mut self, at: u64, index: usize, permanent: bool) {
        let object = at.wrapping_add(self.head_size);
        let size = self.sizes.of(object).or_else(|| {
            let of = self.types.get(index)?;
            // A negative length is a sign, not a size; no object has 2^40 items.
            let length = match of.item {
                0 => 0,
                _ => self.blocks.read_u64(object.wrapping_add(OB_SIZE)).unwrap_or(0),
            };
            let items = length.cast_signed().unsigned_abs().min(1 << 40).saturating_mul(of.item);
            Some((of.basic + of.before + self.head_size).saturating_add(items))
        });
        if self.counts.len() <= index {
            self.counts.resize(index + 1, Count::default());
        }
        if let Some(count) = self.counts.get_mut(index) {
            let permanent = u64::from(permanent);
            let one = Count { objects: 1, permanent, bytes: size.unwrap_or(0) };
            *count = count.plus(one);
        }
        self.objects += 1;
    }

    /// Types of one name are one row: a class that is made again and again would be a thousand.
    fn finish(self) -> Census {
        let mut by_name: BTreeMap<&str, Count> = BTreeMap::new();
        let mut all = Count::default();
        for (index, count) in self.counts.iter().enumerate().filter(|(_, it)| it.objects > 0) {
            let name = self.types.get(index).map_or("", |it| it.name.as_str());
            let row = by_name.entry(name).or_default();
            *row = row.plus(*count);
            all = all.plus(*count);
        }
        let bytes = |bytes: u64| Bytes(i64::try_from(bytes).unwrap_or(i64::MAX));
        let mut types: Vec<TypeRow> = by_name
            .into_iter()
            .map(|(name, count)| TypeRow {
                name: name.to_owned(),
                count: count.objects,
                permanent: count.permanent,
                size_bytes: bytes(count.bytes),
            })
            .collect();
        types.sort_by(|a, b| b.size_bytes.cmp(&a.size_bytes).then_with(|| a.name.cmp(&b.name)));
        Census {
            objects: all.objects,
            permanent: all.permanent,
            size_bytes: bytes(all.bytes),
            torn_links: self.torn_links,
            lists_cut: self.lists_cut,
            types,
        }
    }
}
