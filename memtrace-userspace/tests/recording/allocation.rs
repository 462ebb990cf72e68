//! How much a piece of code had allocated at its peak, by thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(bytes: isize) {
    // A thread that is ending has no counters any more.
    let _ = NOW.try_with(|now| {
        now.set(now.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
    });
}

// SAFETY: all work is the system allocator's; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most bytes that `run` had allocated at one time. zstd's own memory is its window's, which
/// the reader bounds; it isn't counted.
pub(crate) fn peak(run: impl FnOnce()) -> usize {
    let start = NOW.get();
    PEAK.set(start);
    run();
    (PEAK.get() - start).unsigned_abs()
}

#[test]
fn what_was_freed_again_counts_too() {
    let size = 3 << 20;
    let peak = peak(|| {
        let large: Vec<u8> = Vec::with_capacity(size);
        drop(std::hint::black_box(large));
        let small: Vec<u8> = Vec::with_capacity(10);
        drop(std::hint::black_box(small));
    });
    assert!((size..size + (1 << 16)).contains(&peak), "{peak}");
}
