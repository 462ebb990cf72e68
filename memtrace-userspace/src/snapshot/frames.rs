//! The memory that Python frames are in: from 3.11 on, pieces with mappings of their own.
//!
//! Each thread state leads to its newest piece, each piece to the one before
//! (`struct _stack_chunk` in `Include/internal/pycore_pystate.h`). Before 3.11 frames are objects.

use memtrace_common::memory::ReadMemory;

use super::claims::Claims;
use super::layout::Layout;
use super::picture::Kind;
use super::residence::Residence;
use crate::python::TargetMemory;

/// Pieces of one thread that are followed: recursion 10^7 deep.
const PIECES_LIMIT: usize = 1 << 16;
/// From `datastack_chunk`, behind `datastack_top` and `datastack_limit`: `datastack_cached_chunk`,
/// which late patch releases of 3.13 and newer have.
const CACHED: u64 = 24;
/// Largest piece that is believed.
const LARGEST: u64 = 1 << 30;

/// Claims the pieces of these thread states.
pub(super) fn claim(
    memory: &TargetMemory,
    layout: &Layout,
    threads: &[u64],
    residence: &Residence,
    claims: &mut Claims,
) {
    let Some(offset) = layout.thread_state.datastack_chunk else { return };
    let page = procfs::page_size();
    for thread in threads {
        // The list of pieces; and, where there is one, the piece that is kept for the next call.
        for first in [offset, offset + CACHED] {
            let mut at = memory.read_u64(thread.wrapping_add(first)).unwrap_or(0);
            for _ in 0..PIECES_LIMIT {
                let size = memory.read_u64(at.wrapping_add(8)).unwrap_or(0);
                let sound = at != 0
                    && at.is_multiple_of(page)
                    && size.is_multiple_of(page)
                    && (page..=LARGEST).contains(&size);
                let range = at..at.saturating_add(size);
                if !sound || !claims.add_whole(range, Kind::PythonFrames, residence) {
                    break;
                }
                at = memory.read_u64(at).unwrap_or(0);
            }
        }
    }
}
