//! The allocator lens of a trace: probes on the allocators of every target, and what they count.
//!
//! The kernel side keeps sums by stack and thread; here they are read when a window closes, and what
//! came since goes into the journal.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use memtrace_common::lens::{Block, BlockKey, Lens, Owner, Sums, WEIGHT_ONE};
use tracing::debug;

use super::journal::{Journal, thread_id};
use super::target::Target;
use crate::allocator::{self, Function, Library, SeenFiles};
use crate::history::Entry;
use crate::history::entry::{AllocationChange, Allocations, Live, SpaceId, StackId, ThreadId};
use crate::kernel::{ALLOCATES, FREES, KernelError, LensMaps, Probes, ProcessProbe, RETURNS};
use crate::profile::Blocks;
use crate::profile::allocated::cut;
use crate::python::maps::Mappings;
use crate::python::{Images, Interpreter, TargetMemory};
use crate::units::{Bytes, Nanos};

/// What the user wants of the lens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LensPlan {
    /// Objects, too, where the interpreter lets them be seen.
    pub objects: bool,
}

/// Windows in which nothing happened to a stack that has no live block, before its sums are dropped.
const IDLE_WINDOWS: u32 = 10;

/// What was told of an owner.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    sums: Sums,
    idle: u32,
}

/// A target under the lens.
#[derive(Default)]
struct Watch {
    links: Vec<ProcessProbe>,
    seen: SeenFiles,
    /// Names of the libraries that are probed.
    libraries: Vec<String>,
    /// Files whose functions are probed.
    files: HashSet<(u64, u64)>,
    /// Whether CPython's own functions were looked for.
    python: bool,
    /// Since when, and as far as it was told.
    told_until: Option<Nanos>,
    told: Lens,
}

/// The lens of all targets.
pub(super) struct Lenses {
    plan: LensPlan,
    /// By process: probes stay when it calls `exec`.
    watched: HashMap<u32, Watch>,
    told: HashMap<Owner, Told>,
    /// Sums as they were last read.
    sums: HashMap<Owner, Sums>,
}

impl Lenses {
    pub(super) fn new(plan: LensPlan, maps: Option<&mut LensMaps>) -> Result<Self, KernelError> {
        if let Some(maps) = maps {
            // Spaces that begin by themselves are recorded from their first instruction.
            maps.set(0, WEIGHT_ONE, 1)?;
        }
        Ok(Self { plan, watched: HashMap::new(), told: HashMap::new(), sums: HashMap::new() })
    }

    /// A command is about to call `exec`. Its libc is most likely ours: probes wait there.
    pub(super) fn expect(&mut self, pid: u32, probes: &mut Probes) {
        let watch = self.watched.entry(pid).or_default();
        if let Some(library) = allocator::own_libc() {
            watch.attach_library(pid, &library, probes);
        }
    }

    /// Puts probes on the allocators of a process; those that have them already keep them. Returns
    /// what the reader should know.
    pub(super) fn look(
        &mut self,
        target: &Target,
        interpreter: Option<&Interpreter>,
        probes: &mut Probes,
        images: &mut Images,
    ) -> Vec<String> {
        let pid = target.pid;
        let mut notes = Vec::new();
        let Ok(mappings) = Mappings::of(pid) else { return notes };
        let watch = self.watched.entry(pid).or_default();
        let begun = Instant::now();
        for library in allocator::libraries(pid, &mappings, &mut watch.seen) {
            if watch.files.contains(&library.file) {
                continue;
            }
            watch.attach_library(pid, &library, probes);
        }
        if let Some(interpreter) = interpreter
            && !watch.python
            && let Ok(memory) = TargetMemory::with_mappings(pid, mappings)
        {
            watch.python = interpreter.started;
            notes = watch.attach_python(&memory, interpreter, self.plan, probes, images);
        }
        debug!("process {pid}: allocators took {:?}", begun.elapsed());
        notes
    }

    /// A target is recorded from now on, unless it is already.
    pub(super) fn begin(
        &mut self,
        pid: u32,
        space: u32,
        now: Nanos,
        probes: &mut Probes,
    ) -> Result<(), KernelError> {
        let Some(maps) = probes.lens() else { return Ok(()) };
        if maps.get(space).is_none_or(|lens| lens.weight == 0) {
            maps.set(space, WEIGHT_ONE, 1)?;
        }
        self.watched.entry(pid).or_default().told_until = Some(now);
        Ok(())
    }

