//! Beginnings and ends: attach, fork, exec, exit, and the deaths of code objects.

use aya_ebpf::helpers::bpf_get_current_comm;
use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use memtrace_common::event::{CodeFreed, Execed, Exited, Forked, tag};
use memtrace_common::layout::PyLayout;
use memtrace_common::limits::{MAX_UNTOLD_ENDS, SETTLE_LOOKS};
use memtrace_common::memory::ReadMemory;
use memtrace_common::settings::{
    ANY_PROCESS, CHECKED, CLOSED, COUNTERS, LIVE, NOT_WALKED, Process, REQUEST_ATTACH,
    REQUEST_BIND, REQUEST_CLOSE, REQUEST_CLOSE_ANYWAY, REQUEST_CONFIGURE, REQUEST_SETTLE,
    REQUEST_THIN, REQUEST_WATCHED, Request, STABLE, Space, Tally, Thread, WATCHED,
};

use crate::maps::{
    CODES_SENT, CodeKey, NEXT_SPACE, PROCESSES, REQUESTS, SPACES, THREADS, scratch, thread,
};
use crate::memory::UserMemory;
use crate::task::{Current, Task, current_ids};
use crate::{alloc, atomic, calls, counter, emit, recognise, waiting};

#[inline(always)]
fn next_space() -> u32 {
    match NEXT_SPACE.get_ptr_mut(0) {
        // SAFETY: an aligned word of map memory.
        Some(next) => unsafe { atomic::fetch_add(next, 1) as u32 },
        None => 0,
    }
}

/// The space of a process, as a place to write to.
#[inline(always)]
fn space_at(mm: u64) -> Option<&'static mut Space> {
    // SAFETY: map memory; concurrent writers touch single words.
    SPACES.get_ptr_mut(mm).map(|space| unsafe { &mut *space })
}

/// Makes a space for `mm` with the counters of this moment, and what waits in its tasks.
#[inline(always)]
fn make_space(
    mm: u64,
    pid: u32,
    id: u32,
    follow: u32,
    layout: &PyLayout,
    waiting: &[i64; COUNTERS],
) -> Option<&'static mut Space> {
    let template = &mut scratch()?.space;
    template.layout = *layout;
    template.tally =
        Tally { pages: [0; 4], lost_pages: [0; 4], lost_events: 0, events: 0, probe_ns: 0 };
    template.arrived = [0; 4];
    template.id = id;
    template.pid = pid;
    template.code_epoch = 0;
    template.state = LIVE;
    template.follow = follow;
    template.shared = 0;
    template.code = STABLE;
    template.thin = 0;
    counter::all_pages(mm, &mut template.tally.pages);
    waiting::begin(template, waiting);
    let template: &Space = template;
    end_former(mm);
    SPACES.insert(mm, template, 0).ok()?;
    PROCESSES.insert(pid, Process { mm, space: id, follow }, 0).ok()?;
    space_at(mm)
}

/// A process that ends gives up its memory before it says so (`exit_mm` in `do_exit`, `kernel/exit.c`), and
/// another one may have got it by then: this is the last moment at which the former's figures are there.
#[inline(always)]
fn end_former(mm: u64) {
    let Some(space) = space_at(mm) else { return };
    if space.state != LIVE {
        // Its end was told, unless there was no room: user space takes it from here once it is read.
        let _ = UNTOLD_ENDS.insert(space.id, space.tally, 0);
        return;
    }
    space.state = CLOSED;
    let header = emit::header(tag::EXITED, space.id);
    let record = Exited { header, pid: space.pid, exit_code: 0, tally: space.tally };
    if !emit::send_now(space, &record) {
        let _ = UNTOLD_ENDS.insert(space.id, space.tally, 0);
    }
}

/// Space → its tally, where the record of its end may be lost and its place in `SPACES` is another's. Read by
/// user space.
#[map]
static UNTOLD_ENDS: LruHashMap<u32, Tally> = LruHashMap::with_max_entries(MAX_UNTOLD_ENDS, 0);

/// Remembers a thread as a target's; returns what waits in it.
#[inline(always)]
fn watch(task: Task) -> [i64; COUNTERS] {
    let waiting = waiting::of(task);
    let fresh = Thread {
        fault: 0,
        fault_in_kernel: 0,
        last_stack: 0,
        bound: 0,
        tstate: 0,
        fault_stack: NOT_WALKED,
        fault_thin: 0,
        waiting,
    };
    let _ = THREADS.insert(task.tid(), fresh, 0);
    waiting::widened(waiting)
}

