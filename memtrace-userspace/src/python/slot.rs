//! Slot discovery: where each thread keeps its `PyThreadState*`, as seen from its thread pointer.
//!
//! The answer is found, not assumed: a place counts when it holds a listed thread state of
//! *every* listed thread, and it must be the place of `autoTSSkey` where that key is known.
//! Facts, libc by libc: `docs/cpython.md`, section 2.

use std::collections::BTreeMap;

use memtrace_common::layout::{PyLayout, Slot};
use memtrace_common::memory::ReadMemory;

use super::runtime::ThreadState;
use super::thread_area::ThreadArea;

/// glibc's thread-specific data: blocks of 32 entries {sequence, value}.
const GLIBC_BLOCK: u32 = 32;
const GLIBC_KEYS: u32 = 1024;
/// musl's: a pointer to 128 pointers.
const MUSL_KEYS: u32 = 128;
/// A place for a thread's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// glibc's value of a pthread key.
    Glibc(u32),
    /// musl's.
    Musl(u32),
    /// A thread-local variable so many bytes from the thread pointer (negative on x86-64).
    Static(i64),
}

/// What is known beforehand of the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// It is this pthread key.
    Key(u32),
    /// It is a pthread key.
    AnyKey,
    /// It is this thread-local variable (its offset was decoded from the code that reads it).
    Variable(i64),
    /// It is a thread-local variable.
    AnyVariable,
}

impl Place {
    /// As the walk wants it: form, first and second offset.
    #[must_use]
    pub fn form(self, area: &ThreadArea) -> (Slot, i64, i64) {
        match self {
            Self::Glibc(key) if key < GLIBC_BLOCK => {
                (Slot::Direct, area.glibc_first + 16 * i64::from(key) + 8, 0)
            }
            Self::Glibc(key) => (
                Slot::TwoLevel,
                area.glibc_second + 8 * i64::from(key / GLIBC_BLOCK),
                16 * i64::from(key % GLIBC_BLOCK) + 8,
            ),
            Self::Musl(key) => (Slot::TwoLevel, area.musl_tsd, 8 * i64::from(key)),
            Self::Static(offset) => (Slot::Direct, offset, 0),
        }
    }

    /// Puts it into a layout.
    pub fn put(self, area: &ThreadArea, layout: &mut PyLayout) {
        let (slot, first, second) = self.form(area);
        (layout.slot, layout.slot_first, layout.slot_second) = (slot as u32, first, second);
    }

    /// What the place holds for the thread with this `thread_id`.
    fn value(self, memory: &impl ReadMemory, area: &ThreadArea, thread: u64) -> Option<u64> {
        let (slot, first, second) = self.form(area);
        let at = area.pointer(thread).wrapping_add_signed(first);
        match slot {
            Slot::TwoLevel => {
                let table = memory.read_u64(at).filter(|&table| table != 0)?;
                memory.read_u64(table.wrapping_add_signed(second))
            }
            _ => memory.read_u64(at),
        }
    }
}

/// Thread states by thread. More than one of a thread: sub-interpreters, and up to 3.11 a new
/// thread's that still carries its creator's id.
pub(super) type ByThread = BTreeMap<u64, Vec<u64>>;

/// Threads that exist. A thread state without thread (not begun, just ended) says nothing about
/// places.
pub(super) fn by_thread(
    memory: &impl ReadMemory,
    area: &ThreadArea,
    threads: &[ThreadState],
) -> ByThread {
    let mut by_thread = ByThread::new();
    for thread in threads {
        if thread.thread_id != 0 && area.is_thread(memory, thread.thread_id) {
            by_thread.entry(thread.thread_id).or_default().push(thread.address);
        }
    }
    by_thread
}

