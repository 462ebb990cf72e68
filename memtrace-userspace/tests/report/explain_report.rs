//! `memtrace explain`'s table and JSON, and what changed between two of them.

use memtrace::report::explain::{self, ExplainOptions};
use memtrace::snapshot::difference::between;
use memtrace::snapshot::picture::*;
use memtrace::units::{Bytes, Nanos};
use serde_json::Value;

use super::check;

const MIB: i64 = 1 << 20;

fn row(kind: Kind, mib: i64, swap: i64, mapped: i64) -> Row {
    Row {
        kind,
        rss_bytes: Bytes(mib * MIB),
        swap_bytes: Bytes(swap * MIB),
        mapped_bytes: Bytes(mapped * MIB),
    }
}

fn kind_of_object(name: &str, count: u64, size: i64) -> TypeRow {
    TypeRow { name: name.to_owned(), count, permanent: 0, size_bytes: Bytes(size) }
}

/// 200 MiB of RSS: 90 in arenas of which 9 are live, 60 in glibc's heap of which 40 are free, 32 in
/// one block, 14 of files, 4 of stacks; 3 in swap. The rows state it again.
fn server() -> Snapshot {
    Snapshot {
        schema: SCHEMA.to_owned(),
        taken_at: "2026-08-05T10:00:00Z".to_owned(),
        duration_ns: Nanos(250_000_000),
        frozen_ns: Some(Nanos(120_000_000)),
        kernel: "6.18.0".to_owned(),
        pid: 4242,
        command: ["python", "app.py", "a\x1b[2J"].map(str::to_owned).to_vec(),
        python: "3.12.1".to_owned(),
        rss_bytes: Bytes(200 * MIB),
        swap_bytes: Bytes(3 * MIB),
        huge_bytes: Bytes(2 * MIB),
        hugetlb_bytes: Bytes::ZERO,
        rows: vec![
            row(Kind::ArenaFreeInPools, 50, 0, 0),
            row(Kind::HeapFree, 35, 0, 0),
            row(Kind::LargeBlocks, 32, 3, 64),
            row(Kind::ArenaFreePools, 30, 0, 0),
            row(Kind::HeapInUse, 20, 0, 62),
            row(Kind::Libraries, 14, 0, 40),
            row(Kind::ArenaLive, 9, 0, 90),
            row(Kind::HeapTop, 5, 0, 0),
            row(Kind::ThreadStacks, 4, 0, 32),
            row(Kind::ArenaOverhead, 1, 0, 0),
        ],
        arenas: arenas(),
        heap: Some(heap()),
        other_allocators: Vec::new(),
        largest_blocks: vec![Block {
            address: 0x7f00_0000_0000,
            mapped_bytes: Bytes(64 * MIB),
            rss_bytes: Bytes(32 * MIB),
        }],
        files: vec![FileRow {
            path: "/usr/lib/libevil\u{202e}.so".to_owned(),
            kind: Kind::Libraries,
            rss_bytes: Bytes(14 * MIB),
            mapped_bytes: Bytes(40 * MIB),
        }],
        census: Some(Census {
            objects: 3600,
            permanent: 5,
            size_bytes: Bytes(300_000),
            torn_links: 1,
            lists_cut: 0,
            types: vec![
                kind_of_object("builtins.dict", 1000, 200_000),
                kind_of_object("app.Session", 600, 60_000),
                kind_of_object("builtins.tuple\nforged row", 2000, 40_000),
            ],
        }),
        notes: vec!["something could not be found out".to_owned()],
        sentences: vec!["20 % of RSS is free memory held by glibc.".to_owned()],
    }
}

fn arenas() -> Arenas {
    let fill = |up_to_percent, arenas, live: i64| Fill {
        up_to_percent,
        arenas,
        live_bytes: Bytes(live * MIB),
        resident_bytes: Bytes(arenas.cast_signed() * MIB),
    };
    Arenas {
        allocator: ObjectAllocator::Pymalloc,
        arena_bytes: Bytes(MIB),
        arenas: 90,
        held: 88,
        mapped_bytes: Bytes(90 * MIB),
        resident_bytes: Bytes(90 * MIB),
        live_blocks: 65_536,
        live_bytes: Bytes(9 * MIB),
        large_blocks: Some(100),
        allocated_blocks: Some(65_636),
        pools_in_use: 3700,
        pools_free: 1920,
        pools_torn: 0,
        unreadable: 2,
        fill: vec![fill(1, 50, 0), fill(10, 30, 1), fill(25, 0, 0), fill(100, 10, 8)],
        classes: vec![
            SizeClass {
                block_bytes: 144,
                pools: 3700,
                live_blocks: 65_536,
                live_bytes: Bytes(9 * MIB),
                free_blocks: 364_088,
                free_bytes: Bytes(50 * MIB),
            },
            SizeClass {
                block_bytes: 160,
                pools: 0,
                live_blocks: 0,
                live_bytes: Bytes::ZERO,
                free_blocks: 0,
                free_bytes: Bytes::ZERO,
            },
        ],
    }
}

