//! The one walker of Python frames, for every CPython, in the kernel and in the tests.
//!
//! It knows offsets and flags and nothing else: no versions, no maps, no BPF. Everything it reads
//! belongs to a target that may lie, so every pointer is just an address to try, every length is
//! bounded, and a cyclic chain ends at [`MAX_FRAMES`].

use crate::layout::{ABSENT, FLAG_INSTR_IS_INDEX, FLAG_SLOT_MOVES, PyLayout, Slot};
use crate::limits::{FRAME_BLOCK, FRAME_WINDOW, MAX_FRAMES};
use crate::memory::ReadMemory;
use crate::outcome::Outcome;

/// One frame as the kernel sees it: which code, where in it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Frame {
    /// Address of the code object.
    pub code: u64,
    /// Bytes from the first instruction; [`UNKNOWN_INSTR`] when not plausible.
    pub instr: i32,
    /// `_PyInterpreterFrame.owner` (1: generator), 0 where there is none.
    pub owner: u32,
}

const _: () = assert!(size_of::<Frame>() == 16);

/// An instruction offset that can't be right.
pub const UNKNOWN_INSTR: i32 = i32::MIN;

/// Bytes of the smallest page.
const PAGE: u64 = 4096;

/// Instruction offsets are below this (bytes); co_code of more than 16 MiB is not believed.
const INSTR_LIMIT: i64 = 1 << 24;

/// glibc's `struct pthread` (2.36 and 2.43, by disassembly): key < 32 has its value at
/// `fsbase + 0x310 + 16*key + 8`, others at `*(fsbase + 0x510 + 8*(key/32)) + 16*(key%32) + 8`.
const GLIBC_FIRST_LEVEL: u64 = 0x310;
const GLIBC_SECOND_LEVEL: u64 = 0x510;
const GLIBC_KEYS_PER_LEVEL: u64 = 32;
const GLIBC_KEYS: u64 = 1024;

/// Working memory of one walk; in the kernel it lives in a per-CPU map, being too large for the
/// 512-byte stack.
#[repr(C)]
pub struct Walk {
    /// Leaf first. Comes first, so that a record's head can stand right before it.
    pub frames: [Frame; MAX_FRAMES],
    /// What was read last: a frame, and perhaps callers' frames before it.
    block: [u64; FRAME_BLOCK / 8 + 1],
    /// Frames found.
    pub depth: u32,
    /// [`Outcome`] as a number.
    pub outcome: u32,
    /// Hash of the frames, the same for the same frames; the caller seeds it.
    pub hash: u64,
    /// Address of the frame to look at next; 0 at the end of the chain.
    next: u64,
    /// The thread's `PyThreadState`, as the last walk found it; 0 if it found none. Handed in again,
    /// it saves the next walk of the same thread one read.
    pub tstate: u64,
    /// Where in the target the block is from.
    block_address: u64,
    /// Bytes of it that are filled.
    block_length: u64,
}

