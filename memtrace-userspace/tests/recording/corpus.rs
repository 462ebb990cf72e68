//! The fuzzers' corpus, replayed: each input is read to its end, in bounded memory.
//!
//! `MEMTRACE_BLESS=1` writes those inputs anew that are made here; what fuzzers found lies beside
//! them.

use std::path::PathBuf;

use super::allocation::peak;
use super::build::Course;
use super::hostile::{self, limit, without_padding};
use super::{recorded, replay};

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// The corpus of a target; those of `made` must be in it as they are made.
pub(super) fn corpus(target: &str, made: Vec<(String, Vec<u8>)>) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = folder(target);
    for (name, bytes) in made {
        let path = folder.join(name);
        if std::env::var_os("MEMTRACE_BLESS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &bytes).unwrap();
        }
        let kept = std::fs::read(&path).unwrap_or_default();
        assert!(kept == bytes, "{} is another one: MEMTRACE_BLESS=1", path.display());
    }
    let mut inputs: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn files_of_the_corpus_are_read_to_their_end_in_bounded_memory() {
    let whole = recorded(&Course::entries(1, 12));
    let mut flipped = whole.clone();
    flipped[100] ^= 0x10;
    let mut newer = whole.clone();
    newer[8] = 200;
    let bomb = Course::entries(2, 2);
    let mut bomb = recorded(&bomb);
    bomb.truncate(bomb.len() - 11);
    let made = vec![
        ("whole".to_owned(), whole.clone()),
        ("cut".to_owned(), whole[..whole.len() * 2 / 3].to_vec()),
        ("header".to_owned(), whole[..16].to_vec()),
        ("flipped".to_owned(), flipped),
        ("newer".to_owned(), newer),
        ("unfinished".to_owned(), bomb),
        ("empty".to_owned(), Vec::new()),
        ("other".to_owned(), b"CMDLINE python app.py\nMEM 12.3 1.0\n".to_vec()),
    ];
    let inputs = corpus("recording_file", made);
    assert!(inputs.len() >= 8);
    for (path, bytes) in inputs {
        let most = peak(|| assert_ne!(replay::file(&bytes), 0));
        assert!(most <= limit(bytes.len()), "{}: {most} bytes", path.display());
    }
}

#[test]
fn entries_of_the_corpus_are_read_to_their_end_in_bounded_memory() {
    let streams = hostile::streams().into_iter().enumerate();
    let made = streams.map(|(at, (stream, _))| (format!("hostile-{at:02}"), stream)).collect();
    let inputs = corpus("recording_entries", made);
    assert!(inputs.len() >= 20);
    for (path, stream) in inputs {
        let bytes = without_padding(&replay::forged(&stream));
        let most = peak(|| assert_ne!(replay::file(&bytes), 0));
        assert!(most <= limit(bytes.len()), "{}: {most} bytes", path.display());
        replay::entries(&stream);
    }
}
