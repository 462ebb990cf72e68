//! What is kept, what is let go of, and that nothing is lost by it.

use std::time::SystemTime;

use super::*;
use crate::history::History;
use crate::history::entry::{Function, FunctionId, PlaceId, PlaceName, StackName, TextId};
use crate::profile::{Ending, Reason};
use crate::units::Bytes;

const SECOND: u64 = 1_000_000_000;

fn head() -> Head {
    Head { started_at: SystemTime::UNIX_EPOCH, kernel: "6.18.0".to_owned(), exact: true }
}

fn store(seconds: u64, bytes: usize) -> Store {
    Store::new(head(), Bounds { time: Duration::from_secs(seconds), bytes })
}

fn anon(bytes: i64) -> Memory {
    Memory { anon: Bytes(bytes), ..Memory::ZERO }
}

/// One line, one row without lines; a thread of a process is named with its space.
fn names() -> Entry {
    let place = PlaceName { function: FunctionId(0), line: 3 };
    let lines = StackName::Lines { frames: vec![PlaceId(0)], truncated: false };
    let row = StackName::Unattributed { reason: Reason::NativeThread, name: TextId(2) };
    Entry::Names(Names {
        texts: ["app.py", "work", "python"].map(ToOwned::to_owned).to_vec(),
        functions: vec![Function { file: TextId(0), name: TextId(1), first_line: 1, last_line: 5 }],
        places: vec![place],
        stacks: vec![lines, row],
        ..Names::default()
    })
}

fn thread(space: u32) -> Entry {
    let thread = ThreadName { space: SpaceId(space), tid: 100 + space, name: TextId(2) };
    Entry::Names(Names { threads: vec![thread], ..Names::default() })
}

fn began(space: u32, second: u64, before: i64) -> Entry {
    Entry::Began(Began {
        space: SpaceId(space),
        at: Nanos(second * SECOND),
        pid: 100 + space,
        parent: None,
        before: anon(before),
        command: vec!["app".to_owned()],
    })
}

/// A window in which the one line grew by so much.
fn window(space: u32, thread: u32, second: u64, grown: i64, rss: i64) -> Entry {
    let change =
        Change { grown: anon(grown), events: 1, ..Change::none(StackId(0), ThreadId(thread)) };
    Entry::Window(Window {
        space: SpaceId(space),
        at: Nanos(second * SECOND),
        rss: anon(rss),
        peak: Bytes(rss),
        events: 1,
        lost_events: 0,
        lost: Bytes::ZERO,
        probe: Nanos(10),
        userspace_cpu: Nanos(20),
        changes: vec![change],
    })
}

fn ended(space: u32, second: u64) -> Entry {
    let (at, ending) = (Nanos(second * SECOND), Ending::Exited);
    Entry::Ended(Ended { space: SpaceId(space), at, ending, present: Vec::new() })
}

fn all(_: SpaceId) -> bool {
    true
}

#[test]
fn what_is_no_longer_kept_is_still_known_to_be_held() {
    let mut store = store(10, 1 << 20);
    store.add(Nanos(0), vec![names(), thread(1), began(1, 0, 1000)]);
    for second in 1..=60 {
        let rss = 1000 + 4096 * second as i64;
        store.add(Nanos(second * SECOND), vec![window(1, 0, second, 4096, rss)]);
    }
    let kept = store.kept();
    assert!(kept.slots.len() <= 12, "{}", kept.slots.len());
    assert_eq!(store.cut_short(), 0);
    let profile = kept.parts(&(Nanos(55 * SECOND)..=Nanos(60 * SECOND)), &all).profile();
    let process = &profile.processes[0];
    assert_eq!(process.law_gap(), Memory::ZERO);
    assert_eq!((process.before, process.after), (anon(1000 + 4096 * 55), anon(1000 + 4096 * 60)));
    assert_eq!(process.lines[0].self_grown, Bytes(4096 * 5));
    assert_eq!(process.lines[0].self_resident, Bytes(4096 * 60));
    // Asked for more than is kept: as much as is kept, and the law holds.
    let profile = kept.parts(&(Nanos(0)..=Nanos(u64::MAX)), &all).profile();
    let process = &profile.processes[0];
    assert_eq!(process.law_gap(), Memory::ZERO);
    assert_eq!(process.lines[0].self_resident, Bytes(4096 * 60));
}

/// A process that is there all the time, one that ends before most is forgotten, and one that begins later.
#[test]
fn processes_one_by_one_are_those_of_one_history() {
    let whole = |kept: &Kept, range: RangeInclusive<Nanos>| {
        let mut history = History::with_tables(head(), range, Arc::clone(&kept.tables));
        for base in kept.base.values() {
            history.add(&Entry::Began(base.began.clone())).unwrap();
            if let Some(sum) = &base.sum {
                history.add(&Entry::Window(sum.clone())).unwrap();
            }
        }
        let entries = kept.slots.iter().flat_map(|slot| &slot.entries);
        entries.for_each(|entry| history.add(entry).unwrap());
        history.profile()
    };
    let mut store = store(10, 1 << 20);
    store.add(
        Nanos(0),
        vec![names(), thread(1), began(1, 0, 1000), began(2, 0, 70), began(3, 0, 1)],
    );
    for second in 1..=20 {
        let mut entries = vec![window(1, 0, second, 4096, 1000 + 4096 * second as i64)];
        match second {
            5 => entries.push(ended(3, 5)),
            12 => entries.extend([window(2, 0, 12, 8192, 70 + 8192), ended(2, 12)]),
            16 => entries.extend([began(4, 16, 0), window(4, 0, 16, 4096, 4096)]),
            _ => {}
        }
        store.add(Nanos(second * SECOND), entries);
    }
    let kept = store.kept();
    let seconds = |from: u64, to: u64| Nanos(from * SECOND)..=Nanos(to * SECOND);
    for (range, pids) in [
        (seconds(10, 20), &[101, 102, 104][..]),
        (seconds(11, 13), &[101, 102]),
        (seconds(13, 15), &[101]),
        (seconds(13, 100), &[101, 104]),
    ] {
        let parts = kept.parts(&range, &all);
        let profile = parts.profile();
        assert_eq!(profile, whole(&kept, range.clone()), "{range:?}");
        let found: Vec<_> = parts.processes().map(|(space, it)| (space.0 + 100, it.pid)).collect();
        assert_eq!(found, pids.iter().map(|pid| (*pid, *pid)).collect::<Vec<_>>(), "{range:?}");
    }
    let some = kept.parts(&seconds(10, 20), &|space| space == SpaceId(4));
    assert_eq!(some.profile().processes.len(), 1);
}

