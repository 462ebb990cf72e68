//! One look at a process from outside: where its resident memory is now.
//!
//! No probe and no event: what the kernel counts (`smaps`), which pages are in RAM (`pagemap`),
//! and the books of CPython's and glibc's allocators, read in the target's memory. Nothing is
//! written to the target and no page of it is brought in. What a snapshot says is plain data
//! ([`picture`]), which `report::explain` prints.

use std::io;
use std::ops::Range;
use std::time::{Instant, SystemTime};

use crate::python::processes::command;
use crate::python::{Images, Interpreter, TargetMemory};
use crate::units::{Bytes, Nanos};

mod allocator;
mod arena_table;
mod arenas;
mod block_sizes;
mod blocks;
mod census;
mod claims;
pub mod difference;
mod frames;
mod freeze;
mod heap;
mod large;
mod layout;
mod libraries;
mod operands;
pub mod picture;
mod places;
mod pools;
mod residence;
mod sentences;
mod smaps;
mod stacks;
mod types;
mod window;

pub use self::freeze::FreezeError;

use self::claims::{Claims, Unclaimed};
use self::freeze::Frozen;
use self::layout::Layout;
use self::picture::{Kind, Snapshot};
use self::places::Files;
use self::residence::Residence;
use self::smaps::Counted;

