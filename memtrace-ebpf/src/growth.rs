//! A change of an RSS counter, made while one of the target's threads was running: how much,
//! where, and by which Python stack.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use memtrace_common::event::{Copied, Growth, Returned, call, context, tag};
use memtrace_common::limits::TIMED_ONE_IN;
use memtrace_common::settings::{ANON, COUNTERS, FILE, LIVE, SHMEM, SWAP, Space, Thread};

use crate::maps::{PROCESSES, SPACES, scratch, thread};
use crate::task::{Call, Current, current_ids};
use crate::{atomic, counter, emit, stack};

/// `execve` and `execveat` on x86-64: what shrinks in them is the old address space, torn down.
const EXECVE: i64 = 59;
const EXECVEAT: i64 = 322;

/// Bytes of a page.
const PAGE: u64 = 4096;

/// `X86_PF_PROT | X86_PF_WRITE` (`arch/x86/include/asm/trap_pf.h`): a write to a present page.
const WRITE_TO_PRESENT: u64 = 3;

/// The raw tracepoint `rss_stat` fired: counter `member` of `mm` has changed.
#[inline(always)]
pub fn changed(mm: u64, member: u32) {
    let Some(space) = SPACES.get_ptr_mut(mm) else { return };
    // SAFETY: map memory; concurrent writers touch single words.
    let space = unsafe { &mut *space };
    if space.state != LIVE || member as usize >= COUNTERS {
        return;
    }
    let timed = space.tally.events % TIMED_ONE_IN == 0;
    // SAFETY: a helper without arguments.
    let begin = if timed { unsafe { bpf_ktime_get_ns() } } else { 0 };
    space.tally.events += 1;
    record(space, mm, member);
    if timed {
        // SAFETY: as above.
        space.tally.probe_ns += (unsafe { bpf_ktime_get_ns() } - begin) * TIMED_ONE_IN;
    }
}

#[inline(always)]
fn record(space: &mut Space, mm: u64, member: u32) {
    let Some(total) = counter::pages(mm, member) else { return };
    let member_index = member as usize & (COUNTERS - 1);
    let task = Current::task();
    let tid = task.tid();
    let by_target = task.tgid() == space.pid || task.mm() == mm;

    let shrank = total < space.tally.pages[member_index];
    let call = if shrank { Call::current() } else { None };
    if shrank && task.tgid() == space.pid && torn_down(&call, task) {
        return;
    }
    let known = &raw mut space.tally.pages[member_index];
    // SAFETY: an aligned word of map memory; threads on other CPUs exchange it too, and the
    // differences telescope whatever the order.
    let previous = unsafe { atomic::exchange(known, total) };
    let pages = total - previous;
    if pages == 0 || member as usize == SWAP {
        return;
    }
    let mut thread = if by_target { thread(tid) } else { None };
    let stack = stack::current(space, task, thread.as_deref_mut(), by_target);
    let change = Change { tid, member: member as u8, pages: pages as i32, stack };
    let sent = match (by_target, &call) {
        (false, _) if task.mm() == 0 => grown(space, &change, 0, context::KERNEL),
        (false, _) => grown(space, &change, 0, context::REMOTE),
        (true, Some(call)) => given_back(space, &change, call, thread.as_deref()),
        (true, None) => match take_fault(thread) {
            0 => grown(space, &change, 0, context::SYSCALL),
            address => grown(space, &change, address, context::FAULT),
        },
    };
    if !sent {
        space.tally.lost_pages[member_index] += pages;
    }
}

/// What all records of one change share.
struct Change {
    tid: u32,
    member: u8,
    pages: i32,
    stack: u64,
}

/// Whether memory shrinks because its owner has done with it (exit, exec): not a return. A `vfork`
/// child that calls exec has not done with its parent's memory.
#[inline(always)]
fn torn_down(call: &Option<Call>, task: Current) -> bool {
    let in_exec = matches!(call, Some(call) if call.number == EXECVE || call.number == EXECVEAT);
    in_exec || task.exiting()
}

