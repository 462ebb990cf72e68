//! The running thread's Python stack: walked, interned (frames travel once), named.

use aya_ebpf::helpers::bpf_get_current_comm;
use memtrace_common::event::{Code, CodeFreed, Stack, Text, piece, tag};
use memtrace_common::layout::{ABSENT, PyLayout};
use memtrace_common::limits::{
    LINE_TABLE_CHUNKS, MAX_FRAMES, NAME_CHUNKS, STRETCHES_IN_LINE, TEXT_CHUNK,
};
use memtrace_common::memory::ReadMemory;
use memtrace_common::outcome::Outcome;
use memtrace_common::settings::{CHECKED, STABLE, Space, Thread};
use memtrace_common::walk::{self, Frame, afresh, mix};

use crate::emit;
use crate::fingerprint::{self, Str};
use crate::maps::{
    ALLOCATOR, CODES_SENT, CodeKey, Outgoing, STACKS_SENT, Scratch, TRACEPOINTS, scratch_of,
};
use crate::memory::{UserMemory, at_most};
use crate::ram::PagedMemory;
use crate::rounds::{Body, repeat};
use crate::task::Current;

/// Id of the running thread's stack. When it is new, its frames and the names of their code go
/// to user space first.
#[inline(always)]
pub fn current(
    space: &mut Space,
    task: Current,
    thread: Option<&mut Thread>,
    by_target: bool,
) -> u64 {
    current_in::<TRACEPOINTS>(space, task, thread, by_target)
}

/// As [`current`], in the working memory of another kind of programs.
#[inline(always)]
pub fn current_in<const OF: u32>(
    space: &mut Space,
    task: Current,
    mut thread: Option<&mut Thread>,
    by_target: bool,
) -> u64 {
    let Some(scratch) = scratch_of::<OF>() else { return 0 };
    // In two steps: space 4 in epoch 1 is not space 5 in epoch 0.
    scratch.walk.hash = mix(mix(0, u64::from(space.id)), u64::from(space.code_epoch));
    if by_target {
        let (bound, known) = match &thread {
            Some(thread) => (thread.bound, thread.tstate),
            None => (0, 0),
        };
        scratch.walk.tstate = known;
        scratch.busy = 1;
        take_frames::<OF>(space, scratch, task, bound);
        scratch.busy = 0;
        if let Some(thread) = &mut thread {
            thread.tstate = scratch.walk.tstate;
        }
    } else {
        scratch.walk.depth = 0;
        scratch.walk.outcome = Outcome::NotByTarget as u32;
    }
    if scratch.walk.depth == 0 {
        hash_name(scratch);
    }
    if space.code == CHECKED && scratch.walk.depth != 0 {
        tell_recycled::<OF>(space, scratch);
    }
    let id = scratch.walk.hash | 1;
    match thread {
        Some(thread) if thread.last_stack == id => return id,
        // SAFETY: only presence is asked.
        thread if unsafe { STACKS_SENT.get(id) }.is_some() || send::<OF>(space, scratch, id) => {
            if let Some(thread) = thread {
                thread.last_stack = id;
            }
            let _ = STACKS_SENT.insert(id, 1, 0);
        }
        _ => {}
    }
    id
}

/// Gives the stack another id when one of its frames has other code by now than user space knows.
#[inline(always)]
fn tell_recycled<const OF: u32>(space: &mut Space, scratch: &mut Scratch) {
    scratch.outgoing.recycled = 0;
    repeat::<CheckFrames<OF>>(space);
    if scratch.outgoing.recycled != 0 {
        space.code_epoch = space.code_epoch.wrapping_add(1);
        scratch.walk.hash = mix(scratch.walk.hash, u64::from(space.code_epoch));
    }
}

/// The code of frame `index` of the walk, which may have less.
#[inline(always)]
fn frame_code<const OF: u32>(index: u32) -> Option<(&'static mut Scratch, u64)> {
    let scratch = scratch_of::<OF>()?;
    if index >= scratch.walk.depth {
        return None;
    }
    let index = at_most::<{ MAX_FRAMES as i32 - 1 }>(index.into());
    // SAFETY: `index` is below MAX_FRAMES.
    let code = unsafe { (*scratch.walk.frames.as_ptr().add(index as usize)).code };
    Some((scratch, code))
}

/// Compares the code of frame `index` with the fingerprint of what was sent; `false` ends the loop.
struct CheckFrames<const OF: u32>;

impl<const OF: u32> Body for CheckFrames<OF> {
    type With = Space;
    const ROUNDS: u32 = MAX_FRAMES as u32;

    #[inline(always)]
    fn round(index: u32, space: &mut Space) -> bool {
        let Some((scratch, code)) = frame_code::<OF>(index) else { return false };
        let key = CodeKey { code, space: u64::from(space.id) };
        // SAFETY: a copy of one word of map memory.
        let Some(known) = unsafe { CODES_SENT.get(key) }.copied() else { return true };
        scratch.busy = 1;
        let same = known == fingerprint::of(&space.layout, code);
        scratch.busy = 0;
        if !same {
            scratch.outgoing.recycled = 1;
        }
        same
    }
}

