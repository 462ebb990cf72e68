//! Stacks of threads: told by the thread's own descriptor, which glibc keeps at the stack's top.
//!
//! `struct pthread` begins with its own address, twice, and holds where its stack is and how large
//! (`nptl/descr.h`); the words are found by what they must be, since their places differ from
//! release to release. So the stacks of threads that have ended, which glibc keeps for the next
//! ones, are found as well; not on aarch64, where it does not begin with its address. musl's are told
//! by the thread pointer alone.

use std::ops::Range;

use memtrace_common::memory::ReadMemory;

use super::claims::Claims;
use super::picture::Kind;
use super::residence::Residence;
use crate::machine::{HERE, Machine};
use crate::python::TargetMemory;

/// Bytes below a stack's top in which the descriptor begins.
const DESCRIPTOR_REACH: u64 = 16 << 10;
/// Bytes of the descriptor that are searched.
const DESCRIPTOR: u64 = 4096;
/// Largest stack that is believed.
const LARGEST: u64 = 1 << 36;

/// Claims the stacks in unclaimed anonymous memory. `threads` are thread pointers.
pub(super) fn find(
    memory: &TargetMemory,
    mappings: &[Range<u64>],
    threads: &[u64],
    residence: &Residence,
    claims: &mut Claims,
) {
    let descriptors = threads.iter().copied();
    for stack in descriptors.filter_map(|thread| stack_of(memory, thread)) {
        claims.add_whole(stack, Kind::ThreadStacks, residence);
    }
    if HERE == Machine::Aarch64 {
        return;
    }
    for mapping in mappings {
        for gap in claims.gaps(mapping) {
            // One stack may follow another.
            let mut top = gap.end;
            while let Some(stack) = below(memory, top).filter(|it| it.end > gap.start) {
                let within = stack.start.max(gap.start)..stack.end.min(gap.end);
                if !claims.add_whole(within, Kind::ThreadStacks, residence) {
                    break;
                }
                top = stack.start;
                if top <= gap.start {
                    break;
                }
            }
        }
    }
}

/// The stack whose top is at `top`, if there is a descriptor there.
fn below(memory: &TargetMemory, top: u64) -> Option<Range<u64>> {
    let start = top.checked_sub(DESCRIPTOR_REACH)?;
    // From the top down: what is lower may be the thread's frames.
    let page = procfs::page_size();
    let pieces: Vec<u64> = (start..top).step_by(page as usize).collect();
    for piece in pieces.into_iter().rev() {
        let mut bytes = vec![0; page as usize];
        if memory.read_resident(piece, &mut bytes) == 0 {
            return None;
        }
        for (index, word) in bytes.chunks_exact(8).enumerate().step_by(2) {
            let at = piece + 8 * index as u64;
            if word != at.to_ne_bytes() {
                continue;
            }
            let stack = stack_of(memory, at).filter(|it| it.end == top);
            if stack.is_some() {
                return stack;
            }
        }
    }
    None
}

/// The stack of the thread whose descriptor is at `thread`.
fn stack_of(memory: &TargetMemory, thread: u64) -> Option<Range<u64>> {
    let word = |at: u64| memory.read_u64(thread.wrapping_add(at));
    // `tcb` and `self`.
    let names_itself = || word(0) == Some(thread) && word(16) == Some(thread);
    if thread == 0 || HERE == Machine::X86_64 && !names_itself() {
        return None;
    }
    let page = procfs::page_size();
    (0..DESCRIPTOR).step_by(8).map_while(|at| Some((word(at)?, word(at + 8)?))).find_map(
        |(start, size)| {
            let end = start.checked_add(size)?;
            let sound = start != 0
                && start.is_multiple_of(page)
                && size.is_multiple_of(page)
                && size <= LARGEST
                && (start..end).contains(&thread)
                && end - thread <= DESCRIPTOR_REACH;
            sound.then_some(start..end)
        },
    )
}
