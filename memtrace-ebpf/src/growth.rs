//! A change of an RSS counter, made while one of the target's threads was running: how much,
//! where, and by which Python stack.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use memtrace_common::event::{Copied, Growth, Returned, call, context, tag};
use memtrace_common::limits::{TIMED_ONE_IN, WALKED_ALWAYS};
use memtrace_common::memory::ReadMemory;
use memtrace_common::settings::{
    ANON, COUNTERS, FILE, LIVE, NOT_WALKED, SHMEM, SWAP, Space, Thread,
};
use memtrace_common::walk::afresh;

use crate::machine::Fault;
use crate::maps::{PROCESSES, SPACES, field, scratch, thread};
use crate::memory::{UserMemory, load_kernel};
use crate::task::{Call, Current, current_ids};
use crate::{atomic, counter, emit, native, stack, waiting};

/// Bytes of a page.
const PAGE: u64 = 4096;

/// A system call's number where there is none (`orig_ax`; `NO_SYSCALL` of aarch64).
const IN_EXCEPTION: i64 = -1;

/// `X86_PF_PROT | X86_PF_WRITE` (`arch/x86/include/asm/trap_pf.h`): a write to a present page.
const WRITE_TO_PRESENT: u64 = 3;

/// `X86_PF_USER` (there): in user mode.
const IN_USER_MODE: u64 = 4;

/// A change of a counter, while it is worked on. In a map and not on the stack, so that what
/// differs between the ways here is no difference to the verifier, which would follow the walk once
/// for each of them (`walk::afresh`).
#[repr(C)]
pub struct Change {
    /// When this began, if the event is one of those that are timed; otherwise 0.
    begin: u64,
    /// The running thread.
    tid: u32,
    /// Which counter.
    member: u32,
    /// By how much it changed.
    pages: i32,
    /// 1 when the target's own thread runs.
    by_target: u32,
    /// [`Space::thin`] as it was when it was decided whether the stack is walked.
    thin: u32,
    /// 1 when it is not walked.
    not_walked: u32,
    /// The system call that the change is made in, when the counter shrank.
    call: Call,
}

/// The raw tracepoint `rss_stat` fired: counter `member` of `mm` has changed.
#[inline(always)]
pub fn changed(mm: u64, member: u32) {
    let Some(space) = SPACES.get_ptr_mut(mm) else { return };
    // SAFETY: map memory; concurrent writers touch single words.
    let space = unsafe { &mut *space };
    let Some(scratch) = scratch() else { return };
    if space.state != LIVE || member as usize >= COUNTERS {
        return;
    }
    begin_event(space, &mut scratch.change);
    record(space, mm, member, &mut scratch.change);
    end_event(space, &scratch.change);
}

/// Counts an event, and looks at the clock if it is one of those that are timed.
#[inline(always)]
fn begin_event(space: &mut Space, change: &mut Change) {
    let timed = space.tally.events.is_multiple_of(TIMED_ONE_IN);
    // SAFETY: a helper without arguments.
    change.begin = if timed { unsafe { bpf_ktime_get_ns() } } else { 0 };
    space.tally.events += 1;
}

/// What it took stands for those that are not timed.
#[inline(always)]
fn end_event(space: &mut Space, change: &Change) {
    let begin = afresh(&change.begin);
    if begin != 0 {
        // SAFETY: a helper without arguments.
        space.tally.probe_ns += (unsafe { bpf_ktime_get_ns() } - begin) * TIMED_ONE_IN;
    }
}

impl Change {
    /// None yet.
    pub const NONE: Self = Self {
        begin: 0,
        tid: 0,
        member: 0,
        pages: 0,
        by_target: 0,
        thin: 0,
        not_walked: 0,
        call: Call { number: 0, arguments: [0; 3], known: 0 },
    };

    /// One that a thread of the target has made in a fault.
    #[inline(always)]
    pub fn of_fault(&mut self, tid: u32, member: u32, pages: i32, thin: u32) {
        (self.tid, self.member, self.pages, self.thin) = (tid, member, pages, thin);
        self.by_target = 1;
        (self.call.known, self.call.number) = (u64::from(pages < 0), IN_EXCEPTION);
    }
}