impl Walk {
    /// An empty working memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            block: [0; FRAME_BLOCK / 8 + 1],
            frames: [Frame { code: 0, instr: 0, owner: 0 }; MAX_FRAMES],
            depth: 0,
            outcome: Outcome::NotPython as u32,
            hash: 0,
            next: 0,
            tstate: 0,
            block_address: 0,
            block_length: 0,
        }
    }

    /// The frames found, leaf first.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.frames[..(self.depth as usize).min(MAX_FRAMES)]
    }

    /// Makes sure that `length` bytes at `address` are in the block; returns where they are in it.
    #[inline(always)]
    fn fetch<M: ReadMemory>(
        &mut self,
        memory: &M,
        address: u64,
        length: u32,
        behind: u32,
    ) -> Option<u64> {
        let there = address.wrapping_sub(self.block_address);
        if there.saturating_add(u64::from(length)) <= self.block_length && there.is_multiple_of(8) {
            return Some(there);
        }
        let (mut length, mut behind) = (length, behind);
        if length as usize > FRAME_WINDOW {
            length = FRAME_WINDOW as u32;
        }
        if behind as usize > FRAME_BLOCK - FRAME_WINDOW {
            behind = (FRAME_BLOCK - FRAME_WINDOW) as u32;
        }
        // The page before may be nobody's memory, and a read that fails costs more than ten others.
        let in_page = (address & (PAGE - 8)) as u32;
        if behind > in_page {
            behind = in_page;
        }
        let into = self.block.as_mut_ptr().cast();
        let start = address.wrapping_sub(u64::from(behind));
        // SAFETY: `behind + length` is at most FRAME_BLOCK.
        if behind != 0 && unsafe { memory.read_raw(start, into, behind + length) } {
            self.block_address = start;
            self.block_length = u64::from(behind + length);
            return Some(u64::from(behind));
        }
        self.block_address = address;
        self.block_length = u64::from(length);
        // SAFETY: `length` is at most FRAME_WINDOW.
        if unsafe { memory.read_raw(address, into, length) } { Some(0) } else { None }
    }

    /// The eight bytes at `offset` of the block. Offsets come from user space's tables and are
    /// multiples of eight; the mask makes that visible to the verifier.
    #[inline(always)]
    fn word(&self, offset: u64) -> u64 {
        let index = (offset as usize & (FRAME_BLOCK - 1)) / 8;
        // SAFETY: `index` is below FRAME_BLOCK / 8, the block is one word longer.
        unsafe { self.block.as_ptr().add(index).read() }
    }

    #[inline(always)]
    fn half(&self, offset: u64) -> u32 {
        let index = (offset as usize & (FRAME_BLOCK - 1)) / 4;
        // SAFETY: as in `word`; four-byte steps stay aligned.
        unsafe { self.block.as_ptr().cast::<u32>().add(index).read() }
    }

    #[inline(always)]
    fn byte(&self, offset: u64) -> u32 {
        let index = offset as usize & (FRAME_BLOCK - 1);
        // SAFETY: as in `word`.
        u32::from(unsafe { self.block.as_ptr().cast::<u8>().add(index).read() })
    }
}

impl Default for Walk {
    fn default() -> Self {
        Self::new()
    }
}

/// Mixes one word into a running hash. Multiply and fold: cheap enough for every frame of every
/// event, and 64 bits are plenty for the stacks of one process.
#[inline(always)]
#[must_use]
pub fn mix(hash: u64, word: u64) -> u64 {
    let h = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    h ^ (h >> 29)
}

/// The thread's `PyThreadState*`, from its thread pointer.
///
/// `bound` is what the frame-evaluation probe learnt for this thread, 0 if nothing.
///
/// # Errors
///
/// The outcome that the walk ends with: no interpreter, a native thread, unreadable memory.
#[inline(always)]
pub fn thread_state<M: ReadMemory>(
    memory: &M,
    layout: &PyLayout,
    thread_pointer: u64,
    bound: u64,
) -> Result<u64, Outcome> {
    let slot = layout.slot;
    let address = if slot == Slot::Direct as u32 {
        thread_pointer.wrapping_add(layout.slot_first as u64)
    } else if slot == Slot::KeyAt as u32 {
        key_slot(memory, layout.key_address, thread_pointer)?
    } else if slot == Slot::TwoLevel as u32 {
        match memory.read_u64(thread_pointer.wrapping_add(layout.slot_first as u64)) {
            Some(0) => return Err(Outcome::NativeThread),
            Some(table) => table.wrapping_add(layout.slot_second as u64),
            None => return Err(Outcome::Unreadable),
        }
    } else if slot == Slot::Bound as u32 {
        return if bound == 0 { Err(Outcome::NativeThread) } else { Ok(bound) };
    } else {
        return Err(Outcome::NotPython);
    };
    let own = match memory.read_u64(address) {
        Some(0) => return Err(Outcome::NativeThread),
        Some(tstate) => tstate,
        None => return Err(Outcome::Unreadable),
    };
    if layout.current_tstate_address == 0 {
        return Ok(own);
    }
    Ok(running_subinterpreter(memory, layout, thread_pointer, own))
}

