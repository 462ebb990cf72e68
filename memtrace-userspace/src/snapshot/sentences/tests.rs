//! What is said about hand-made figures, whose shares can be worked out in the head.

use super::super::picture::{Block, Fill, Heap, HeapArena, Row, SCHEMA};
use super::*;
use crate::units::Nanos;

const MIB: i64 = 1 << 20;

/// A process of these rows, in MiB, and nothing else.
fn process(rows: &[(Kind, i64)]) -> Snapshot {
    let row = |&(kind, mib): &(Kind, i64)| Row {
        kind,
        rss_bytes: Bytes(mib * MIB),
        swap_bytes: Bytes::ZERO,
        mapped_bytes: Bytes::ZERO,
    };
    let rows: Vec<Row> = rows.iter().map(row).collect();
    Snapshot {
        schema: SCHEMA.to_owned(),
        taken_at: String::new(),
        duration_ns: Nanos(0),
        frozen_ns: None,
        kernel: String::new(),
        pid: 7,
        command: Vec::new(),
        python: String::new(),
        rss_bytes: rows.iter().map(|row| row.rss_bytes).sum(),
        swap_bytes: Bytes::ZERO,
        huge_bytes: Bytes::ZERO,
        hugetlb_bytes: Bytes::ZERO,
        rows,
        arenas: Arenas { allocator: ObjectAllocator::Pymalloc, ..Arenas::none(Bytes(MIB)) },
        heap: None,
        other_allocators: Vec::new(),
        largest_blocks: Vec::new(),
        files: Vec::new(),
        census: None,
        notes: Vec::new(),
        sentences: Vec::new(),
    }
}

fn arena(main: bool, free: i64) -> HeapArena {
    HeapArena {
        address: 0,
        main,
        threads: 1,
        system_bytes: Bytes::ZERO,
        resident_bytes: Bytes::ZERO,
        in_use_bytes: Bytes::ZERO,
        free_bytes: Bytes(free * MIB),
        free_resident_bytes: Bytes(free * MIB),
        free_chunks: 0,
        top_bytes: Bytes::ZERO,
        trim_bytes: Bytes::ZERO,
        torn: false,
    }
}

/// Each of `words` is in one sentence, and `others` are in none.
fn check(snapshot: &Snapshot, words: &[&str], others: &[&str]) {
    let said = of(snapshot);
    for word in words {
        assert!(said.iter().any(|it| it.contains(word)), "{word:?} is not in {said:#?}");
    }
    for word in others {
        assert!(!said.iter().any(|it| it.contains(word)), "{word:?} is in {said:#?}");
    }
    assert!(said.last().unwrap().starts_with("Next: `memtrace attach 7"));
}

#[test]
fn memory_that_glibc_holds_is_told_with_what_to_do() {
    let rows = [(Kind::HeapFree, 500), (Kind::HeapTop, 110), (Kind::Libraries, 390)];
    let mut snapshot = process(&rows);
    let heap = |arenas, trim: i64| Heap {
        arenas,
        mapped_blocks: 0,
        mapped_bytes: Bytes::ZERO,
        trim_bytes: Bytes(trim * MIB),
    };
    snapshot.heap = Some(heap(vec![arena(true, 500)], 410));
    let first = "61 % of RSS is free memory held by glibc; malloc_trim(0) would give back \
                 about 410 MiB";
    check(&snapshot, &[first, "after its peaks"], &["MALLOC_ARENA_MAX", "smaller than a page"]);
    snapshot.heap = Some(heap(vec![arena(true, 0), arena(false, 250), arena(false, 250)], 3));
    check(&snapshot, &["the 2 arenas", "MALLOC_ARENA_MAX=2", "smaller than a page"], &[]);
}

#[test]
fn arenas_that_little_keeps_are_told_with_how_little() {
    let mut snapshot = process(&[
        (Kind::ArenaLive, 30),
        (Kind::ArenaFreeInPools, 200),
        (Kind::ArenaFreePools, 200),
        (Kind::Libraries, 70),
    ]);
    snapshot.arenas.arenas = 430;
    snapshot.arenas.held = 412;
    snapshot.arenas.mapped_bytes = Bytes(430 * MIB);
    snapshot.arenas.resident_bytes = Bytes(430 * MIB);
    snapshot.arenas.live_bytes = Bytes(30 * MIB);
    let fill = |up_to_percent, arenas, live: i64| Fill {
        up_to_percent,
        arenas,
        live_bytes: Bytes(live * MIB),
        resident_bytes: Bytes(i64::try_from(arenas).unwrap() * MIB),
    };
    snapshot.arenas.fill = vec![fill(1, 300, 1), fill(10, 80, 4), fill(100, 50, 25)];
    // 400 of 430 are free: 93 %. 430 of 500 are RSS: 86 %.
    let words = [
        "arenas (86 % of RSS) are 93 % free but spread: 412 of 430 hold at least one live block",
        "5.0 MiB of live blocks keep 380 arenas of 380 MiB",
    ];
    check(&snapshot, &words, &["the program holds them", "Nothing stands out"]);
    snapshot.arenas.live_bytes = Bytes(387 * MIB);
    check(&snapshot, &["and 90 % of that is live objects: the program holds them"], &["spread"]);
}

#[test]
fn the_largest_block_and_memory_of_unknown_use_are_named() {
    let rows = [(Kind::LargeBlocks, 300), (Kind::UnknownAnonymous, 100), (Kind::Libraries, 600)];
    let mut snapshot = process(&rows);
    snapshot.heap = Some(Heap {
        arenas: Vec::new(),
        mapped_blocks: 12,
        mapped_bytes: Bytes::ZERO,
        trim_bytes: Bytes::ZERO,
    });
    snapshot.largest_blocks =
        vec![Block { address: 0, mapped_bytes: Bytes(256 * MIB), rss_bytes: Bytes(3 * MIB / 2) }];
    let words = [
        "30 % of RSS is in 12 large blocks",
        "the largest mapped block is 256 MiB of which 1.5 MiB are resident",
        "10 % of RSS is anonymous memory of unknown use",
    ];
    check(&snapshot, &words, &["swap", "huge", "shared"]);
}

#[test]
fn where_nothing_stands_out_the_largest_kind_is_named() {
    let snapshot = process(&[(Kind::Libraries, 95), (Kind::MappedFiles, 5)]);
    let words = ["Nothing stands out: the largest part of RSS, 95 %, is program and libraries."];
    check(&snapshot, &words, &["--freeze"]);
    check(&process(&[]), &[], &["%"]);
}

#[test]
fn what_limits_the_figures_is_told() {
    let mut snapshot = process(&[(Kind::Libraries, 90), (Kind::Changed, -2)]);
    snapshot.swap_bytes = Bytes(20 * MIB);
    snapshot.hugetlb_bytes = Bytes(4 * MIB);
    snapshot.arenas.allocator = ObjectAllocator::MallocDebug;
    let words = [
        "2.0 MiB changed",
        "--freeze",
        "20 MiB are in swap",
        "4.0 MiB are in pages of \
                 hugetlbfs",
        "PYTHONMALLOC=malloc_debug",
    ];
    check(&snapshot, &words, &[]);
}
