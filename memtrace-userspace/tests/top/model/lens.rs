//! With the allocator lens there are two more figures, with rates as the others have.

use std::sync::Arc;

use memtrace::profile::{Allocated, Blocks, Lens, ProcessProfile, lines_of};
use memtrace::top::model::{Key, Row, Screen};
use memtrace::units::{Bytes, Nanos};

use super::word;
use crate::build::{mib, profile};
use crate::script::service;

fn blocks(count: u64, bytes: Bytes) -> Blocks {
    Blocks { count, bytes }
}

/// The service: each second :39 allocates 4 MiB and frees 3 of them, and so does the thread `gc`, which frees nothing.
fn counted(seconds: u64, frees_seen: bool) -> ProcessProfile {
    let mut process = service(seconds);
    let time = Nanos(seconds * 1_000_000_000);
    process.lens = Some(Lens { time, recorded: time, frees_seen, ..Lens::default() });
    let all = blocks(8 * seconds, mib(4.0 * seconds as f64));
    let freed = blocks(6 * seconds, mib(3.0 * seconds as f64));
    process.stacks[2].allocated = Allocated { all, freed, ..Allocated::default() };
    process.unattributed[0].allocated = Allocated { all, ..Allocated::default() };
    process.lines = lines_of(&process.stacks);
    process
}

fn shown(lens: Option<bool>) -> Screen {
    let mut screen = Screen::new(Vec::new());
    for seconds in 1..=10 {
        let process = match lens {
            Some(frees_seen) => counted(seconds, frees_seen),
            None => service(seconds),
        };
        let mut profile = profile(vec![process]);
        profile.duration = Nanos(seconds * 1_000_000_000);
        screen.take(Arc::new(profile));
    }
    screen
}

fn measure_after(screen: &mut Screen, presses: usize) -> &'static str {
    for _ in 0..presses {
        screen.press(Key::Char('g'));
    }
    screen.choice().measure.as_str()
}

fn row(screen: &Screen, name: &str) -> Row {
    screen.rows().rows.into_iter().find(|row| word(row) == name).unwrap()
}

#[test]
fn a_key_goes_on_to_them_only_where_the_lens_is() {
    let mut without = shown(None);
    assert_eq!(measure_after(&mut without, 2), "resident");
    assert_eq!(measure_after(&mut without, 1), "net");
    let mut with = shown(Some(true));
    assert_eq!(measure_after(&mut with, 3), "live");
    assert_eq!(measure_after(&mut with, 1), "allocated");
    assert_eq!(measure_after(&mut with, 1), "net");
}

#[test]
fn rows_have_what_is_live_and_what_was_allocated_a_minute() {
    let mut screen = shown(Some(true));
    measure_after(&mut screen, 3);
    let live = |name| (row(&screen, name).value, row(&screen, name).per_minute);
    assert_eq!(live("39"), (Some(mib(10.0)), Some(mib(60.0))));
    assert_eq!(live("native thread"), (Some(mib(40.0)), Some(mib(240.0))));
    assert_eq!(live("25"), (Some(mib(0.0)), Some(mib(0.0))));
    // The largest first.
    assert_eq!(word(&screen.rows().rows[0]), "native thread");
    measure_after(&mut screen, 1);
    assert_eq!(row(&screen, "39").value, Some(mib(40.0)));
}

#[test]
fn what_is_live_is_no_number_where_frees_were_not_seen() {
    let mut screen = shown(Some(false));
    measure_after(&mut screen, 3);
    assert!(screen.rows().rows.iter().all(|row| row.value.is_none() && row.per_minute.is_none()));
    measure_after(&mut screen, 1);
    assert_eq!(row(&screen, "39").value, Some(mib(40.0)));
}
