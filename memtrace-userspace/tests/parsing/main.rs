//! What targets give us, and what may be anything: line tables, code objects, frames, offsets, maps,
//! ELF files, records. The fuzzers' corpus is replayed, and each input of it changed some thousand
//! times from a seed, so that a failure can be repeated. No process, no root.
//!
//! `MEMTRACE_BLESS=1` writes those inputs anew that are made here; what fuzzers found lies beside
//! them.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod changes;
mod replay;
mod seeds;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use changes::{Random, changed};

/// Replays a target's corpus, in which `made` must be as they are made, and changes of it.
fn corpus(target: &str, made: Vec<Vec<u8>>, changes: usize, replay: fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    for (at, bytes) in made.into_iter().enumerate() {
        let path = folder.join(format!("made-{at:02}"));
        if std::env::var_os("MEMTRACE_BLESS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &bytes).unwrap();
        }
        let kept = std::fs::read(&path).unwrap_or_default();
        assert!(kept == bytes, "{} is another one: MEMTRACE_BLESS=1", path.display());
    }
    let mut inputs: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(inputs.len() >= 3, "{} has {} inputs", folder.display(), inputs.len());
    for (number, path) in inputs.iter().enumerate() {
        let input = std::fs::read(path).unwrap();
        replay(&input);
        let mut random = Random::seeded(number as u64);
        for round in 0..changes {
            let bytes = changed(&input, &mut random);
            let run = catch_unwind(AssertUnwindSafe(|| replay(&bytes)));
            assert!(run.is_ok(), "{}, change {round}: {bytes:02x?}", path.display());
        }
    }
}

#[test]
fn any_line_table_is_read_to_its_end() {
    corpus("line_table", seeds::line_tables(), 3000, replay::line_table);
}

#[test]
fn any_code_object_is_read_within_bounds() {
    corpus("code_object", seeds::memories(), 1000, |input| {
        replay::code_object(input);
    });
    assert!(seeds::memories().iter().any(|seed| replay::code_object(seed)), "none is one");
}

#[test]
fn any_frames_are_walked_to_an_end() {
    corpus("frames", seeds::memories(), 60, replay::frames);
}

#[test]
fn any_debug_offsets_are_taken_or_refused() {
    corpus("debug_offsets", seeds::debug_offsets(), 60, replay::debug_offsets);
}

#[test]
fn any_maps_are_parsed() {
    corpus("maps", seeds::maps(), 3000, replay::maps);
}

#[test]
fn any_elf_file_is_read_or_refused() {
    corpus("elf", seeds::elf_files(), 1000, |input| {
        replay::elf(input);
    });
    assert!(replay::elf(&seeds::elf_files()[0]), "the whole one is not taken for CPython");
}

/// Files as gcc and ld make them, of which three say the same and four what would take all memory, all stack, or all
/// time; `native` in replay.rs says what lies behind a file.
#[test]
fn any_library_names_functions_or_none() {
    corpus("native", Vec::new(), 40, |input| {
        replay::native(input);
    });
    for name in ["calls", "calls-zstd", "calls-separate"] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/native").join(name);
        let calls = replay::native(&std::fs::read(path).unwrap());
        let calls: Vec<_> =
            calls.iter().map(|(function, line)| (function.as_str(), *line)).collect();
        let told = [
            // DWARF has no more of a function that is inlined everywhere.
            ("scaled", 2),
            ("shop::grow(int)", 4),
            ("int shop::middle<int>(int)", 5),
            ("outer", 7),
        ];
        assert_eq!(calls, told, "{name}");
    }
}

#[test]
fn any_record_is_decoded_or_refused() {
    corpus("event", seeds::events(), 3000, replay::event);
}
