//! What is read is summed up and told in every form, and nothing goes wrong: of sound courses, of the
//! fuzzers' corpus, and of changes of it.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use memtrace::recording::Reader;

use super::build::Course;
use super::changes::{Random, changed};
use super::corpus::corpus;
use super::damage::frames;
use super::{hostile, recorded, replay};

/// The entries of a recording, as [`replay::forged`] takes them.
fn stream_of(recording: &[u8]) -> Vec<u8> {
    const PIECE: u8 = 2;
    let mut unpacked = zstd::stream::write::Decoder::new(Vec::new()).unwrap();
    for frame in frames(recording).into_iter().filter(|frame| frame[0] == PIECE) {
        unpacked.write_all(&frame[7..]).unwrap();
    }
    unpacked.flush().unwrap();
    unpacked.into_inner()
}

/// Short courses, which fuzzers begin with.
fn courses() -> Vec<(String, Vec<u8>)> {
    (0..12)
        .map(|at| (format!("course-{at:02}"), stream_of(&recorded(&Course::entries(at + 400, 9)))))
        .collect()
}

#[test]
fn a_stream_is_what_a_recording_was_made_of() {
    let entries = Course::entries(11, 40);
    let forged = replay::forged(&stream_of(&recorded(&entries)));
    assert_eq!(Reader::open(&*forged).unwrap().collect::<Vec<_>>(), entries);
}

#[test]
fn any_sound_course_is_told() {
    for seed in 1..=25 {
        replay::told(&recorded(&Course::entries(seed, 60)));
    }
}

#[test]
fn what_breaks_off_is_told_up_to_there() {
    for (stream, _) in hostile::streams() {
        replay::told(&replay::forged(&stream));
    }
}

#[test]
fn changed_courses_are_refused_or_told() {
    let inputs = corpus("recording_told", courses());
    assert!(inputs.len() >= 12);
    for (number, (path, stream)) in inputs.iter().enumerate() {
        replay::told(&replay::forged(stream));
        let mut random = Random::seeded(number as u64);
        for round in 0..40 {
            let bytes = changed(stream, &mut random);
            let run = catch_unwind(AssertUnwindSafe(|| replay::told(&replay::forged(&bytes))));
            assert!(run.is_ok(), "{}, change {round}: {bytes:02x?}", path.display());
        }
    }
}