/// The address of the thread's unanswered fault, which this change answers; 0 if there is none.
#[inline(always)]
fn take_fault(thread: Option<&mut Thread>) -> u64 {
    match thread {
        Some(thread) => core::mem::take(&mut thread.fault),
        None => 0,
    }
}

#[inline(always)]
fn rss_pages(space: &Space) -> u32 {
    let pages = &space.tally.pages;
    (pages[ANON] + pages[FILE] + pages[SHMEM]) as u32
}

#[inline(always)]
fn grown(space: &mut Space, change: &Change, address: u64, context: u8) -> bool {
    let record = Growth {
        header: emit::header(tag::GROWTH, space.id),
        tid: change.tid,
        pages: change.pages,
        address,
        stack: change.stack,
        rss_pages: rss_pages(space),
        member: change.member,
        context,
        reserved: 0,
    };
    emit::send(space, &record)
}

/// RSS shrank in a thread of the target: in a call that names the range, in a fault that replaces
/// a page, or in some other way that tells no address.
#[inline(always)]
fn given_back(space: &mut Space, change: &Change, asked: &Call, thread: Option<&Thread>) -> bool {
    let number = asked.number as u16;
    let names_range = asked.number >= 0
        && matches!(number, call::MMAP | call::MUNMAP | call::BRK | call::MREMAP | call::MADVISE);
    let (start, length, call) = if names_range {
        match number {
            call::BRK => (asked.arguments[0], 0, number),
            // Shrinking: the tail beyond the new length goes.
            call::MREMAP => {
                let (at, old, new) = (asked.arguments[0], asked.arguments[1], asked.arguments[2]);
                (at + new, old.saturating_sub(new), number)
            }
            _ => (asked.arguments[0], asked.arguments[1], number),
        }
    } else {
        let (fault, in_kernel) = match thread {
            Some(thread) => (thread.fault, thread.fault_in_kernel == 1),
            None => (0, false),
        };
        // Anonymous pages that go in a fault are reclaimed ones; a file's page is replaced.
        let in_fault = asked.number == -1 || in_kernel;
        if fault == 0 || !in_fault || change.member as usize == ANON {
            return grown(space, change, 0, context::SYSCALL);
        }
        (fault & !(PAGE - 1), PAGE, call::FAULT)
    };
    let record = Returned {
        header: emit::header(tag::RETURNED, space.id),
        tid: change.tid,
        pages: change.pages,
        start,
        length,
        stack: change.stack,
        rss_pages: rss_pages(space),
        member: change.member,
        reserved: 0,
        call,
    };
    emit::send(space, &record)
}

/// A page fault of the running task, in user mode or on its behalf in the kernel: remembers where,
/// for the change of RSS that may follow.
#[inline(always)]
pub fn faulted(address: u64, error: u64, in_kernel: bool) {
    let (tgid, tid) = current_ids();
    let Some(thread) = thread(tid) else { return };
    // Kernel addresses (vmalloc, probes) are none of the target's memory.
    if address as i64 <= 0 {
        return;
    }
    if in_kernel && scratch().is_none_or(|scratch| scratch.busy != 0) {
        return;
    }
    thread.fault = address;
    thread.fault_in_kernel = u64::from(in_kernel);
    if error & WRITE_TO_PRESENT == WRITE_TO_PRESENT {
        copied(tgid, thread, address);
    }
}

/// A write to a present page of a process that has forked: a private copy will be made.
#[inline(always)]
fn copied(tgid: u32, thread: &mut Thread, address: u64) {
    let Some(process) = PROCESSES.get_ptr(tgid) else { return };
    // SAFETY: map memory.
    let Some(space) = SPACES.get_ptr_mut(unsafe { (*process).mm }) else { return };
    // SAFETY: as in `changed`.
    let space = unsafe { &mut *space };
    if space.state != LIVE || space.shared == 0 {
        return;
    }
    let stack = stack::current(space, Current::task(), Some(thread), true);
    let header = emit::header(tag::COPIED, space.id);
    emit::send(space, &Copied { header, address, stack });
}