/// The slot's address for a key that the interpreter may make at any time (`autoTSSkey`:
/// u32 `_is_initialized`, u32 `_key`; CPython's `pycore_pystate.h`, `pythread.h`).
#[inline(always)]
fn key_slot<M: ReadMemory>(memory: &M, key: u64, thread_pointer: u64) -> Result<u64, Outcome> {
    let Some(word) = memory.read_u64(key) else { return Err(Outcome::InterpreterNotStarted) };
    if word as u32 == 0 {
        return Err(Outcome::InterpreterNotStarted);
    }
    let key = word >> 32;
    if key < GLIBC_KEYS_PER_LEVEL {
        return Ok(thread_pointer.wrapping_add(GLIBC_FIRST_LEVEL + 16 * key + 8));
    }
    if key >= GLIBC_KEYS {
        return Err(Outcome::Unreadable);
    }
    let level = GLIBC_SECOND_LEVEL + 8 * (key / GLIBC_KEYS_PER_LEVEL);
    match memory.read_u64(thread_pointer.wrapping_add(level)) {
        Some(0) => Err(Outcome::NativeThread),
        Some(table) => Ok(table.wrapping_add(16 * (key % GLIBC_KEYS_PER_LEVEL) + 8)),
        None => Err(Outcome::Unreadable),
    }
}

/// Up to 3.11 the slot stays on the thread's first interpreter while a sub-interpreter runs; the
/// GIL holder's thread state is the right one when it belongs to this thread.
#[inline(always)]
fn running_subinterpreter<M: ReadMemory>(
    memory: &M,
    layout: &PyLayout,
    thread_pointer: u64,
    own: u64,
) -> u64 {
    let Some(current) = memory.read_u64(layout.current_tstate_address) else { return own };
    if current == 0 || current == own {
        return own;
    }
    match memory.read_u64(current.wrapping_add(u64::from(layout.tstate_thread_id))) {
        Some(thread) if thread == thread_pointer => current,
        _ => own,
    }
}

/// How often [`step`] may be called: skipped frames (one per entry from C) count against the bound
/// too, since it is what ends a cycle.
pub const MAX_STEPS: u32 = 2 * MAX_FRAMES as u32;

/// Walks the Python stack of the thread whose thread pointer this is, into `walk`, and hashes it
/// onto `walk.hash`. `bound` as in [`thread_state`]; `walk.tstate` is 0 or what the last walk of
/// the same thread left there.
///
/// The kernel side calls [`begin`], [`step`] and [`finish`] itself, because its verifier wants
/// long loops to be made by a helper.
pub fn walk<M: ReadMemory>(
    memory: &M,
    layout: &PyLayout,
    thread_pointer: u64,
    bound: u64,
    walk: &mut Walk,
) {
    if begin(memory, layout, thread_pointer, bound, walk) {
        for _ in 0..MAX_STEPS {
            if !step(memory, layout, walk) {
                break;
            }
        }
        finish(walk);
    }
}

/// Finds the running frame. `false` when there is nothing to walk; `walk.outcome` says why.
#[inline(always)]
pub fn begin<M: ReadMemory>(
    memory: &M,
    layout: &PyLayout,
    thread_pointer: u64,
    bound: u64,
    walk: &mut Walk,
) -> bool {
    walk.depth = 0;
    walk.next = 0;
    walk.block_length = 0;
    walk.outcome = Outcome::Complete as u32;
    let known = walk.tstate;
    if known != 0 && layout.flags & FLAG_SLOT_MOVES == 0 {
        let frame = frame_of_known(memory, layout, thread_pointer, known, walk);
        if frame != 0 {
            walk.next = frame;
            return true;
        }
    }
    walk.tstate = 0;
    let outcome = match thread_state(memory, layout, thread_pointer, bound) {
        Ok(tstate) => match first_frame(memory, layout, tstate) {
            Some(frame) => {
                walk.tstate = tstate;
                walk.next = frame;
                return true;
            }
            None => Outcome::Unreadable,
        },
        Err(outcome) => outcome,
    };
    walk.outcome = outcome as u32;
    false
}

