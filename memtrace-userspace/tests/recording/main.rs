//! Recordings: what is written comes back, whatever happened to the file in between.
//!
//! Entries are made at random from a seed, so that a failure can be repeated. No file, no clock, no
//! trace: those are tested on live processes in the crate `tests`.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod allocation;
mod build;
#[path = "../parsing/changes.rs"]
mod changes;
mod corpus;
mod damage;
mod hostile;
mod medium;
mod recent;
mod replay;
mod round_trip;
mod told;

use memtrace::history::Entry;
use memtrace::recording::{Reader, Stop, Writer};

/// A whole recording of these entries.
fn recorded(entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), &build::head()).unwrap();
    for entry in entries {
        writer.add(entry).unwrap();
        // As a recorder does, at the end of each window.
        if matches!(entry, Entry::Window(_)) {
            writer.flush().unwrap();
        }
    }
    writer.finish().unwrap().0
}

/// What a reader gets out of these bytes, and why it ended.
fn read(bytes: &[u8]) -> (Vec<Entry>, Stop) {
    let mut reader = Reader::open(bytes).unwrap();
    assert_eq!(*reader.head(), build::head());
    let entries: Vec<_> = reader.by_ref().collect();
    assert!(reader.next().is_none(), "an end is an end");
    let stop = reader.into_stop().unwrap();
    (entries, stop)
}
