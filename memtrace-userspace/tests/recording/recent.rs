//! The last windows, and everything before in sums.

use std::collections::BTreeMap;

use memtrace::history::Entry;
use memtrace::history::entry::{Counted, PlaceId, Ran, SpaceId, Window};
use memtrace::profile::Memory;
use memtrace::recording::Recent;
use memtrace::units::Nanos;

use super::build::Course;
use super::{read, recorded};

fn windows<'a>(entries: &'a [Entry]) -> Vec<&'a Window> {
    let window = |entry: &'a Entry| match entry {
        Entry::Window(window) => Some(window),
        _ => None,
    };
    entries.iter().filter_map(window).collect()
}

/// By process: net growth, events, losses, the last RSS and the highest.
type Sums = BTreeMap<SpaceId, (Memory, u64, u64, Memory, i64)>;

fn sums(entries: &[Entry]) -> Sums {
    let mut sums = Sums::new();
    for window in windows(entries) {
        let sum = sums.entry(window.space).or_insert((Memory::ZERO, 0, 0, Memory::ZERO, i64::MIN));
        sum.0 += window.changes.iter().map(|change| change.net()).sum();
        sum.1 += window.events;
        sum.2 += window.lost_events;
        sum.3 = window.rss;
        sum.4 = sum.4.max(window.peak.0);
    }
    sums
}

#[test]
fn the_last_windows_stay_as_they_were_and_the_sums_stay_true() {
    for seed in 1..=50 {
        let entries = Course::entries(seed, 100);
        let mut recent = Recent::new(10);
        entries.iter().cloned().for_each(|entry| recent.add(entry));
        let kept: Vec<_> = recent.into_entries().collect();
        let (all, of_kept) = (windows(&entries), windows(&kept));
        let processes = sums(&entries).len();
        assert!(of_kept.len() <= 10 + processes, "seed {seed}: {}", of_kept.len());
        assert_eq!(of_kept[of_kept.len() - 10..], all[all.len() - 10..], "seed {seed}");
        assert_eq!(sums(&kept), sums(&entries), "seed {seed}");
        // A recording takes it.
        assert_eq!(read(&recorded(&kept)).0, kept);
    }
}

#[test]
fn what_is_kept_does_not_grow_with_time() {
    let mut windows = windows(&Course::entries(3, 100)).into_iter().cloned().collect::<Vec<_>>();
    windows.iter_mut().for_each(|window| window.space = SpaceId(0));
    let pairs = windows.iter().flat_map(|window| &window.changes);
    let pairs: std::collections::BTreeSet<_> =
        pairs.map(|change| (change.stack, change.thread)).collect();
    let mut recent = Recent::new(5);
    for window in windows.iter().cycle().take(5000) {
        recent.add(Entry::Window(window.clone()));
    }
    let kept: Vec<_> = recent.into_entries().collect();
    assert_eq!(kept.len(), 6);
    assert!(matches!(&kept[0], Entry::Window(sum) if sum.changes.len() == pairs.len()));
}

#[test]
fn counts_of_one_process_become_one() {
    let ran = |at, counted, counts: &[(u32, u64)]| {
        let counts = counts.iter().map(|(place, count)| (PlaceId(*place), *count)).collect();
        Entry::Ran(Ran { space: SpaceId(0), at: Nanos(at), counted, counts })
    };
    let mut recent = Recent::new(5);
    for second in 1..=1000 {
        recent.add(ran(second, Counted::Functions, &[(1, 2), (second as u32 % 2, 3)]));
    }
    recent.add(ran(1001, Counted::Lines, &[(1, 7)]));
    let kept: Vec<_> = recent.into_entries().collect();
    let functions = ran(1000, Counted::Functions, &[(0, 1500), (1, 3500)]);
    assert_eq!(kept, [functions, ran(1001, Counted::Lines, &[(1, 7)])]);
}