fn heap() -> Heap {
    let arena = |address, main, free: i64, torn| HeapArena {
        address,
        main,
        threads: 1,
        system_bytes: Bytes(31 * MIB),
        resident_bytes: Bytes(30 * MIB),
        in_use_bytes: Bytes(10 * MIB),
        free_bytes: Bytes(free * MIB),
        free_resident_bytes: Bytes((free - 1) * MIB),
        free_chunks: 700,
        top_bytes: Bytes((21 - free) * MIB),
        trim_bytes: Bytes(19 * MIB),
        torn,
    };
    Heap {
        arenas: vec![arena(0x7f11, true, 18, false), arena(0x7f22_0000_0030, false, 19, true)],
        mapped_blocks: 1,
        mapped_bytes: Bytes(64 * MIB),
        trim_bytes: Bytes(38 * MIB),
    }
}

/// The same process later: 8 MiB more in use, a thousand sessions more, no tuples.
fn later() -> Snapshot {
    let mut snapshot = server();
    snapshot.taken_at = "2026-08-05T11:00:00Z".to_owned();
    snapshot.rss_bytes += Bytes(8 * MIB);
    snapshot.rows[4].rss_bytes += Bytes(8 * MIB);
    let census = snapshot.census.as_mut().unwrap();
    census.types.pop();
    census.types[1] = kind_of_object("app.Session", 1600, 160_000);
    census.objects = 2600;
    snapshot
}

fn table(snapshot: &Snapshot, options: ExplainOptions) -> String {
    let mut out = Vec::new();
    explain::write_table(&mut out, snapshot, &options).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_sample_adds_up() {
    let snapshot = server();
    let sum = |of: fn(&Row) -> Bytes| snapshot.rows.iter().map(of).sum::<Bytes>();
    assert_eq!(sum(|row| row.rss_bytes), snapshot.rss_bytes);
    assert_eq!(sum(|row| row.swap_bytes), snapshot.swap_bytes);
    let census = snapshot.census.unwrap();
    assert_eq!(census.types.iter().map(|row| row.count).sum::<u64>(), census.objects);
    assert_eq!(census.types.iter().map(|row| row.size_bytes).sum::<Bytes>(), census.size_bytes);
}

#[test]
fn the_table_of_a_server() {
    check("explain.txt", &table(&server(), ExplainOptions::default()));
}

#[test]
fn the_table_without_what_was_not_found() {
    let mut snapshot = server();
    snapshot.heap = None;
    snapshot.census = None;
    snapshot.largest_blocks.clear();
    snapshot.arenas.arenas = 0;
    snapshot.frozen_ns = None;
    snapshot.files.clear();
    let options = ExplainOptions { limit: 1, width: 40, color: false };
    check("explain-little.txt", &table(&snapshot, options));
}

#[test]
fn the_table_obeys_no_escape_code_of_the_target() {
    let text = table(&server(), ExplainOptions { limit: 10, width: 200, color: false });
    assert!(!text.contains(['\x1b', '\u{202e}']), "{text:?}");
    assert!(text.contains("builtins.tuple\\x0aforged row"), "{text}");
}

#[test]
fn the_json_reads_back_as_the_same_snapshot() {
    let mut out = Vec::new();
    explain::write_json(&mut out, &server()).unwrap();
    assert!(!out.contains(&0x1b), "an escape code on a terminal");
    let read: Snapshot = serde_json::from_slice(&out).unwrap();
    assert_eq!(read, server());
    let value: Value = serde_json::from_slice(&out).unwrap();
    // From the contract: keys are added, never renamed, and bytes are integers.
    for key in ["pid", "rss_bytes", "swap_bytes", "huge_bytes", "hugetlb_bytes", "duration_ns"] {
        assert!(value[key].is_i64(), "{key}");
    }
    assert_eq!(value["schema"], "memtrace.explain/1");
    assert_eq!(value["rows"][0]["kind"], "arena_free_in_pools");
    assert_eq!(value["arenas"]["allocator"], "pymalloc");
}

#[test]
fn what_changed_is_told_by_kind_and_by_type() {
    let difference = between(&server(), &later());
    assert_eq!(difference.rss_change_bytes, Bytes(8 * MIB));
    let grown: Bytes = difference.rows.iter().map(|row| row.change_bytes).sum();
    assert_eq!(grown, difference.rss_change_bytes, "the rows add up to the change");
    let types: Vec<_> = difference
        .types
        .iter()
        .map(|row| (&*row.name, row.change_count, row.change_bytes.0))
        .collect();
    let expected = [("app.Session", 1000, 100_000), ("builtins.tuple\nforged row", -2000, -40_000)];
    assert_eq!(types, expected);
    assert!(difference.notes.is_empty());
    let mut out = Vec::new();
    explain::write_difference(&mut out, &difference, &ExplainOptions::default()).unwrap();
    check("explain-diff.txt", &String::from_utf8(out).unwrap());
    let mut out = Vec::new();
    explain::write_difference_json(&mut out, &difference).unwrap();
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["schema"], "memtrace.explain-diff/1");
    assert_eq!(value["rss_change_bytes"], 8 * MIB);
    assert_eq!(value["types"][0]["change_count"], 1000);
}

#[test]
fn a_comparison_of_two_processes_says_so() {
    let mut other = later();
    other.pid = 1;
    other.python = "3.13.0".to_owned();
    other.census = None;
    let difference = between(&server(), &other);
    assert_eq!(difference.notes.len(), 3, "{:?}", difference.notes);
    assert!(difference.types.is_empty());
}