/// The running frame of a thread whose state was found before: one read brings the frame and
/// `thread_id`, which is the thread pointer (glibc's `pthread_self`) as long as the state is this
/// thread's. 0 when it is not, or has no frames: then the slot is to be asked again (a thread of a
/// C program that has left Python has none, and its state may be freed).
#[inline(always)]
fn frame_of_known<M: ReadMemory>(
    memory: &M,
    layout: &PyLayout,
    thread_pointer: u64,
    tstate: u64,
    walk: &mut Walk,
) -> u64 {
    let span = layout.tstate_thread_id.wrapping_sub(layout.tstate_frame);
    if span as usize > FRAME_WINDOW * 2 {
        return 0;
    }
    let at = tstate.wrapping_add(u64::from(layout.tstate_frame));
    // SAFETY: the block is FRAME_BLOCK bytes long, more than twice FRAME_WINDOW and a word.
    if !unsafe { memory.read_raw(at, walk.block.as_mut_ptr().cast(), span + 8) } {
        return 0;
    }
    let (head, thread_id) = (walk.word(0), walk.word(u64::from(span)));
    if thread_id != thread_pointer || head == 0 || layout.cframe_frame == ABSENT {
        return if thread_id == thread_pointer { head } else { 0 };
    }
    memory.read_u64(head.wrapping_add(u64::from(layout.cframe_frame))).unwrap_or(0)
}

/// The frame that runs, from the thread state; `None` when unreadable.
#[inline(always)]
fn first_frame<M: ReadMemory>(memory: &M, layout: &PyLayout, tstate: u64) -> Option<u64> {
    let head = memory.read_u64(tstate.wrapping_add(u64::from(layout.tstate_frame)))?;
    if layout.cframe_frame == ABSENT || head == 0 {
        return Some(head);
    }
    memory.read_u64(head.wrapping_add(u64::from(layout.cframe_frame)))
}

/// Takes one frame; `false` at the end.
#[inline(always)]
pub fn step<M: ReadMemory>(memory: &M, layout: &PyLayout, walk: &mut Walk) -> bool {
    let depth = walk.depth;
    if walk.next == 0 || depth as usize >= MAX_FRAMES {
        return false;
    }
    let at = walk.next.wrapping_add(u64::from(layout.window_start));
    let Some(base) = walk.fetch(memory, at, layout.window_length, layout.window_behind) else {
        let outcome = if depth == 0 { Outcome::Unreadable } else { Outcome::CutByUnreadableFrame };
        walk.outcome = outcome as u32;
        walk.next = 0;
        return false;
    };
    walk.next = walk.word(base + u64::from(layout.back_at));
    let code = walk.word(base + u64::from(layout.code_at)) & layout.code_mask;
    let owner =
        if layout.owner_at == ABSENT { 0 } else { walk.byte(base + u64::from(layout.owner_at)) };
    if owner >= layout.skip_owner_min || code == 0 {
        return true;
    }
    let instr = instruction(layout, walk, base, code);
    // SAFETY: `depth` is below MAX_FRAMES, checked at the top.
    unsafe {
        let slot = walk.frames.as_mut_ptr().add(depth as usize & (MAX_FRAMES - 1));
        slot.write(Frame { code, instr, owner });
    }
    walk.hash = mix(mix(walk.hash, code), u64::from(instr as u32));
    walk.depth = depth + 1;
    true
}

/// Says how the walk ended.
#[inline(always)]
pub fn finish(walk: &mut Walk) {
    if walk.next != 0 {
        walk.outcome = Outcome::Truncated as u32;
    } else if walk.depth == 0 && walk.outcome == Outcome::Complete as u32 {
        walk.outcome = Outcome::NoFrames as u32;
    }
}

/// Byte offset of the frame's instruction from its code's first one.
#[inline(always)]
fn instruction(layout: &PyLayout, walk: &Walk, base: u64, code: u64) -> i32 {
    let at = base + u64::from(layout.instr_at);
    let offset = if layout.flags & FLAG_INSTR_IS_INDEX != 0 {
        i64::from(walk.half(at) as i32) * i64::from(layout.instr_unit)
    } else {
        let start = code.wrapping_add(u64::from(layout.instr_base));
        walk.word(at).wrapping_sub(start) as i64
    };
    if (-2..INSTR_LIMIT).contains(&offset) { offset as i32 } else { UNKNOWN_INSTR }
}