/// The task iterator meets a task: does what user space asked for its process.
#[inline(always)]
pub fn attend(task: Task) {
    let tgid = task.tgid();
    let Some(request) = REQUESTS.get_ptr_mut(tgid) else { return };
    // SAFETY: map memory, written by user space before the iterator runs.
    let request: &mut Request = unsafe { &mut *request };
    if request.kind == REQUEST_ATTACH {
        wait_for(task, request);
    } else if request.kind == REQUEST_SETTLE {
        waiting::settle_task(task);
    } else if request.kind == REQUEST_BIND {
        bind(task.tid(), request);
        return;
    }
    if task.tid() != tgid {
        return;
    }
    let mm = task.mm();
    if mm == 0 || request.done != 0 {
        return;
    }
    let done = match request.kind {
        REQUEST_ATTACH => begin(mm, tgid, request),
        REQUEST_CONFIGURE | REQUEST_WATCHED | REQUEST_THIN => configure(tgid, request),
        REQUEST_SETTLE => true,
        REQUEST_CLOSE => close(tgid, request.space, false),
        REQUEST_CLOSE_ANYWAY => close(tgid, request.space, true),
        _ => false,
    };
    request.done = u32::from(done);
}

/// Remembers a thread of a process that runs. What waits in it is part of `before attach`, whether it is met before the
/// thread by which its space is made or behind it.
#[inline(always)]
fn wait_for(task: Task, request: &mut Request) {
    let waiting = watch(task);
    if !waiting::is_kept_here() {
        return;
    }
    waiting::add(&mut request.pages, &waiting);
    if request.done != 0
        && let Some(space) = space_at(task.mm())
    {
        waiting::add(&mut space.tally.pages, &waiting);
    }
}

/// Takes over a thread's state. In its place, since the thread itself may be telling of a fault.
#[inline(always)]
fn bind(tid: u32, request: &mut Request) {
    if tid == request.tid
        && let Some(thread) = thread(tid)
    {
        thread.bound = request.bound;
        request.done = 1;
    }
}

/// Makes the space of a process that runs, and says what its counters were.
#[inline(always)]
fn begin(mm: u64, tgid: u32, request: &mut Request) -> bool {
    if PROCESSES.get_ptr(tgid).is_some() {
        // It has called exec, or was forked, since user space looked: its record is under way.
        return false;
    }
    let (space, follow) = (request.space, request.follow);
    if make_space(mm, tgid, space, follow, &request.layout, &request.pages).is_none() {
        return false;
    }
    // The template: what the space itself says may have changed by now.
    let Some(scratch) = scratch() else { return false };
    request.pages = scratch.space.tally.pages;
    true
}

/// Takes over a layout or another setting, if the process is still the one it was made for.
#[inline(always)]
fn configure(tgid: u32, request: &Request) -> bool {
    let Some(process) = PROCESSES.get_ptr(tgid) else { return false };
    // SAFETY: map memory.
    let Some(space) = space_at(unsafe { (*process).mm }) else { return false };
    if space.id != request.space {
        return false;
    }
    if request.kind == REQUEST_THIN {
        space.thin = request.thin;
    } else if request.kind == REQUEST_WATCHED {
        space.code = WATCHED;
        // What died unseen before must not be taken for alive.
        space.code_epoch = space.code_epoch.wrapping_add(1);
    } else {
        space.layout = request.layout;
    }
    true
}

/// Lets go of a process; where `wanted` names a space, only if it has that one still. Since user space
/// asked, it may have called exec and have another.
#[inline(always)]
fn close(tgid: u32, wanted: u32, anyway: bool) -> bool {
    let Some(process) = PROCESSES.get_ptr(tgid) else { return false };
    // SAFETY: map memory.
    let mm = unsafe { (*process).mm };
    let Some(space) = space_at(mm) else { return false };
    if wanted != 0 && space.id != wanted {
        return false;
    }
    if space.pid == tgid && space.state == LIVE {
        if !is_settled(mm, space) {
            if !anyway {
                return false;
            }
            take_final(mm, space);
        }
        space.state = CLOSED;
    }
    let _ = PROCESSES.remove(tgid);
    true
}

/// The counters of this moment are the final ones.
#[inline(always)]
fn take_final(mm: u64, space: &mut Space) {
    if waiting::is_kept_here() {
        waiting::finish(mm, space);
    } else {
        counter::all_pages(mm, &mut space.tally.pages);
    }
}

/// Whether the counters say what the last event said: between a change and its event they don't, for
/// some nanoseconds, or for longer when the thread is interrupted there.
#[inline(always)]
fn is_settled(mm: u64, space: &Space) -> bool {
    let Some(scratch) = scratch() else { return true };
    let now = &mut scratch.space.tally.pages;
    for _ in 0..SETTLE_LOOKS {
        counter::all_pages(mm, now);
        let known = if waiting::is_kept_here() { &space.arrived } else { &space.tally.pages };
        if (known[0], known[1], known[2], known[3]) == (now[0], now[1], now[2], now[3]) {
            return true;
        }
    }
    false
}