    /// Reads all sums. Stacks that they are of have been sent by then.
    pub(super) fn read(&mut self, probes: &mut Probes) -> Result<(), KernelError> {
        if let Some(maps) = probes.lens() {
            self.sums = maps.sums()?;
        }
        Ok(())
    }

    /// Tells what was counted for a target since the last time.
    pub(super) fn tell(
        &mut self,
        target: &mut Target,
        at: Nanos,
        probes: &mut Probes,
        journal: &mut Journal,
    ) {
        let Some(maps) = probes.lens() else { return };
        let Some(watch) = self.watched.get_mut(&target.pid) else { return };
        let Some(since) = watch.told_until.replace(at) else { return };
        let now = maps.get(target.space).unwrap_or(watch.told);
        let told = std::mem::replace(&mut watch.told, now);
        let mut changes: BTreeMap<(StackId, ThreadId), AllocationChange> = BTreeMap::new();
        let space = target.space;
        for (owner, sums) in self.sums.iter().filter(|(owner, _)| owner.space == space) {
            let told = self.told.entry(*owner).or_default();
            let before = std::mem::replace(&mut told.sums, *sums);
            if before == *sums {
                told.idle += 1;
                if told.idle > IDLE_WINDOWS && sums.allocations == sums.freed {
                    maps.forget_owner(*owner);
                    self.told.remove(owner);
                }
                continue;
            }
            told.idle = 0;
            let (stack, thread) = named(target, owner.stack, owner.tid, journal);
            let change = changes.entry((stack, thread)).or_insert(AllocationChange {
                stack,
                thread,
                all: Blocks::default(),
                freed: Blocks::default(),
                temporary: Blocks::default(),
            });
            let blocks = |count: fn(&Sums) -> u64, bytes: fn(&Sums) -> u64| Blocks {
                count: whole(count(sums)) - whole(count(&before)),
                bytes: Bytes((whole(bytes(sums)) - whole(bytes(&before))).cast_signed()),
            };
            change.all += blocks(|sums| sums.allocations, |sums| sums.bytes);
            change.freed += blocks(|sums| sums.freed, |sums| sums.freed_bytes);
            change.temporary += blocks(|sums| sums.temporary, |sums| sums.temporary_bytes);
        }
        let time = Nanos(at.0.saturating_sub(since.0));
        let hits = |lens: Lens| lens.entered + lens.returned + lens.freed;
        journal.put(Entry::Allocations(Allocations {
            space: SpaceId(target.space),
            at,
            time,
            recorded: time,
            frees_seen: time,
            lost: now.lost.saturating_sub(told.lost),
            lost_bytes: Bytes(now.lost_bytes.saturating_sub(told.lost_bytes).cast_signed()),
            unknown_frees: now.unknown.saturating_sub(told.unknown),
            hits: hits(now).saturating_sub(hits(told)),
            cost: Nanos(0),
            changes: changes.into_values().collect(),
        }));
    }

    /// Tells the live blocks of targets by age.
    pub(super) fn tell_live(
        &self,
        targets: &mut [&mut Target],
        at: Nanos,
        probes: &mut Probes,
        journal: &mut Journal,
    ) -> Result<(), KernelError> {
        let Some(maps) = probes.lens() else { return Ok(()) };
        let now = monotonic();
        let mut ages: HashMap<u32, Ages> =
            targets.iter().map(|target| (target.space, BTreeMap::new())).collect();
        maps.each_block(|key, block| {
            if let Some(ages) = ages.get_mut(&(key.space as u32)) {
                let age = cut(now.saturating_sub(block.born) / 1_000_000);
                let (count, bytes) = ages.entry((block.stack, block.tid, age)).or_default();
                *count += block.weight;
                *bytes += block.weight * block.size;
            }
        })?;
        for target in targets {
            let mut all: BTreeMap<(StackId, ThreadId, u64), Blocks> = BTreeMap::new();
            for ((stack, tid, age), (count, bytes)) in
                ages.remove(&target.space).unwrap_or_default()
            {
                let (stack, thread) = named(target, stack, tid, journal);
                let bytes = Bytes(whole(bytes).cast_signed());
                *all.entry((stack, thread, age)).or_default() +=
                    Blocks { count: whole(count), bytes };
            }
            let blocks = all.into_iter().map(|((stack, thread, age), it)| (stack, thread, age, it));
            let space = SpaceId(target.space);
            journal.put(Entry::Live(Live { space, at, blocks: blocks.collect() }));
        }
        Ok(())
    }