/// Blocks that are listed one by one.
const BLOCKS_LIMIT: usize = 100;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It went away while it was looked at.
    #[error("process {0} exited while it was being looked at")]
    Exited(u32),
    /// The kernel refused.
    #[error("process {pid}: {what} can't be read: {source}")]
    Io {
        /// Of which process.
        pid: u32,
        /// Which file of `/proc/PID`.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// It was to be stopped, and can't be.
    #[error(transparent)]
    Freeze(#[from] FreezeError),
    /// A defect of memtrace's own tables.
    #[error("memtrace's own table has no CPython 3.{0} (please report it)")]
    Layout(u8),
}

/// Looks at a process whose interpreter is known; holds it still meanwhile, if `freeze`. Has to run
/// in one thread from beginning to end: a process is held by the thread that stopped it.
///
/// # Errors
///
/// [`SnapshotError`] when the kernel's figures can't be had. What of the allocators' books is not
/// found is a note in the snapshot.
pub fn take(
    pid: u32,
    interpreter: &Interpreter,
    freeze: bool,
    images: &mut Images,
) -> Result<Snapshot, SnapshotError> {
    let started = Instant::now();
    // What takes time and no look at the process is done before it is stopped.
    let memory = TargetMemory::open(pid).map_err(|source| error(pid, "maps", source))?;
    let layout =
        Layout::of(interpreter, &memory).ok_or(SnapshotError::Layout(interpreter.version.minor))?;
    libraries::meet(pid, memory.mappings(), images);
    drop(memory);
    let frozen = if freeze { Some(Frozen::stop(pid)?) } else { None };
    let mut snapshot = look(pid, interpreter, &layout, images)?;
    if let Some(frozen) = frozen {
        let running = frozen.running();
        if running > 0 {
            snapshot.notes.push(format!(
                "{running} threads could not be stopped: they wait in the kernel for something \
                 that can't be interrupted"
            ));
        }
        snapshot.frozen_ns = Some(frozen.thaw());
    }
    snapshot.duration_ns = Nanos(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
    snapshot.sentences = sentences::of(&snapshot);
    Ok(snapshot)
}

fn look(
    pid: u32,
    interpreter: &Interpreter,
    layout: &Layout,
    images: &mut Images,
) -> Result<Snapshot, SnapshotError> {
    let failed = |what| move |source| error(pid, what, source);
    let mut notes = interpreter.notes.clone();
    let memory = TargetMemory::open(pid).map_err(failed("maps"))?;
    let mappings = smaps::mappings(pid).map_err(failed("smaps"))?;
    let together = smaps::together(pid, &mappings).map_err(failed("smaps_rollup"))?;
    let residence = Residence::of(pid, &mappings).map_err(failed("pagemap"))?;
    let files = Files::of(pid, &mappings);

    let image = interpreter_image(pid, interpreter, &memory, images);
    let symbols = |name: &str| {
        let (image, bias) = image.as_ref()?;
        Some(bias.wrapping_add(image.symbol(name)?))
    };
    let mut claims = Claims::default();
    let (arenas, sizes) =
        arenas::read(&memory, interpreter, layout, &symbols, &residence, &mut claims, &mut notes);
    libraries::claim_bss(pid, &mappings, images, &residence, &mut claims);
    let mut heap = heap::read(&memory, &mappings, &residence, &mut claims, &mut notes);
    let threads = interpreter.threads(&memory).threads;
    let states: Vec<u64> = threads.iter().map(|thread| thread.address).collect();
    frames::claim(&memory, layout, &states, &residence, &mut claims);
    let anonymous: Vec<Range<u64>> = mappings
        .iter()
        .filter(|it| places::kind(&it.mapping, &files) == Kind::UnknownAnonymous)
        .filter(|it| it.mapping.writable && (it.counts.rss > 0 || it.counts.swap > 0))
        .map(|it| it.mapping.range())
        .collect();
    let pointers: Vec<u64> = threads.iter().map(|thread| thread.thread_id).collect();
    stacks::find(&memory, &anonymous, &pointers, &residence, &mut claims);
    let mut largest_blocks = match heap {
        Some(_) => large::find(&memory, &anonymous, &residence, &mut claims),
        None => Vec::new(),
    };
    if let Some(heap) = &mut heap {
        heap.mapped_blocks = largest_blocks.len() as u64;
        heap.mapped_bytes = largest_blocks.iter().map(|block| block.mapped_bytes).sum();
    }
    largest_blocks.truncate(BLOCKS_LIMIT);
    let other_allocators = places::other_allocators(&mappings);
    let unclaimed: Vec<Unclaimed> = mappings
        .iter()
        .map(|Counted { mapping, counts }| Unclaimed {
            range: mapping.range(),
            kind: match places::kind(mapping, &files) {
                // tcmalloc uses the `brk` heap.
                Kind::UnknownAnonymous | Kind::BrkHeap
                    if heap.is_none() && !other_allocators.is_empty() =>
                {
                    Kind::OtherAllocator
                }
                kind => kind,
            },
            rss: counts.rss,
            swap: counts.swap,
        })
        .collect();
    let rows = claims.rows(&unclaimed, &residence).finish(together.rss, together.swap);
    let census = census::count(&memory, interpreter, layout, &sizes);
    if census.is_none() && interpreter.started {
        notes.push("the lists of the garbage collector were not found".to_owned());
    }
    let bytes = |bytes: u64| Bytes(bytes.cast_signed());
    Ok(Snapshot {
        schema: picture::SCHEMA.to_owned(),
        taken_at: humantime::format_rfc3339(SystemTime::now()).to_string(),
        duration_ns: Nanos(0),
        frozen_ns: None,
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
            .unwrap_or_default()
            .trim_end()
            .to_owned(),
        pid,
        command: command(pid).ok_or(SnapshotError::Exited(pid))?,
        python: interpreter.text.clone(),
        rss_bytes: bytes(together.rss),
        swap_bytes: bytes(together.swap),
        huge_bytes: bytes(together.huge),
        hugetlb_bytes: bytes(together.hugetlb),
        rows,
        arenas,
        heap,
        other_allocators,
        largest_blocks,
        files: places::largest_files(&mappings, &files),
        census,
        notes,
        sentences: Vec::new(),
    })
}

fn error(pid: u32, what: &'static str, source: io::Error) -> SnapshotError {
    let gone =
        source.kind() == io::ErrorKind::NotFound || source.raw_os_error() == Some(libc::ESRCH);
    if gone { SnapshotError::Exited(pid) } else { SnapshotError::Io { pid, what, source } }
}

/// The ELF file that holds the interpreter, and what to add to its addresses.
fn interpreter_image(
    pid: u32,
    interpreter: &Interpreter,
    memory: &TargetMemory,
    images: &mut Images,
) -> Option<(std::sync::Arc<crate::python::Image>, u64)> {
    let of_interpreter =
        |it: &&crate::python::maps::Mapping| it.executable && it.path == interpreter.image;
    let mapping = memory.mappings().iter().find(of_interpreter)?;
    let image = images.get(&mapping.open(pid).ok()?).ok()??;
    let bias = image.bias(mapping.start, mapping.offset)?;
    Some((image, bias))
}
