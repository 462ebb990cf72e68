//! The one walker of Python frames, for every CPython, in the kernel and in the tests.
//!
//! It knows offsets and flags and nothing else: no versions, no maps, no BPF. Everything it reads
//! belongs to a target that may lie, so every pointer is just an address to try, every length is
//! bounded, and a cyclic chain ends at [`MAX_FRAMES`].

mod thread_state;

pub use thread_state::thread_state;

use crate::layout::{ABSENT, FLAG_INSTR_IS_INDEX, FLAG_SLOT_MOVES, PyLayout};
use crate::limits::{FRAME_BLOCK, FRAME_WINDOW, MAX_FRAMES, MAX_ROUNDS, STRETCH};
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
    /// The frame looked at last: where it can be loaded from, or 0 when it is in the block.
    direct: u64,
    /// Where in the block it is.
    base: u64,
    /// The page of the target that was found last, and where it can be loaded from; 0 if none.
    page: u64,
    page_at: u64,
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
            direct: 0,
            base: 0,
            page: 0,
            page_at: 0,
        }
    }

    /// The frames found, leaf first.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.frames[..(self.depth as usize).min(MAX_FRAMES)]
    }

    /// Finds the frame window at `address`; `false` when it can't be read.
    #[inline(always)]
    fn find<M: ReadMemory>(&mut self, memory: &M, layout: &PyLayout, address: u64) -> bool {
        let length = u64::from(layout.window_length);
        (self.direct, self.page_at) = (0, 0);
        if self.in_block(address, length) {
            return true;
        }
        let mut behind = layout.window_behind;
        if memory.has_pages() {
            behind = 0;
            if (address & (PAGE - 1)) + length <= PAGE {
                self.page_of(memory, address);
                if self.in_page(address, length) {
                    return true;
                }
            }
        }
        match self.fetch(memory, address, layout.window_length, behind) {
            Some(base) => self.base = base,
            None => return false,
        }
        true
    }

    /// Where the page of `address` can be loaded from; 0 if it can't.
    #[inline(always)]
    fn page_of<M: ReadMemory>(&mut self, memory: &M, address: u64) -> u64 {
        self.page = address & !(PAGE - 1);
        self.page_at = memory.page(address);
        afresh(&self.page_at)
    }

    /// Whether the frame window at `address` is in the page found last; then that is where it is.
    #[inline(always)]
    fn in_page(&mut self, address: u64, length: u64) -> bool {
        let there = address.wrapping_sub(self.page);
        if self.page_at == 0 || there > PAGE || there + length > PAGE {
            return false;
        }
        self.direct = self.page_at + there;
        true
    }

    /// Whether it is in the block; then that is where it is.
    #[inline(always)]
    fn in_block(&mut self, address: u64, length: u64) -> bool {
        let there = address.wrapping_sub(self.block_address);
        self.base = there;
        there.saturating_add(length) <= self.block_length && there.is_multiple_of(8)
    }

    /// Reads `length` bytes at `address` into the block, and likely callers before them; returns
    /// where they are in it.
    #[inline(always)]
    fn fetch<M: ReadMemory>(
        &mut self,
        memory: &M,
        address: u64,
        length: u32,
        behind: u32,
    ) -> Option<u64> {
        let (mut length, mut behind) = (length, behind);
        if length as usize > FRAME_WINDOW {
            length = FRAME_WINDOW as u32;
        }
        if behind as usize > FRAME_BLOCK - FRAME_WINDOW - 8 {
            behind = (FRAME_BLOCK - FRAME_WINDOW - 8) as u32;
        }
        // The page before may be nobody's memory, and a read that fails costs more than ten others.
        let in_page = (address & (PAGE - 8)) as u32;
        if behind > in_page {
            behind = in_page;
        }
        let into = self.block.as_mut_ptr().cast();
        let start = address.wrapping_sub(u64::from(behind));
        self.block_address = start;
        self.block_length = u64::from(behind + length);
        // SAFETY: no more than the block.
        if behind != 0 && unsafe { memory.read_raw(start, into, self.filled()) } {
            return Some(u64::from(behind));
        }
        self.block_address = address;
        self.block_length = u64::from(length);
        // SAFETY: as above.
        if unsafe { memory.read_raw(address, into, self.filled()) } { Some(0) } else { None }
    }

    /// Bytes of the block. It is less than FRAME_BLOCK anyway; the mask, on what was read from memory, shows that to
    /// Linux 6.1's verifier, which forgets bounds of copies.
    #[inline(always)]
    fn filled(&self) -> u32 {
        afresh(&self.block_length) as u32 & (FRAME_BLOCK as u32 - 1)
    }

    /// The eight bytes at `offset` of the block. Offsets come from user space's tables and are
    /// multiples of eight; the mask makes that visible to the verifier.
    #[inline(always)]
    fn word(&self, offset: u64) -> u64 {
        let index = (offset as usize & (FRAME_BLOCK - 1)) / 8;
        // SAFETY: `index` is below FRAME_BLOCK / 8, the block is one word longer.
        unsafe { self.block.as_ptr().add(index).read() }
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

/// How often [`stretch`] may be called: skipped frames (one per entry from C) count against the
/// bound too, since it is what ends a cycle.
pub const MAX_STRETCHES: u32 = MAX_ROUNDS;

/// Walks the Python stack of the thread whose thread pointer this is, into `walk`, and hashes it
/// onto `walk.hash`. `bound` as in [`thread_state`]; `walk.tstate` is 0 or what the last walk of
/// the same thread left there.
///
/// The kernel side calls [`begin`], [`stretch`] and [`finish`] itself, because its verifier wants
/// long loops to be made by a helper.
pub fn walk<M: ReadMemory>(
    memory: &M,
    layout: &PyLayout,
    thread_pointer: u64,
    bound: u64,
    walk: &mut Walk,
) {
    if begin(memory, layout, thread_pointer, bound, walk) {
        for _ in 0..MAX_STRETCHES {
            if !stretch(memory, layout, walk) {
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
/// `thread_id`, which the thread pointer tells (glibc's `pthread_self`) as long as the state is this
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
    if memory.has_pages() && (at & (PAGE - 1)) + u64::from(span) + 8 <= PAGE {
        let page = walk.page_of(memory, at);
        if page != 0 {
            let at = page + (at & (PAGE - 1));
            let (head, thread_id) = (memory.load(at), memory.load(at + u64::from(span)));
            return if thread_id == layout.thread_of(thread_pointer) {
                frame_of(memory, layout, head, walk)
            } else {
                0
            };
        }
    }
    // SAFETY: the block is FRAME_BLOCK bytes long, more than twice FRAME_WINDOW and a word.
    if !unsafe { memory.read_raw(at, walk.block.as_mut_ptr().cast(), span + 8) } {
        return 0;
    }
    let (head, thread_id) = (walk.word(0), walk.word(u64::from(span)));
    if thread_id == layout.thread_of(thread_pointer) {
        frame_of(memory, layout, head, walk)
    } else {
        0
    }
}

/// The frame that runs, from what the thread state names: the frame itself, or a structure that
/// does (`_PyCFrame`, 3.11 and 3.12). 0 when there is none or it is unreadable.
#[inline(always)]
fn frame_of<M: ReadMemory>(memory: &M, layout: &PyLayout, head: u64, walk: &mut Walk) -> u64 {
    if layout.cframe_frame == ABSENT || head == 0 {
        return head;
    }
    let at = head.wrapping_add(u64::from(layout.cframe_frame));
    if memory.has_pages() && at & (PAGE - 1) <= PAGE - 8 {
        let page = walk.page_of(memory, at);
        if page != 0 {
            return memory.load(page + (at & (PAGE - 1)));
        }
    }
    memory.read_u64(at).unwrap_or(0)
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

/// Takes a stretch of frames: the next one, and those after it that come with it (they are in the
/// same page, or in what one read brought). `false` at the end.
#[inline(always)]
pub fn stretch<M: ReadMemory>(memory: &M, layout: &PyLayout, walk: &mut Walk) -> bool {
    if walk.next == 0 || walk.depth as usize >= MAX_FRAMES {
        return false;
    }
    if !walk.find(memory, layout, walk.next.wrapping_add(u64::from(layout.window_start))) {
        let nothing = walk.depth == 0;
        let outcome = if nothing { Outcome::Unreadable } else { Outcome::CutByUnreadableFrame };
        walk.outcome = outcome as u32;
        walk.next = 0;
        return false;
    }
    let length = u64::from(layout.window_length);
    if memory.has_pages() && afresh(&walk.direct) != 0 {
        for _ in 0..STRETCH {
            take(layout, walk, |walk, offset| memory.load(afresh(&walk.direct) + offset));
            let at = walk.next.wrapping_add(u64::from(layout.window_start));
            if !walk.in_page(at, length) {
                break;
            }
        }
    } else {
        for _ in 0..STRETCH {
            take(layout, walk, |walk, offset| walk.word(afresh(&walk.base) + offset));
            let at = walk.next.wrapping_add(u64::from(layout.window_start));
            if !walk.in_block(at, length) {
                break;
            }
        }
    }
    walk.next != 0
}

/// Reads from memory what the compiler may know already. The verifier knows nothing of values that
/// come from a map, so paths that differ in what they put there are one path to it from here on.
#[inline(always)]
#[must_use]
pub fn afresh<T: Copy>(place: &T) -> T {
    // SAFETY: a reference is valid for reads.
    unsafe { core::ptr::from_ref(place).read_volatile() }
}

/// Takes the frame that was found; `word` gives its eight bytes at a multiple of eight.
#[inline(always)]
fn take(layout: &PyLayout, walk: &mut Walk, word: impl Fn(&Walk, u64) -> u64) {
    let depth = afresh(&walk.depth);
    if depth as usize >= MAX_FRAMES {
        return;
    }
    walk.next = word(walk, u64::from(layout.back_at));
    let code = word(walk, u64::from(layout.code_at)) & layout.code_mask;
    let owner = match layout.owner_at {
        ABSENT => 0,
        at => (word(walk, u64::from(at & !7)) >> (8 * (at & 7))) as u32 & 0xff,
    };
    if owner >= layout.skip_owner_min || code == 0 {
        return;
    }
    let at = layout.instr_at;
    let instr = instruction(layout, word(walk, u64::from(at & !7)) >> (8 * (at & 7)), code);
    // Read once more, so that the mask stays: Linux 6.1's verifier forgets bounds of what was put by.
    let index = afresh(&walk.depth) as usize & (MAX_FRAMES - 1);
    // SAFETY: `index` is below MAX_FRAMES.
    unsafe {
        let slot = walk.frames.as_mut_ptr().add(index);
        slot.write(Frame { code, instr, owner });
    }
    walk.hash = mix(mix(walk.hash, code), u64::from(instr as u32));
    walk.depth = depth + 1;
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

/// Byte offset of a frame's instruction from its code's first one; `place` is what the frame says.
#[inline(always)]
fn instruction(layout: &PyLayout, place: u64, code: u64) -> i32 {
    let offset = if layout.flags & FLAG_INSTR_IS_INDEX != 0 {
        i64::from(place as i32) * i64::from(layout.instr_unit)
    } else {
        place.wrapping_sub(code.wrapping_add(u64::from(layout.instr_base))) as i64
    };
    if (-2..INSTR_LIMIT).contains(&offset) { offset as i32 } else { UNKNOWN_INSTR }
}