    /// A target ends: tells its last word, and forgets it.
    pub(super) fn end(
        &mut self,
        target: &mut Target,
        at: Nanos,
        probes: &mut Probes,
        journal: &mut Journal,
    ) {
        // Its stacks came before the record of its end.
        let told = self.read(probes).and_then(|()| {
            self.tell(target, at, probes, journal);
            self.tell_live(&mut [target], at, probes, journal)
        });
        if let Err(error) = told {
            debug!("process {}: {error}", target.pid);
        }
        self.forget(target.space, probes);
    }

    /// Forgets a space whose last word was told.
    fn forget(&mut self, space: u32, probes: &mut Probes) {
        let Some(maps) = probes.lens() else { return };
        let mut blocks: Vec<BlockKey> = Vec::new();
        // What can't be read stays until memtrace ends.
        let _ = maps.each_block(|key, _: Block| {
            if key.space == u64::from(space) {
                blocks.push(key);
            }
        });
        for block in blocks {
            maps.forget_block(block);
        }
        let owners: Vec<Owner> =
            self.told.keys().filter(|owner| owner.space == space).copied().collect();
        self.told.retain(|owner, _| owner.space != space);
        maps.forget(space, owners);
    }

    /// A process has ended: its probes go.
    pub(super) fn let_go(&mut self, pid: u32) {
        if let Some(watch) = self.watched.remove(&pid) {
            for link in watch.links {
                link.close_in_background();
            }
        }
    }

    /// All probes, to be closed together.
    pub(super) fn into_links(self) -> impl Iterator<Item = ProcessProbe> {
        self.watched.into_values().flat_map(|watch| watch.links)
    }
}

impl Watch {
    fn attach_library(&mut self, pid: u32, library: &Library, probes: &mut Probes) {
        debug!("process {pid}: the allocator of {}", library.name);
        self.files.insert(library.file);
        self.libraries.push(library.name.clone());
        self.attach(pid, &library.functions, probes);
    }

    fn attach_python(
        &mut self,
        memory: &TargetMemory,
        interpreter: &Interpreter,
        plan: LensPlan,
        probes: &mut Probes,
        images: &mut Images,
    ) -> Vec<String> {
        let mut notes = Vec::new();
        match allocator::arenas(memory, interpreter, images) {
            Some(functions) => self.attach(memory.pid(), &functions, probes),
            None if interpreter.started => notes.push(
                "allocator lens: where CPython maps its arenas was not found; they are not counted"
                    .to_owned(),
            ),
            None => {}
        }
        if plan.objects {
            match allocator::objects(memory, interpreter, images) {
                Some(objects) => {
                    self.attach(memory.pid(), &objects.functions, probes);
                    if objects.inlined {
                        notes.push(
                            "allocator lens: this build of CPython has its allocator of small objects \
                             inside of other functions: most of them can't be seen"
                                .to_owned(),
                        );
                    }
                }
                None => notes.push(
                    "allocator lens: CPython's functions for objects were not found".to_owned(),
                ),
            }
        }
        notes
    }

    /// Returns first, so that no call is seen to begin and not to end.
    fn attach(&mut self, pid: u32, functions: &[Function], probes: &mut Probes) {
        let Some(path) = functions.first().map(|function| function.point.path.as_path()) else {
            return;
        };
        let places = |allocating: bool| -> Vec<(u64, u64)> {
            functions
                .iter()
                .filter(|function| function.allocates() == allocating)
                .map(|function| (function.point.file_offset, function.reads.0))
                .collect()
        };
        let order = [(RETURNS, places(true)), (ALLOCATES, places(true)), (FREES, places(false))];
        for (program, places) in order {
            match probes.attach_lens(program, pid, path, &places) {
                Ok(links) => self.links.extend(links),
                Err(error) => debug!("process {pid}, {}: {error}", path.display()),
            }
        }
    }
}

/// By stack, thread and age: how many blocks and bytes, weighted.
type Ages = BTreeMap<(u64, u32, u64), (u64, u64)>;

/// The ids of a stack and a thread of a target.
fn named(target: &mut Target, stack: u64, tid: u32, journal: &mut Journal) -> (StackId, ThreadId) {
    let kind = target.python.as_ref().map(|known| known.line_table);
    let (space, pid) = (SpaceId(target.space), target.pid);
    let stack = target.stacks.name(stack, kind, &mut journal.book);
    (stack, thread_id(&mut journal.book, space, pid, tid))
}

/// Without the fraction.
const fn whole(weighted: u64) -> u64 {
    weighted / WEIGHT_ONE
}

/// As the kernel's `bpf_ktime_get_ns` has it.
fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}