/// As [`walk::walk`].
#[inline(always)]
fn take_frames<const OF: u32>(space: &mut Space, scratch: &mut Scratch, task: Current, bound: u64) {
    let memory = PagedMemory::of(task.mm(), &mut scratch.pages);
    (scratch.tables, scratch.ram) = (memory.tables, memory.base);
    let (layout, pointer) = (&space.layout, task.thread_pointer());
    if walk::begin(&memory, layout, pointer, bound, &mut scratch.walk) {
        // Most stacks end here: their frames lie in one page, the outermost on C's stack.
        let mut more = true;
        for _ in 0..STRETCHES_IN_LINE {
            more = more && walk::stretch(&memory, layout, &mut scratch.walk);
        }
        if more {
            repeat::<Stretches<OF>>(space);
        }
        walk::finish(&mut scratch.walk);
    }
}

/// Takes some frames of the walk; `false` ends the loop.
struct Stretches<const OF: u32>;

impl<const OF: u32> Body for Stretches<OF> {
    type With = Space;
    const ROUNDS: u32 = walk::MAX_STRETCHES;

    #[inline(always)]
    fn round(_number: u32, space: &mut Space) -> bool {
        let Some(scratch) = scratch_of::<OF>() else { return false };
        let memory = PagedMemory::again(scratch.tables, scratch.ram, &mut scratch.pages);
        walk::stretch(&memory, &space.layout, &mut scratch.walk)
    }
}

/// Without frames, the outcome and the thread's name tell stacks apart.
#[inline(always)]
fn hash_name(scratch: &mut Scratch) {
    let comm = bpf_get_current_comm().unwrap_or_default();
    let mut hash = mix(scratch.walk.hash, u64::from(scratch.walk.outcome));
    let words: [u64; 2] =
        // SAFETY: sixteen bytes either way.
        unsafe { core::mem::transmute(comm) };
    hash = mix(hash, words[0]);
    hash = mix(hash, words[1]);
    scratch.walk.hash = hash;
}

/// Sends the stack in `scratch`; `false` when anything of it did not fit.
#[inline(always)]
fn send<const OF: u32>(space: &mut Space, scratch: &mut Scratch, id: u64) -> bool {
    let depth = at_most::<{ MAX_FRAMES as i32 }>(scratch.walk.depth.into());
    scratch.outgoing.stack_sent = 1;
    repeat::<SendCodes<OF>>(space);
    if scratch.outgoing.stack_sent == 0 {
        // With half of a line table it would have another line. As it is, it counts as lost.
        return false;
    }
    scratch.stack = Stack {
        header: emit::header(tag::STACK, space.id),
        id,
        depth: depth as u32,
        outcome: scratch.walk.outcome,
        comm: bpf_get_current_comm().unwrap_or_default(),
    };
    let frames = at_most::<{ MAX_FRAMES as i32 }>(afresh(&scratch.walk.depth).into());
    let length = size_of::<Stack>() + frames as usize * size_of::<Frame>();
    // SAFETY: the walk's frames stand right behind the head, and `depth` is at most their number.
    unsafe { emit::send_raw(space, (&raw const scratch.stack).cast(), length) }
}

/// Sends the code object of frame `index` unless user space has it; `false` ends the loop.
struct SendCodes<const OF: u32>;

impl<const OF: u32> Body for SendCodes<OF> {
    type With = Space;
    const ROUNDS: u32 = MAX_FRAMES as u32;

    #[inline(always)]
    fn round(index: u32, space: &mut Space) -> bool {
        let Some((scratch, code)) = frame_code::<OF>(index) else { return false };
        let key = CodeKey { code, space: u64::from(space.id) };
        scratch.busy = 1;
        let print = fingerprint::of(&space.layout, code);
        // SAFETY: a copy of one word of map memory.
        match unsafe { CODES_SENT.get(key) }.copied() {
            Some(known) if known == print => {
                scratch.busy = 0;
                return true;
            }
            Some(_) => {
                if space.code == STABLE {
                    space.code = CHECKED;
                }
                let header = emit::header(tag::CODE_FREED, space.id);
                emit::send(space, &CodeFreed { header, code });
            }
            None => {}
        }
        let outermost = index + 1 >= scratch.walk.depth;
        if send_code::<OF>(space, scratch, code) {
            let _ = CODES_SENT.insert(key, print, 0);
            // Code from a string, and an imported module's, dies soon and its address comes back. The
            // main program's module is the outermost frame and stays.
            let dies =
                scratch.outgoing.dynamic != 0 || (scratch.outgoing.module != 0 && !outermost);
            if dies && space.code == STABLE {
                space.code = CHECKED;
            }
        } else {
            scratch.outgoing.stack_sent = 0;
        }
        scratch.busy = 0;
        true
    }
}

/// Sends the code object at this address, which is in no stack, unless user space has it.
#[inline(always)]
pub fn name_code(space: &mut Space, code: u64) {
    let Some(scratch) = scratch_of::<ALLOCATOR>() else { return };
    // As the first of two frames: the outermost one's would be taken for the main program's.
    scratch.walk.depth = 2;
    // SAFETY: there is a first frame.
    unsafe { (*scratch.walk.frames.as_mut_ptr()).code = code };
    SendCodes::<ALLOCATOR>::round(0, space);
}