/// `sched_process_fork`: the child is made and does not run yet, so its counters stand still.
#[inline(always)]
pub fn forked(parent: Task, child: Task) {
    let (parent_pid, pid) = (parent.tgid(), child.tgid());
    let Some(process) = PROCESSES.get_ptr(parent_pid) else { return };
    if parent_pid == pid {
        watch(child);
        return;
    }
    // SAFETY: a copy of map memory.
    let process = unsafe { *process };
    if process.follow == 0 {
        return;
    }
    let waiting = watch(child);
    let mm = child.mm();
    if mm == 0 {
        return;
    }
    if mm == process.mm {
        // vfork: it lives in its parent's memory until it calls exec.
        let _ = PROCESSES.insert(pid, process, 0);
        return;
    }
    let Some(parent_space) = space_at(process.mm) else { return };
    parent_space.shared = 1;
    let id = next_space();
    let Some(space) = make_space(mm, pid, id, 1, &parent_space.layout, &waiting) else {
        parent_space.tally.lost_events += 1;
        return;
    };
    space.shared = 1;
    alloc::begin(id);
    // Its parent's probe does not tell of its code.
    space.code = if parent_space.code == STABLE { STABLE } else { CHECKED };
    let record = Forked {
        header: emit::header(tag::FORKED, id),
        parent: parent_space.id,
        pid,
        mm,
        pages: space.tally.pages,
    };
    emit::send_now(space, &record);
}

/// `sched_process_exec`: the process has a new address space under its old pid.
#[inline(always)]
pub fn execed() {
    let (pid, _) = current_ids();
    let Some(process) = PROCESSES.get_ptr(pid).or_else(|| PROCESSES.get_ptr(ANY_PROCESS)) else {
        return;
    };
    // SAFETY: a copy of map memory.
    let process = unsafe { *process };
    let mm = Current::task().mm();
    let Some(scratch) = scratch() else { return };
    let record: &mut Execed = &mut scratch.execed.head;
    record.old = 0;
    record.old_tally =
        Tally { pages: [0; 4], lost_pages: [0; 4], lost_events: 0, events: 0, probe_ns: 0 };
    if let Some(old) = space_at(process.mm)
        && old.pid == pid
    {
        old.state = CLOSED;
        record.old = old.id;
        record.old_tally = old.tally;
    }
    let id = next_space();
    let waiting = watch(Current::task().as_task());
    let Some(space) = make_space(mm, pid, id, process.follow, &PyLayout::NONE, &waiting) else {
        return;
    };
    alloc::begin(id);
    record.header = emit::header(tag::EXECED, id);
    record.pid = pid;
    record.mm = mm;
    record.pages = space.tally.pages;
    record.comm = bpf_get_current_comm().unwrap_or_default();
    recognise::describe(mm, &mut scratch.execed);
    recognise::send(space, &scratch.execed);
    recognise::executed(space, mm);
}

/// `sched_process_exit`: a thread ends, and perhaps its process with it.
#[inline(always)]
pub fn exited() {
    let (pid, tid) = current_ids();
    // Also those of processes that user space has let go of.
    let _ = THREADS.remove(tid);
    alloc::forget(tid);
    let Some(process) = PROCESSES.get_ptr(pid) else { return };
    if !Current::task().as_task().last_of_process() {
        return;
    }
    // SAFETY: map memory.
    let mm = unsafe { (*process).mm };
    let _ = PROCESSES.remove(pid);
    let Some(space) = space_at(mm) else { return };
    if space.pid != pid || space.state != LIVE {
        return;
    }
    space.state = CLOSED;
    let record = Exited {
        header: emit::header(tag::EXITED, space.id),
        pid,
        exit_code: Current::task().exit_code(),
        tally: space.tally,
    };
    emit::send_now(space, &record);
}

/// `code_dealloc` of the interpreter: the code object at `code` is about to be freed. If it was
/// named, its name must not outlive it.
#[inline(always)]
pub fn code_freed(code: u64) {
    let (pid, _) = current_ids();
    let Some(process) = PROCESSES.get_ptr(pid) else { return };
    // SAFETY: map memory.
    let Some(space) = space_at(unsafe { (*process).mm }) else { return };
    calls::freed(space, code);
    let key = CodeKey { code, space: u64::from(space.id) };
    if CODES_SENT.remove(key).is_err() {
        return;
    }
    space.code_epoch = space.code_epoch.wrapping_add(1);
    let header = emit::header(tag::CODE_FREED, space.id);
    emit::send(space, &CodeFreed { header, code });
}

/// `_PyEval_EvalFrameDefault` of the interpreter: tells the running thread's state.
#[inline(always)]
pub fn frame_evaluated(argument: u64) {
    let (pid, tid) = current_ids();
    let Some(thread) = thread(tid) else { return };
    let Some(process) = PROCESSES.get_ptr(pid) else { return };
    // SAFETY: map memory.
    let Some(space) = space_at(unsafe { (*process).mm }) else { return };
    // Up to 3.8 the first argument is the frame; the thread that evaluates it holds the GIL, and
    // the runtime names the holder's thread state.
    thread.bound = match space.layout.key_address {
        0 => argument,
        holder => UserMemory.read_u64(holder).unwrap_or(0),
    };
}
