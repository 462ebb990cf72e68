//! What the figures mean, in words, and what to do next.
//!
//! Pure: a snapshot goes in, sentences come out. Each is said only where its figure is large
//! enough to matter, and each says where the figure is from by its words. Nothing is guessed about
//! the program.

use super::picture::{Arenas, Kind, ObjectAllocator, Snapshot};
use crate::units::Bytes;

/// Percent of RSS from which a kind of memory gets a sentence.
const WORTH_A_SENTENCE: i64 = 10;
/// Percent of arenas that have to be free before they are called so.
const MOSTLY_FREE: i64 = 30;

/// All sentences about a snapshot.
#[must_use]
pub(super) fn of(snapshot: &Snapshot) -> Vec<String> {
    let mut said = Vec::new();
    heap(snapshot, &mut said);
    arenas(snapshot, &mut said);
    blocks(snapshot, &mut said);
    kinds(snapshot, &mut said);
    if said.is_empty()
        && let Some(row) = snapshot.rows.first()
    {
        said.push(format!(
            "Nothing stands out: the largest part of RSS, {} %, is {}.",
            percent(row.rss_bytes, snapshot.rss_bytes),
            row.kind.title()
        ));
    }
    census(snapshot, &mut said);
    allocator(snapshot, &mut said);
    exactness(snapshot, &mut said);
    said.push(format!(
        "Next: `memtrace attach {0} --duration 1m` names the lines that make RSS grow; `memtrace \
         explain {0} --format json -o FILE` now and later, with `memtrace explain --diff`, the \
         types that grow.",
        snapshot.pid
    ));
    said
}

/// Resident bytes of a kind.
fn rss(snapshot: &Snapshot, kinds: &[Kind]) -> Bytes {
    let rows = snapshot.rows.iter().filter(|row| kinds.contains(&row.kind));
    rows.map(|row| row.rss_bytes).sum()
}

/// `part` of `whole` in percent, halves up.
fn percent(part: Bytes, whole: Bytes) -> i64 {
    let (part, whole) = (i128::from(part.0), i128::from(whole.0.max(1)));
    i64::try_from((part * 200 + whole) / (2 * whole)).unwrap_or(0)
}

/// A rounded size, for words.
fn about(bytes: Bytes) -> String {
    if bytes.mib() >= 9.95 {
        format!("{:.0} MiB", bytes.mib())
    } else {
        format!("{:.1} MiB", bytes.mib())
    }
}

fn matters(snapshot: &Snapshot, bytes: Bytes) -> Option<i64> {
    Some(percent(bytes, snapshot.rss_bytes)).filter(|share| *share >= WORTH_A_SENTENCE)
}

fn heap(snapshot: &Snapshot, said: &mut Vec<String>) {
    let Some(heap) = &snapshot.heap else { return };
    let free = rss(snapshot, &[Kind::HeapFree, Kind::HeapTop]);
    if let Some(share) = matters(snapshot, free) {
        let mut sentence = format!(
            "{share} % of RSS is free memory held by glibc; malloc_trim(0) would give back about \
             {}",
            about(heap.trim_bytes)
        );
        sentence.push_str(match heap.trim_bytes.0 * 2 >= free.0 {
            true => ": `ctypes.CDLL(None).malloc_trim(0)` in the program, after its peaks.",
            false => ": most of it lies in pieces smaller than a page, between what is in use.",
        });
        said.push(sentence);
        let others = heap.arenas.iter().filter(|arena| !arena.main);
        let elsewhere: Bytes = others.clone().map(|arena| arena.free_resident_bytes).sum();
        if elsewhere.0 * 2 > free.0 {
            said.push(format!(
                "Most of that is in the {} arenas that glibc made for threads: MALLOC_ARENA_MAX=2 \
                 in the environment keeps their number down.",
                others.count()
            ));
        }
    }
    let used = rss(snapshot, &[Kind::HeapInUse]);
    if let Some(share) = matters(snapshot, used) {
        said.push(format!(
            "{share} % of RSS is in use in glibc's heap: objects of more than 512 bytes, arrays of \
             lists and dicts, and what C code holds."
        ));
    }
}

fn arenas(snapshot: &Snapshot, said: &mut Vec<String>) {
    let Arenas { arenas, held, mapped_bytes, live_bytes, resident_bytes, .. } = snapshot.arenas;
    let Some(share) = matters(snapshot, resident_bytes) else { return };
    let free = percent(mapped_bytes - live_bytes, mapped_bytes);
    if free < MOSTLY_FREE {
        said.push(format!(
            "{share} % of RSS is in CPython's arenas, and {} % of that is live objects: the \
             program holds them.",
            100 - free
        ));
        return;
    }
    said.push(format!(
        "CPython's arenas ({share} % of RSS) are {free} % free but spread: {held} of {arenas} hold \
         at least one live block, and an arena goes back to the system only as a whole."
    ));
    // Arenas that are kept by little.
    let kept = snapshot.arenas.fill.iter().filter(|fill| fill.up_to_percent <= 10);
    let (count, live, resident) = kept.fold((0, Bytes::ZERO, Bytes::ZERO), |sum, fill| {
        (sum.0 + fill.arenas, sum.1 + fill.live_bytes, sum.2 + fill.resident_bytes)
    });
    if count > 0 && matters(snapshot, resident).is_some() {
        said.push(format!(
            "{} of live blocks keep {count} arenas of {} in memory: long-lived objects that were \
             made among many short-lived ones. Make them before the peak, or let a child process \
             do the peak's work.",
            about(live),
            about(resident)
        ));
    }
}

