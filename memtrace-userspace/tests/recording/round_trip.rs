//! Entries that come back as they were written, and what they take.

use memtrace::history::Entry;
use memtrace::history::entry::{Names, StackName, TextId};
use memtrace::recording::{Stop, Writer};

use super::build::{self, Course, REASONS};
use super::{read, recorded};

#[test]
fn any_sound_course_comes_back_as_it_was() {
    let mut kinds = [0; 9];
    for seed in 1..=200 {
        let entries = Course::entries(seed, 60);
        for entry in &entries {
            kinds[match entry {
                Entry::Names(_) => 0,
                Entry::Began(_) => 1,
                Entry::Known(_) => 2,
                Entry::Window(_) => 3,
                Entry::Ended(_) => 4,
                Entry::Source(_) => 5,
                Entry::Allocations(_) => 6,
                Entry::Live(_) => 7,
                Entry::Ran(_) => 8,
            }] += 1;
        }
        let (back, stop) = read(&recorded(&entries));
        assert!(stop.is_complete(), "seed {seed}: {stop}");
        assert_eq!(back, entries, "seed {seed}");
    }
    assert!(kinds.iter().all(|count| *count > 100), "{kinds:?}");
}

#[test]
fn a_recording_without_entries_is_complete() {
    let (entries, stop) = read(&recorded(&[]));
    assert_eq!(entries, []);
    assert!(matches!(stop, Stop::Complete));
}

#[test]
fn a_copy_with_an_end_mark_is_whole_and_the_recording_goes_on() {
    let entries = Course::entries(3, 60);
    let (first, second) = entries.split_at(30);
    let mut bytes = Vec::new();
    let mut writer = Writer::begin(&mut bytes, &build::head()).unwrap();
    first.iter().for_each(|entry| writer.add(entry).unwrap());
    writer.flush().unwrap();
    let (saved, mark) = (writer.saved().bytes as usize, writer.end_mark().unwrap());
    // What waits to be written is not in it.
    second.iter().for_each(|entry| writer.add(entry).unwrap());
    assert_eq!(writer.end_mark().unwrap(), mark);
    writer.finish().unwrap();
    let (back, stop) = read(&[&bytes[..saved], &mark].concat());
    assert!(stop.is_complete(), "{stop}");
    assert_eq!(back, first);
    assert_eq!(read(&bytes).0, entries);
}

#[test]
fn every_reason_comes_back() {
    let stacks = REASONS.map(|reason| StackName::Unattributed { reason, name: TextId(0) });
    let names = Names { texts: vec![String::new()], stacks: stacks.to_vec(), ..Names::default() };
    let entries = [Entry::Names(names)];
    assert_eq!(read(&recorded(&entries)).0, entries);
}

#[test]
fn an_entry_of_many_pieces_comes_back() {
    // 3 MiB that don't compress: 200 pieces for one entry.
    let mut random = build::Random::seeded(7);
    let noise = (0..3 << 20).map(|_| char::from(b' ' + random.below(90) as u8)).collect();
    let entries = [Entry::Names(Names { texts: vec![noise], ..Names::default() })];
    let bytes = recorded(&entries);
    assert!(bytes.len() > 2 << 20, "{}", bytes.len());
    let (back, stop) = read(&bytes);
    assert!(back == entries && stop.is_complete(), "{stop}");
}

#[test]
fn what_compresses_beyond_measure_is_padded_and_comes_back() {
    // 3 MiB of one letter would be some hundred bytes; a reader allows 64 for one.
    let texts = vec!["a".repeat(3 << 20)];
    let entries = [Entry::Names(Names { texts, ..Names::default() })];
    let bytes = recorded(&entries);
    let least = ((3 << 20) - (16 << 10)) / 64;
    assert!((least..least + (4 << 10)).contains(&bytes.len()), "{}", bytes.len());
    let (back, stop) = read(&bytes);
    assert!(back == entries && stop.is_complete(), "{stop}");
}

#[test]
fn an_entry_that_no_reader_would_take_ends_the_recording_and_says_so() {
    let mut writer = Writer::begin(Vec::new(), &build::head()).unwrap();
    let good = Entry::Names(Names { texts: vec!["a".to_owned()], ..Names::default() });
    writer.add(&good).unwrap();
    let long = Names { texts: vec!["a".repeat(5 << 20)], ..Names::default() };
    let error = writer.add(&Entry::Names(long)).unwrap_err().to_string();
    assert!(error.contains("too long"), "{error}");
    assert!(writer.add(&good).is_err());
    let (back, stop) = read(&writer.into_medium());
    assert_eq!(back, [good]);
    assert!(matches!(&stop, Stop::Abandoned { why } if why.contains("too long")), "{stop}");
}
