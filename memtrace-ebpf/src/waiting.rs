//! Before Linux 6.2 a change of RSS waits in the task that made it, until there are 64 faults of them or
//! pages are given back (`add_mm_counter_fast` and `sync_mm_rss`, `mm/memory.c` there). The address space's own
//! counters, and the tracepoint, tell of many changes at once.
//!
//! So the task's counts are looked at when it faults next: what has changed by then, the fault before has done, and
//! its line is known. RSS is what the address space's counters say and what waits; a batch that arrives there changes
//! nothing. Each of the two is exchanged with what it was when last seen, so the sum is right whoever looks when.

use memtrace_common::settings::{ANON, COUNTERS, FILE, SHMEM, Space, Thread};

use crate::growth::{self, Change};
use crate::maps::{SPACES, field, thread};
use crate::memory::read_kernel;
use crate::task::{Current, Task};
use crate::{atomic, counter};

/// A change by so many pages more or less than what waits is not the arrival of a batch. Huge pages (512) don't
/// wait, and what other threads do at the same instant is less.
const NOT_A_BATCH: u64 = 256;

/// Whether changes wait in tasks on this kernel. A constant to the verifier.
#[inline(always)]
pub fn is_kept_here() -> bool {
    field!(task_waiting) != 0
}

/// What waits in a task, in pages per counter.
#[inline(always)]
pub fn of(task: Task) -> [i32; COUNTERS] {
    if !is_kept_here() {
        return [0; COUNTERS];
    }
    read_kernel(task.0 + u64::from(field!(task_waiting))).unwrap_or_default()
}

/// A space begins with what its counters say and what waits in its tasks.
#[inline(always)]
pub fn begin(space: &mut Space, waiting: &[i64; COUNTERS]) {
    if !is_kept_here() {
        return;
    }
    space.arrived = space.tally.pages;
    add(&mut space.tally.pages, waiting);
}

/// Adds what waits in one more task.
#[inline(always)]
pub fn add(pages: &mut [i64; COUNTERS], more: &[i64; COUNTERS]) {
    for (pages, more) in pages.iter_mut().zip(more) {
        // SAFETY: an aligned word, of map memory or of a program's own.
        unsafe { atomic::fetch_add((&raw mut *pages).cast(), *more as u64) };
    }
}

/// The same numbers, wider.
#[inline(always)]
pub fn widened(counts: [i32; COUNTERS]) -> [i64; COUNTERS] {
    [counts[0].into(), counts[1].into(), counts[2].into(), counts[3].into()]
}

/// What a running thread of the target's counts say that was not told yet, its last fault has done: tells it. A function
/// of its own: whatever happens in it, the verifier goes on from one state.
#[inline(never)]
pub fn settle(space: &mut Space, task: Task, tid: u32, thread: &mut Thread, change: &mut Change) {
    let counts = of(task);
    // A page that is replaced goes before its copy comes.
    for member in [SHMEM, FILE, ANON] {
        let told = &raw mut thread.waiting[member];
        // SAFETY: an aligned half word of map memory.
        let pages = counts[member] - unsafe { atomic::exchange_half(told, counts[member]) };
        if pages == 0 {
            continue;
        }
        // SAFETY: an aligned word of map memory.
        unsafe {
            atomic::fetch_add((&raw mut space.tally.pages[member]).cast(), i64::from(pages) as u64)
        };
        let stack = thread.fault_stack;
        change.of_fault(tid, member as u32, pages, thread.fault_thin as u32);
        growth::tell_or_lose(space, change, Current::task(), Some(&mut *thread), stack);
    }
}

/// Counter `member` of the running thread's own address space has changed: whether a batch of the thread has
/// arrived. What else arrived in that moment is left to whom it belongs.
#[inline(always)]
pub fn arrived(space: &mut Space, thread: &mut Thread, member: usize, total: i64) -> bool {
    let batch = i64::from(thread.waiting[member]);
    let others = total - space.arrived[member] - batch;
    if batch == 0 || others.unsigned_abs() >= NOT_A_BATCH {
        return false;
    }
    // SAFETY: aligned words of map memory.
    unsafe {
        atomic::fetch_add((&raw mut space.arrived[member]).cast(), batch as u64);
        atomic::exchange_half(&raw mut thread.waiting[member], 0);
    }
    true
}

/// The counters' total is this now; by how much it changed.
#[inline(always)]
pub fn exchange(space: &mut Space, member: usize, total: i64) -> i64 {
    // SAFETY: aligned words of map memory; threads on other CPUs exchange them too, and the differences telescope
    // whatever the order.
    unsafe {
        let pages = total - atomic::exchange(&raw mut space.arrived[member], total);
        atomic::fetch_add((&raw mut space.tally.pages[member]).cast(), pages as u64);
        pages
    }
}

/// The task iterator meets a thread of a target: tells what waits in it.
#[inline(always)]
pub fn settle_task(task: Task) {
    if !is_kept_here() {
        return;
    }
    let Some(space) = SPACES.get_ptr_mut(task.mm()) else { return };
    let Some(thread) = thread(task.tid()) else { return };
    // SAFETY: map memory; concurrent writers touch single words.
    let space = unsafe { &mut *space };
    let mut change = Change::NONE;
    settle(space, task, task.tid(), thread, &mut change);
}

/// Takes the address space's counters of this moment for final.
#[inline(always)]
pub fn finish(mm: u64, space: &mut Space) {
    for member in 0..COUNTERS {
        exchange(space, member, counter::pages(mm, member as u32));
    }
}
