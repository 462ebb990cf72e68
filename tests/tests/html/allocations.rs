//! What the allocator lens counted has a part of its own, which is not there without the lens.

use harness::browser::{Look, Page};
use memtrace::profile::{Allocated, Blocks, Lens, ProcessProfile};
use memtrace::units::Nanos;

use super::{Report, build, cells, server, with_page};
use memtrace::report::SourceTexts;

fn blocks(count: u64, mib: f64) -> Blocks {
    Blocks { count, bytes: build::mib(mib) }
}

/// The server: one line has leaked, another one frees at once, and a thread without Python allocates.
fn counted(lens: Lens) -> Report {
    let mut process: ProcessProfile = build::server();
    process.lens = Some(lens);
    process.lines[0].self_allocated = Allocated {
        all: blocks(50, 40.0),
        freed: blocks(10, 8.0),
        ages: [(5000, blocks(40, 32.0))].into(),
        ..Allocated::default()
    };
    process.lines[2].self_allocated = Allocated {
        all: blocks(1000, 125.5),
        freed: blocks(1000, 125.5),
        temporary: blocks(990, 120.0),
        ..Allocated::default()
    };
    process.unattributed[1].allocated = Allocated { all: blocks(3, 1.5), ..Allocated::default() };
    Report::of(&build::profile(vec![process]), &SourceTexts::new())
}

fn exact() -> Lens {
    let time = Nanos(60_000_000_000);
    Lens { time, recorded: time, windows: 60, frees_seen: true, ..Lens::default() }
}

fn rows(page: &mut Page<'_>) -> Vec<Vec<String>> {
    cells(page, "#allocations-table tbody tr")
}

/// One column's texts.
fn column(page: &mut Page<'_>, number: usize) -> Vec<String> {
    rows(page).iter().map(|row| row[number].clone()).collect()
}

#[test]
fn lines_are_there_with_what_they_allocated_and_what_is_live() {
    with_page(&counted(exact()), Look::DESK, |page| {
        let found = rows(page);
        let figures: Vec<&[String]> = found.iter().map(|row| &row[..6]).collect();
        assert_eq!(
            figures,
            [
                ["32.000", "40", "5 s", "40.000", "50", "0"],
                ["1.500", "3", "-", "1.500", "3", "0"],
                ["0.000", "0", "-", "125.500", "1000", "990"],
            ]
        );
        assert!(found[0][6].ends_with("app.py:8"), "{found:?}");
        assert_eq!(
            (found[1][6].as_str(), found[2][7].as_str()),
            ("[native thread: gc]", "JSONDecoder.raw_decode")
        );

        page.click("#allocations-table [data-sort=temporary]").unwrap();
        assert_eq!(column(page, 5), ["990", "0", "0"]);
        page.click("#allocations-table [data-sort=allocated]").unwrap();
        assert_eq!(column(page, 3), ["125.500", "40.000", "1.500"]);
    });
}

#[test]
fn what_is_not_known_is_a_dash() {
    let lens = Lens { recorded: Nanos(1_000_000_000), frees_seen: false, ..exact() };
    with_page(&counted(lens), Look::DESK, |page| {
        // Most bytes first: nobody knows what is live.
        assert_eq!(column(page, 3), ["125.500", "40.000", "1.500"]);
        for row in rows(page) {
            assert_eq!(row[..3], ["-", "-", "-"], "{row:?}");
        }
    });
}

#[test]
fn without_the_lens_there_is_no_such_part() {
    let is_shown = "['allocations', 'allocations-link'].map((id) => document.getElementById(id).checkVisibility())";
    with_page(&server(), Look::DESK, |page| {
        assert_eq!(page.ask(is_shown).unwrap(), serde_json::json!([false, false]));
    });
    with_page(&counted(exact()), Look::DESK, |page| {
        assert_eq!(page.ask(is_shown).unwrap(), serde_json::json!([true, true]));
    });
}