#[inline(always)]
fn int_field(object: u64, offset: u32) -> i32 {
    let mut value = 0i32;
    // SAFETY: four bytes into an i32.
    let ok = unsafe { UserMemory.read_raw(object + u64::from(offset), (&raw mut value).cast(), 4) };
    if ok { value } else { 0 }
}

#[inline(always)]
fn send_code<const OF: u32>(space: &mut Space, scratch: &mut Scratch, code: u64) -> bool {
    let layout: &PyLayout = &space.layout;
    let first_traceable = if layout.code_first_traceable == ABSENT {
        0
    } else {
        int_field(code, layout.code_first_traceable)
    };
    let record = Code {
        header: emit::header(tag::CODE, space.id),
        code,
        first_line: int_field(code, layout.code_first_line),
        first_traceable,
    };
    if !emit::send(space, &record) {
        return false;
    }
    scratch.outgoing.code = code;
    scratch.outgoing.sent = 1;
    scratch.outgoing.dynamic = 0;
    scratch.outgoing.module = 0;
    repeat::<SendPieces<OF>>(space);
    scratch.outgoing.sent == 1
}

/// Sends one of a code object's texts; `false` ends the loop.
struct SendPieces<const OF: u32>;

impl<const OF: u32> Body for SendPieces<OF> {
    type With = Space;
    /// File name, name and line table.
    const ROUNDS: u32 = 3;

    #[inline(always)]
    fn round(piece: u32, space: &mut Space) -> bool {
        let Some(scratch) = scratch_of::<OF>() else { return false };
        let text = &mut scratch.outgoing;
        let layout = &space.layout;
        let chunks = if piece == u32::from(piece::TABLE) {
            find_bytes(text, layout, layout.code_table);
            LINE_TABLE_CHUNKS
        } else {
            let is_file = piece == u32::from(piece::FILE);
            find_str(text, layout, if is_file { layout.code_file } else { layout.code_name });
            NAME_CHUNKS
        };
        let limit = u64::from(chunks) * TEXT_CHUNK as u64;
        if text.total > limit {
            text.total = limit;
        }
        text.piece = piece as u8;
        text.offset = 0;
        repeat::<SendChunks<OF>>(space);
        text.sent != 0
    }
}

/// The str that the code object's field points to.
#[inline(always)]
fn find_str(text: &mut Outgoing, layout: &PyLayout, field: u32) {
    let object = UserMemory.read_u64(text.code + u64::from(field)).unwrap_or(0);
    let found = Str::of(layout, object);
    (text.address, text.total, text.width) = (found.address, found.total, found.width);
}

/// The `bytes` that the code object's field points to.
#[inline(always)]
fn find_bytes(text: &mut Outgoing, layout: &PyLayout, field: u32) {
    let object = UserMemory.read_u64(text.code + u64::from(field)).unwrap_or(0);
    text.total = UserMemory.read_u64(object + u64::from(layout.bytes_length)).unwrap_or(0);
    text.width = 0;
    text.address = object + u64::from(layout.bytes_data);
}

/// Sends the next chunk of the text; `false` ends the loop. A text that can't be read (its page is not
/// in memory) is sent without bytes: user space may find it in the file that the page comes from.
struct SendChunks<const OF: u32>;

impl<const OF: u32> Body for SendChunks<OF> {
    type With = Space;
    const ROUNDS: u32 = LINE_TABLE_CHUNKS;

    #[inline(always)]
    fn round(_number: u32, space: &mut Space) -> bool {
        let Some(scratch) = scratch_of::<OF>() else { return false };
        let (text, record) = (&mut scratch.outgoing, &mut scratch.text);
        let offset = text.offset;
        if offset >= text.total {
            return false;
        }
        let mut length = at_most::<{ TEXT_CHUNK as i32 }>(text.total - offset);
        // SAFETY: `length` is at most the size of `bytes`.
        let read = unsafe {
            UserMemory.read_raw(text.address + offset, record.bytes.as_mut_ptr(), length as u32)
        };
        if !read {
            length = 0;
        } else if offset == 0 && text.piece == piece::FILE {
            // `<string>`, `<stdin>`, …; `<frozen …>` is built in and stays.
            text.dynamic = u8::from(record.bytes[0] == b'<' && record.bytes[1] != b'f');
        } else if offset == 0 && text.piece == piece::NAME {
            text.module = u8::from(record.bytes[0] == b'<' && record.bytes[1] == b'm');
        }
        record.head = Text {
            header: emit::header(tag::TEXT, space.id),
            code: text.code,
            address: text.address + offset,
            offset: offset as u32,
            length: length as u32,
            total: text.total as u32,
            piece: text.piece,
            width: text.width,
            reserved: 0,
        };
        // SAFETY: head and bytes stand together, the length is at most theirs.
        let sent = unsafe {
            emit::send_raw(space, (&raw const *record).cast(), size_of::<Text>() + length as usize)
        };
        text.sent = u8::from(sent);
        text.offset = offset + length;
        read && sent
    }
}