fn blocks(snapshot: &Snapshot, said: &mut Vec<String>) {
    let all = rss(snapshot, &[Kind::LargeBlocks]);
    let (Some(share), Some(largest)) = (matters(snapshot, all), snapshot.largest_blocks.first())
    else {
        return;
    };
    let count = snapshot.heap.as_ref().map_or(0, |heap| heap.mapped_blocks);
    said.push(format!(
        "{share} % of RSS is in {count} large blocks of malloc (arrays, long strings, large lists \
         and dicts); the largest mapped block is {} of which {} are resident. Each goes back to \
         the system when it is freed: what is there is held.",
        about(largest.mapped_bytes),
        about(largest.rss_bytes)
    ));
}

fn kinds(snapshot: &Snapshot, said: &mut Vec<String>) {
    let meanings: [(&[Kind], &str); 5] = [
        (
            &[Kind::UnknownAnonymous],
            "anonymous memory of unknown use: mapped by the program itself or by a C library, not \
             by malloc.",
        ),
        (
            &[Kind::OtherAllocator],
            "anonymous memory, most of it probably of the allocator that is loaded in glibc's \
             stead: its own statistics tell how much of it is free.",
        ),
        (
            &[Kind::SharedMemory],
            "shared memory: every process that maps it counts it, and it stays while its file or \
             segment does.",
        ),
        (
            &[Kind::MappedFiles],
            "mapped files: the kernel takes back what is not changed when memory is short.",
        ),
        (&[Kind::ThreadStacks, Kind::PythonFrames], "stacks of threads."),
    ];
    for (kinds, meaning) in meanings {
        if let Some(share) = matters(snapshot, rss(snapshot, kinds)) {
            said.push(format!("{share} % of RSS is {meaning}"));
        }
    }
    if snapshot.swap_bytes.0 > 0 {
        said.push(format!(
            "{} are in swap, beside RSS: nothing there was read, so nothing there is counted in the \
             lists below RSS.",
            about(snapshot.swap_bytes)
        ));
    }
    if let Some(share) = matters(snapshot, snapshot.huge_bytes) {
        said.push(format!(
            "{share} % of RSS is in transparent huge pages: 2 MiB are resident where one byte was \
             touched."
        ));
    }
    if snapshot.hugetlb_bytes.0 > 0 {
        said.push(format!(
            "{} are in pages of hugetlbfs, which RSS does not count.",
            about(snapshot.hugetlb_bytes)
        ));
    }
}

fn census(snapshot: &Snapshot, said: &mut Vec<String>) {
    let Some(census) = &snapshot.census else { return };
    let Some(largest) = census.types.first() else { return };
    said.push(format!(
        "The garbage collector tracks {} objects of {}; most bytes are in {} of type {} ({}).",
        census.objects,
        about(census.size_bytes),
        largest.count,
        largest.name,
        about(largest.size_bytes)
    ));
    if census.lists_cut > 0 {
        said.push(format!(
            "{} lists of the collector changed so much while they were read that they were given \
             up: the census is too low. --freeze holds the process still.",
            census.lists_cut
        ));
    }
}

fn allocator(snapshot: &Snapshot, said: &mut Vec<String>) {
    let sentence = match snapshot.arenas.allocator {
        ObjectAllocator::Pymalloc => return,
        ObjectAllocator::Malloc => {
            "PYTHONMALLOC=malloc: small objects are in malloc's heap, there are no arenas."
        }
        ObjectAllocator::MallocDebug => {
            "PYTHONMALLOC=malloc_debug: small objects are in malloc's heap, each with the marks of \
             the checks; there are no arenas."
        }
        ObjectAllocator::PymallocDebug => {
            "PYTHONMALLOC=debug (or -X dev): each block carries 24 bytes or more of marks, which \
             are among what is live."
        }
        ObjectAllocator::Hooked => {
            "Something has hooked itself into CPython's allocator (tracemalloc, or a profiler): \
             its own books are among what is in use."
        }
        ObjectAllocator::Mimalloc => {
            "CPython runs with an allocator that has no arenas (PYTHONMALLOC=mimalloc, or an \
             embedding program's own): its memory is among that of unknown use."
        }
        ObjectAllocator::Unknown => {
            "Which allocator CPython uses could not be found out: its memory is among that of \
             unknown use, or of the heap."
        }
    };
    said.push(sentence.to_owned());
}

fn exactness(snapshot: &Snapshot, said: &mut Vec<String>) {
    let changed = rss(snapshot, &[Kind::Changed]);
    let torn = snapshot.arenas.pools_torn;
    if percent(Bytes(changed.0.abs()), snapshot.rss_bytes) >= 1 || torn > 0 {
        said.push(format!(
            "The process ran while it was looked at: {} changed between one look and the next, and \
             {torn} pools were never read in one piece. --freeze holds it still.",
            about(Bytes(changed.0.abs()))
        ));
    }
}

#[cfg(test)]
mod tests;