#[inline(always)]
fn record(space: &mut Space, mm: u64, member: u32, change: &mut Change) {
    let total = counter::pages(mm, member);
    let task = Current::task();
    let tid = task.tid();
    if waiting::is_kept_here()
        && task.mm() == mm
        && member as usize != SWAP
        && let Some(thread) = thread(tid)
    {
        waiting::settle(space, task.as_task(), tid, thread, change);
        if waiting::arrived(space, thread, member as usize & (COUNTERS - 1), total) {
            return;
        }
    }
    change.tid = tid;
    change.member = member & (COUNTERS as u32 - 1);
    change.by_target = u32::from(task.tgid() == space.pid || task.mm() == mm);
    change.call.known = 0;
    if total < known(space)[member_index(change)] {
        if torn_down(mm) {
            return;
        }
        change.call.read();
    }
    let pages = if waiting::is_kept_here() {
        waiting::exchange(space, member_index(change), total)
    } else {
        let known = &raw mut space.tally.pages[member_index(change)];
        // SAFETY: an aligned word of map memory; threads on other CPUs exchange it too, and the
        // differences telescope whatever the order.
        total - unsafe { atomic::exchange(known, total) }
    };
    change.pages = pages as i32;
    if pages == 0 || member as usize == SWAP {
        return;
    }
    let mut thread = if afresh(&change.by_target) != 0 { thread(tid) } else { None };
    let by_target = afresh(&change.by_target) != 0;
    change.thin = 0;
    change.not_walked = 0;
    if by_target && space.thin != 0 && pages.unsigned_abs() < WALKED_ALWAYS {
        pick(space.thin, change);
    }
    let mut stack = NOT_WALKED;
    if afresh(&change.not_walked) == 0 {
        stack = stack::current(space, task, thread.as_deref_mut(), by_target);
        if afresh(&change.pages) > 0 && by_target {
            stack = native::above(space, stack);
        }
    }
    tell_or_lose(space, change, task, thread, stack);
}

/// What the address space's own counters said last.
#[inline(always)]
fn known(space: &Space) -> &[i64; COUNTERS] {
    if waiting::is_kept_here() { &space.arrived } else { &space.tally.pages }
}

/// Sends the record that the change calls for; what does not fit is counted.
#[inline(always)]
pub fn tell_or_lose(
    space: &mut Space,
    change: &Change,
    task: Current,
    thread: Option<&mut Thread>,
    stack: u64,
) {
    if !tell(space, change, task, thread, stack) {
        space.tally.lost_pages[member_index(change)] += i64::from(afresh(&change.pages));
    }
}

/// Decides whether the stack is walked: of two to the power of `thin` changes one is, whichever.
#[inline(always)]
fn pick(thin: u32, change: &mut Change) {
    change.thin = thin;
    // SAFETY: a helper without arguments.
    let random = unsafe { bpf_get_prandom_u32() };
    change.not_walked = u32::from(random & ((1 << (thin & 31)) - 1) != 0);
}

/// The changed counter's place among all.
#[inline(always)]
fn member_index(change: &Change) -> usize {
    afresh(&change.member) as usize & (COUNTERS - 1)
}

/// Sends the record that the change calls for. A function of its own: what it has on the stack is not there during a walk.
#[inline(never)]
fn tell(
    space: &mut Space,
    change: &Change,
    task: Current,
    thread: Option<&mut Thread>,
    stack: u64,
) -> bool {
    if afresh(&change.by_target) == 0 {
        let context = if task.mm() == 0 { context::KERNEL } else { context::REMOTE };
        return grown(space, change, stack, 0, context);
    }
    if afresh(&change.call.known) != 0 {
        return given_back(space, change, stack, thread.as_deref());
    }
    match take_fault(thread) {
        0 => grown(space, change, stack, 0, context::SYSCALL),
        address => grown(space, change, stack, address, context::FAULT),
    }
}

/// Whether memory shrinks because nobody uses it any more (exit, exec): not a return. The last user
/// is often the target and may be whoever looked at its memory at that moment, memtrace included; a
/// `vfork` child that ends or calls exec is not, since its parent goes on (`mmput`, `kernel/fork.c`).
#[inline(always)]
fn torn_down(mm: u64) -> bool {
    load_kernel::<i32>(mm + u64::from(field!(mm_users))) == 0
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
fn grown(space: &mut Space, change: &Change, stack: u64, address: u64, context: u8) -> bool {
    let record = Growth {
        header: emit::header(tag::GROWTH, space.id),
        tid: change.tid,
        pages: change.pages,
        address,
        stack,
        rss_pages: rss_pages(space),
        member: change.member as u8,
        context,
        thin: change.thin as u8,
        reserved: 0,
    };
    emit::send(space, &record)
}

/// RSS shrank in a thread of the target: in a call that names the range, in a fault that replaces
/// a page, or in some other way that tells no address.
#[inline(always)]
fn given_back(space: &mut Space, change: &Change, stack: u64, thread: Option<&Thread>) -> bool {
    let asked = &change.call;
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
        let in_fault = asked.number == IN_EXCEPTION || in_kernel;
        if fault == 0 || !in_fault || change.member as usize == ANON {
            return grown(space, change, stack, 0, context::SYSCALL);
        }
        (fault & !(PAGE - 1), PAGE, call::FAULT)
    };
    let record = Returned {
        header: emit::header(tag::RETURNED, space.id),
        tid: change.tid,
        pages: change.pages,
        start,
        length,
        stack,
        rss_pages: rss_pages(space),
        member: change.member as u8,
        reserved: 0,
        call,
    };
    emit::send(space, &record)
}