#[test]
fn a_range_as_a_trace_of_its_own_begins_with_what_was_resident_then() {
    let mut store = store(100, 1 << 20);
    store.add(Nanos(0), vec![names(), thread(1), began(1, 0, 1000)]);
    for second in 1..=9 {
        let entry = window(1, 0, second, 4096, 1000 + 4096 * second as i64);
        store.add(Nanos(second * SECOND), vec![entry]);
    }
    let kept = store.kept();
    let (head, entries) = kept.entries(&(Nanos(3 * SECOND)..=Nanos(5 * SECOND)), &all);
    assert_eq!(head.started_at, SystemTime::UNIX_EPOCH + Duration::from_secs(3));
    let mut history = History::with_tables(head, crate::history::WHOLE, Arc::clone(&kept.tables));
    entries.iter().for_each(|entry| history.add(entry).unwrap());
    let profile = history.profile();
    let process = &profile.processes[0];
    assert_eq!((process.before, process.after), (anon(1000 + 4096 * 3), anon(1000 + 4096 * 5)));
    assert_eq!((process.law_gap(), profile.duration), (Memory::ZERO, Nanos(2 * SECOND)));
}

#[test]
fn a_day_of_windows_and_of_short_lived_processes_takes_no_more_than_an_hour() {
    let mut store = store(3600, 16 << 20);
    store.add(Nanos(0), vec![names(), thread(0), began(0, 0, 0)]);
    let mut most = 0;
    for (threads, second) in (1..).zip((10..24 * 3600).step_by(10)) {
        // Long-lived, and a new process in each window that grows and ends.
        let space = second as u32;
        let brief = [
            thread(space),
            began(space, second, 0),
            window(space, threads, second, 8192, 8192),
            ended(space, second),
        ];
        let long = window(0, 0, second, 4096, 4096 * (second / 10) as i64);
        let mut entries = vec![long];
        entries.extend(brief);
        let (_, forgotten) = store.add(Nanos(second * SECOND), entries);
        assert!(forgotten.len() <= 2);
        most = most.max(store.bytes());
    }
    let kept = store.kept();
    assert!(most < 1 << 20, "{most} bytes");
    assert_eq!(kept.base.len(), 1);
    assert_eq!(store.threads.by_name.len(), 1);
    assert!(store.threads.spaces.len() <= 1, "{}", store.threads.spaces.len());
    let profile = kept.parts(&crate::history::WHOLE, &all).profile();
    let of_line: i64 = profile.processes.iter().map(|it| it.lines[0].self_resident.0).sum();
    let brief = profile.processes.len() as i64 - 1;
    assert_eq!(of_line, 4096 * (24 * 360 - 1) + 8192 * brief);
}

#[test]
fn too_little_memory_keeps_less_and_says_so() {
    let mut store = store(3600, 4000);
    store.add(Nanos(0), vec![names(), thread(1), began(1, 0, 0)]);
    for second in 1..=100 {
        let entry = window(1, 0, second, 4096, 4096 * second as i64);
        store.add(Nanos(second * SECOND), vec![entry]);
        assert!(store.bytes() <= 4000, "{}", store.bytes());
    }
    assert!(store.cut_short() > 80, "{}", store.cut_short());
    let process = &store.kept().parts(&crate::history::WHOLE, &all).profile().processes[0];
    assert_eq!((process.after, process.law_gap()), (anon(409_600), Memory::ZERO));
}

#[test]
fn threads_of_one_name_are_one_and_idle_windows_are_not_kept() {
    let mut store = store(3600, 1 << 20);
    store.add(Nanos(0), vec![names(), thread(1), thread(1), began(1, 0, 0)]);
    let mut both = window(1, 0, 1, 4096, 8192);
    if let (Entry::Window(both), Entry::Window(other)) = (&mut both, window(1, 1, 1, 4096, 8192)) {
        both.changes.extend(other.changes);
    }
    let mut idle = window(1, 0, 2, 0, 8192);
    if let Entry::Window(idle) = &mut idle {
        idle.changes.clear();
        idle.events = 0;
    }
    let (slot, _) = store.add(Nanos(SECOND), vec![both]);
    let Entry::Window(kept) = &slot.entries[0] else { panic!("{slot:?}") };
    assert_eq!((kept.changes.len(), kept.changes[0].grown), (1, anon(8192)));
    let (slot, _) = store.add(Nanos(2 * SECOND), vec![idle]);
    assert_eq!(slot.entries, []);
}
