//! Growth a minute and growth by window.

use std::sync::Arc;

use memtrace::profile::{Memory, ProcessProfile, Profile, lines_of};
use memtrace::top::model::recent::WINDOWS;
use memtrace::top::model::{Life, Measure, Recent, Scope, Subject};
use memtrace::units::{Bytes, Nanos};

use crate::build::{line, memory, mib, process, profile, stack};

const OWN: (Scope, Measure) = (Scope::Own, Measure::Net);

/// One process whose line 1 has grown so many MiB, after so many seconds.
fn grown(seconds: f64, size: f64) -> Profile {
    let own = line("/srv/app.py", "f", 1, 1, Memory::ZERO);
    let stacks = vec![stack(0, &[&own], memory(size, 0.0, 0.0))];
    let process = ProcessProfile {
        after: memory(8.0 + size, 0.0, 0.0),
        lines: lines_of(&stacks),
        stacks,
        ..process(1, &["python"], memory(8.0, 0.0, 0.0))
    };
    at(seconds, vec![process])
}

fn at(seconds: f64, processes: Vec<ProcessProfile>) -> Profile {
    Profile { duration: Nanos((seconds * 1e9) as u64), ..profile(processes) }
}

fn subject() -> Subject {
    Subject::Line(Arc::clone(&line("/srv/app.py", "f", 1, 1, Memory::ZERO).place))
}

const LIFE: Life = Life { pid: 1, began: Nanos(0) };

fn rate(recent: &Recent, span: usize) -> f64 {
    recent.per_minute(LIFE, &subject(), OWN.0, OWN.1, span).mib()
}

fn growth(recent: &Recent, cells: usize) -> Vec<Option<f64>> {
    let growth = recent.growth(LIFE, &subject(), OWN.0, OWN.1, cells);
    growth.into_iter().map(|bytes| bytes.map(Bytes::mib)).collect()
}

#[test]
fn a_rate_is_growth_over_the_time_of_the_last_windows() {
    let mut recent = Recent::default();
    // 1 MiB a second for 20 s, then nothing for 5 s.
    for second in 1..=25 {
        recent.take(&grown(f64::from(second), f64::from(second.min(20))));
    }
    // 5 MiB in 10 s; 20 MiB in all the 25 s that there are; nothing in 5 s.
    assert_eq!(rate(&recent, 10), 30.0);
    assert_eq!(rate(&recent, 60), 48.0);
    assert_eq!(rate(&recent, 5), 0.0);
    assert_eq!(recent.rss_per_minute(LIFE, 10).mib(), 30.0);
    assert_eq!(recent.covered(10), Nanos(10_000_000_000));
    assert_eq!(recent.covered(60), Nanos(25_000_000_000));
}

#[test]
fn windows_need_not_be_equally_long() {
    let mut recent = Recent::default();
    for (end, size) in [(1.0, 1.0), (4.0, 4.0), (4.5, 5.0)] {
        recent.take(&grown(end, size));
    }
    // The last two windows: 4 MiB in 3.5 s; the last: 1 MiB in half a second.
    assert!((rate(&recent, 2) - 60.0 * 4.0 / 3.5).abs() < 1e-4);
    assert_eq!(rate(&recent, 1), 120.0);
    assert_eq!(growth(&recent, 4), [None, Some(1.0), Some(3.0), Some(1.0)]);
}

#[test]
fn a_line_that_shrinks_has_a_negative_rate() {
    let mut recent = Recent::default();
    for (end, size) in [(1.0, 8.0), (2.0, 8.0), (3.0, 2.0)] {
        recent.take(&grown(end, size));
    }
    assert_eq!(rate(&recent, 1), -360.0);
    assert_eq!(growth(&recent, 3), [Some(8.0), Some(0.0), Some(-6.0)]);
}

#[test]
fn only_the_last_windows_are_remembered() {
    let mut recent = Recent::default();
    for second in 1..=200 {
        recent.take(&grown(f64::from(second), f64::from(second)));
    }
    let growth = growth(&recent, 2 * WINDOWS);
    assert!(growth[..WINDOWS].iter().all(Option::is_none));
    assert!(growth[WINDOWS..].iter().all(|bytes| *bytes == Some(1.0)));
    assert_eq!(recent.covered(1000), Nanos(WINDOWS as u64 * 1_000_000_000));
    assert_eq!(rate(&recent, 1000), 60.0);
}

#[test]
fn a_profile_without_time_since_the_last_belongs_to_its_window() {
    let mut recent = Recent::default();
    recent.take(&grown(0.0, 0.0));
    recent.take(&grown(1.0, 1.0));
    recent.take(&grown(1.0, 3.0));
    recent.take(&grown(2.0, 3.0));
    assert_eq!(growth(&recent, 3)[1..], [Some(3.0), Some(0.0)]);
    assert_eq!(rate(&recent, 2), 90.0);
    assert_eq!(recent.rss_growth(LIFE, 2), [Some(mib(3.0)), Some(mib(0.0))]);
}

#[test]
fn a_process_that_came_late_is_measured_from_its_beginning() {
    let mut recent = Recent::default();
    for second in 1..=10 {
        recent.take(&at(f64::from(second), Vec::new()));
    }
    // It began at 10 s and grows 1 MiB in the 2 s since.
    let late = |end: f64, size: f64| {
        let mut profile = grown(end, size);
        profile.processes[0].began = Nanos(10_000_000_000);
        profile
    };
    recent.take(&late(11.0, 0.5));
    recent.take(&late(12.0, 1.0));
    let life = Life { pid: 1, began: Nanos(10_000_000_000) };
    assert_eq!(recent.per_minute(life, &subject(), OWN.0, OWN.1, 10).mib(), 30.0);
    assert_eq!(recent.rss_per_minute(life, 10).mib(), 30.0);
    let growth = recent.growth(life, &subject(), OWN.0, OWN.1, 3);
    assert_eq!(growth, [None, Some(mib(0.5)), Some(mib(0.5))]);
}

#[test]
fn a_reused_pid_inherits_nothing() {
    let mut recent = Recent::default();
    recent.take(&grown(1.0, 100.0));
    let mut next = grown(2.0, 1.0);
    next.processes[0].began = Nanos(1_500_000_000);
    recent.take(&next);
    let life = Life { pid: 1, began: Nanos(1_500_000_000) };
    // 1 MiB in half a second.
    assert_eq!(recent.per_minute(life, &subject(), OWN.0, OWN.1, 10).mib(), 120.0);
    assert_eq!(recent.now(LIFE, &subject()), memtrace::top::model::totals::Totals::default());
}

#[test]
fn cost_is_a_share_of_one_cpu_over_the_last_windows() {
    let mut recent = Recent::default();
    for second in 1..=20_u64 {
        let mut profile = grown(second as f64, 0.0);
        // Expensive for ten seconds, then 20 and 5 ms a second.
        let late = second.saturating_sub(10);
        profile.processes[0].overhead.probe =
            Nanos(500_000_000 * second.min(10) + 20_000_000 * late);
        profile.processes[0].overhead.userspace_cpu = Nanos(5_000_000 * second);
        recent.take(&profile);
    }
    let cost = recent.cost(LIFE, 10);
    assert!((cost.probe - 0.02).abs() < 1e-9 && (cost.userspace - 0.005).abs() < 1e-9, "{cost:?}");
}