/// A page fault of the running task, in user mode or on its behalf in the kernel: remembers where,
/// for the change of RSS that may follow.
#[inline(always)]
pub fn faulted(address: u64, error: u64) {
    let ids = current_ids();
    let Some(thread) = faulting(ids.1, address, error & IN_USER_MODE == 0) else { return };
    let stack = walk_for_change(ids.1, thread);
    remember(thread, address, error & IN_USER_MODE == 0);
    if error & WRITE_TO_PRESENT == WRITE_TO_PRESENT
        && let Some(space) = sharing_space(ids.0)
    {
        copied(space, ids.1, thread, address, stack);
    }
}

/// The same where nothing says what kind of access it was. A page that is there all the same was
/// written to; that its neighbour in the process brought it this moment can't be told from it.
#[inline(always)]
pub fn faulted_somehow(fault: Fault) {
    let ids = current_ids();
    let address = fault.address;
    let Some(thread) = faulting(ids.1, address, fault.in_kernel) else { return };
    let stack = walk_for_change(ids.1, thread);
    remember(thread, address, fault.in_kernel);
    let Some(space) = sharing_space(ids.0) else { return };
    let mut byte = 0u8;
    // SAFETY: one byte into a byte.
    if unsafe { UserMemory.read_raw(address, &raw mut byte, 1) } {
        copied(space, ids.1, thread, address, stack);
    }
}

/// The thread that faults, if it is a target's.
#[inline(always)]
fn faulting(tid: u32, address: u64, in_kernel: bool) -> Option<&'static mut Thread> {
    let thread = thread(tid)?;
    // Kernel addresses (vmalloc, probes) are none of the target's memory.
    if address as i64 <= 0 {
        return None;
    }
    if in_kernel && scratch().is_none_or(|scratch| scratch.busy != 0) {
        return None;
    }
    Some(thread)
}

/// Remembers the fault on its thread.
#[inline(always)]
fn remember(thread: &mut Thread, address: u64, in_kernel: bool) {
    thread.fault = address;
    thread.fault_in_kernel = u64::from(in_kernel);
}

/// Where changes wait in tasks, this fault's will be told when it is over: the stack is taken now. And what
/// the fault before it has done is told. Returns the stack, [`NOT_WALKED`] where there is none.
#[inline(always)]
fn walk_for_change(tid: u32, thread: &mut Thread) -> u64 {
    if !waiting::is_kept_here() {
        return NOT_WALKED;
    }
    let task = Current::task();
    let Some(space) = SPACES.get_ptr_mut(task.mm()) else { return NOT_WALKED };
    // SAFETY: map memory; concurrent writers touch single words.
    let space = unsafe { &mut *space };
    let Some(scratch) = scratch() else { return NOT_WALKED };
    if space.state != LIVE {
        return NOT_WALKED;
    }
    let change = &mut scratch.change;
    begin_event(space, change);
    waiting::settle(space, task.as_task(), tid, thread, change);
    change.not_walked = 0;
    thread.fault_thin = u64::from(space.thin);
    if space.thin != 0 {
        pick(space.thin, change);
    }
    let mut stack = NOT_WALKED;
    if afresh(&change.not_walked) == 0 {
        stack = stack::current(space, task, Some(&mut *thread), true);
        stack = native::above(space, stack);
    }
    thread.fault_stack = stack;
    end_event(space, change);
    stack
}

/// The process's space, if it has forked or been forked: then it may share pages.
#[inline(always)]
fn sharing_space(tgid: u32) -> Option<&'static mut Space> {
    let process = PROCESSES.get_ptr(tgid)?;
    // SAFETY: map memory, as in `changed`.
    let space = unsafe { &mut *SPACES.get_ptr_mut((*process).mm)? };
    if space.state != LIVE || space.shared == 0 { None } else { Some(space) }
}

/// A write to a present page of a process that has forked: a private copy will be made. `stack` is the fault's, if it
/// has been walked.
#[inline(always)]
fn copied(space: &mut Space, tid: u32, thread: &mut Thread, address: u64, stack: u64) {
    let stack = match stack {
        NOT_WALKED => stack::current(space, Current::task(), Some(thread), true),
        walked => walked,
    };
    let header = emit::header(tag::COPIED, space.id);
    emit::send(space, &Copied { header, address, stack, tid, reserved: 0 });
}