/// The place that holds a state of every one of these threads (nothing for threads that have not
/// begun, where the place is known beforehand). Of several pthread keys the
/// lowest (extensions keep copies in keys of their own, made later); of several thread-local
/// variables none, unless one is known.
#[must_use]
pub fn find(
    memory: &impl ReadMemory,
    area: &ThreadArea,
    threads: &[ThreadState],
    hint: Hint,
) -> Option<Place> {
    let threads = by_thread(memory, area, threads);
    if threads.is_empty() {
        return None;
    }
    let holds = |place: &Place| {
        threads.iter().all(|(&thread, states)| {
            place.value(memory, area, thread).is_some_and(|value| states.contains(&value))
        })
    };
    // A place that is known beforehand needs to be right for one thread and wrong for none: up to
    // 3.11 a new thread has its id in the list, and nothing in its slot, until it first gets the
    // GIL (`thread_run` in `Modules/_threadmodule.c`), which may take many milliseconds.
    let fits = |place: &Place| {
        let mut values = threads.iter().map(|(&thread, states)| {
            place.value(memory, area, thread).map(|value| (value, states.contains(&value)))
        });
        values.clone().flatten().any(|(_, listed)| listed)
            && values.all(|value| value.is_none_or(|(value, listed)| listed || value == 0))
    };
    match hint {
        Hint::Key(key) => [Place::Glibc(key), Place::Musl(key)].into_iter().find(fits),
        Hint::AnyKey => {
            (0..GLIBC_KEYS).map(Place::Glibc).chain((0..MUSL_KEYS).map(Place::Musl)).find(holds)
        }
        Hint::Variable(offset) => Some(Place::Static(offset)).filter(fits),
        Hint::AnyVariable => {
            let mut found = area.variables.clone().step_by(8).map(Place::Static).filter(holds);
            found.next().filter(|_| found.next().is_none())
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::HashMap;

    const AREA: ThreadArea = ThreadArea::X86_64;

    /// Words by address; nothing else can be read.
    #[derive(Default)]
    pub(in super::super) struct Words(pub(in super::super) HashMap<u64, u64>);

    impl ReadMemory for Words {
        unsafe fn read_raw(&self, address: u64, into: *mut u8, length: u32) -> bool {
            let Some(word) = self.0.get(&address).filter(|_| length == 8) else { return false };
            // SAFETY: the caller promises `length` bytes.
            unsafe { into.cast::<u64>().write_unaligned(*word) };
            true
        }
    }

    pub(in super::super) const MAIN: u64 = 0x7000_0000;
    pub(in super::super) const OTHER: u64 = 0x7100_0000;

    fn state(thread_id: u64, address: u64) -> ThreadState {
        ThreadState { address, thread_id, native_id: None, interpreter: 0x10 }
    }

    pub(in super::super) fn two_threads() -> (Words, Vec<ThreadState>) {
        let words = Words(HashMap::from([(MAIN, MAIN), (OTHER, OTHER)]));
        (words, vec![state(OTHER, 0xb00), state(MAIN, 0xa00)])
    }

    fn put(words: &mut Words, place: Place, thread: u64, value: u64) {
        let (slot, first, second) = place.form(&AREA);
        let at = thread.wrapping_add_signed(first);
        if slot == Slot::TwoLevel {
            words.0.insert(at, thread + 0x8000);
            words.0.insert((thread + 0x8000).wrapping_add_signed(second), value);
        } else {
            words.0.insert(at, value);
        }
    }

    #[test]
    fn a_place_counts_only_when_it_holds_every_thread() {
        let (mut words, threads) = two_threads();
        put(&mut words, Place::Glibc(0), MAIN, 0xa00);
        put(&mut words, Place::Glibc(0), OTHER, 0xbad);
        for (thread, value) in [(MAIN, 0xa00), (OTHER, 0xb00)] {
            put(&mut words, Place::Glibc(3), thread, value);
        }
        assert_eq!(find(&words, &AREA, &threads, Hint::AnyKey), Some(Place::Glibc(3)));
        assert_eq!(find(&words, &AREA, &threads, Hint::Key(3)), Some(Place::Glibc(3)));
        assert_eq!(find(&words, &AREA, &threads, Hint::Key(0)), None);
        assert_eq!(Place::Glibc(3).form(&AREA), (Slot::Direct, 0x310 + 48 + 8, 0));
    }

    #[test]
    fn high_keys_and_musl_are_found_through_their_second_level() {
        for place in [Place::Glibc(40), Place::Musl(2)] {
            let (mut words, threads) = two_threads();
            put(&mut words, place, MAIN, 0xa00);
            put(&mut words, place, OTHER, 0xb00);
            assert_eq!(find(&words, &AREA, &threads, Hint::AnyKey), Some(place));
        }
        assert_eq!(Place::Glibc(40).form(&AREA), (Slot::TwoLevel, 0x518, 136));
        assert_eq!(Place::Musl(2).form(&AREA), (Slot::TwoLevel, 0x80, 16));
    }

    #[test]
    fn a_thread_state_without_thread_spoils_nothing() {
        let (mut words, mut threads) = two_threads();
        threads.extend([state(0, 0xc00), state(0x7200_0000, 0xd00)]);
        put(&mut words, Place::Glibc(0), MAIN, 0xa00);
        put(&mut words, Place::Glibc(0), OTHER, 0xb00);
        assert_eq!(find(&words, &AREA, &threads, Hint::Key(0)), Some(Place::Glibc(0)));
        assert_eq!(find(&words, &AREA, &[state(0, 0xc00)], Hint::AnyKey), None);
    }

    #[test]
    fn a_thread_that_waits_for_its_first_gil_is_passed_over_where_the_key_is_known() {
        let (mut words, threads) = two_threads();
        put(&mut words, Place::Glibc(0), MAIN, 0xa00);
        put(&mut words, Place::Glibc(0), OTHER, 0);
        assert_eq!(find(&words, &AREA, &threads, Hint::Key(0)), Some(Place::Glibc(0)));
        assert_eq!(find(&words, &AREA, &threads, Hint::AnyKey), None);
        put(&mut words, Place::Glibc(0), MAIN, 0);
        assert_eq!(find(&words, &AREA, &threads, Hint::Key(0)), None);
    }

    #[test]
    fn several_states_of_one_thread_are_all_right() {
        let (mut words, mut threads) = two_threads();
        threads.push(state(MAIN, 0xe00));
        put(&mut words, Place::Glibc(0), MAIN, 0xa00);
        put(&mut words, Place::Glibc(0), OTHER, 0xb00);
        assert_eq!(find(&words, &AREA, &threads, Hint::Key(0)), Some(Place::Glibc(0)));
    }

    #[test]
    fn of_two_variables_that_fit_none_is_taken_unless_one_is_known() {
        let (mut words, threads) = two_threads();
        for offset in [-0x28, -0x20] {
            put(&mut words, Place::Static(offset), MAIN, 0xa00);
            put(&mut words, Place::Static(offset), OTHER, 0xb00);
        }
        assert_eq!(find(&words, &AREA, &threads, Hint::AnyVariable), None);
        assert_eq!(
            find(&words, &AREA, &threads, Hint::Variable(-0x28)),
            Some(Place::Static(-0x28))
        );
        put(&mut words, Place::Static(-0x20), OTHER, 0);
        assert_eq!(find(&words, &AREA, &threads, Hint::AnyVariable), Some(Place::Static(-0x28)));
    }
}
