//! What a fuzzer does with its input, and the tests with the corpus: read it to its end.
//!
//! Shared with `fuzz/`. Nothing is expected of the input but that nothing goes wrong.

use std::time::SystemTime;

use memtrace::history::Head;
use memtrace::recording::{Reader, Writer};

/// A file, which may be anything.
pub(crate) fn file(bytes: &[u8]) -> usize {
    match Reader::open(bytes) {
        Err(error) => error.to_string().len(),
        Ok(mut reader) => {
            let entries = reader.by_ref().count();
            // What ended it must be sayable.
            entries + reader.into_stop().map_or(0, |stop| stop.to_string().len())
        }
    }
}

/// Entries, which may be anything, in a file that is right: checksums keep a fuzzer from getting
/// there by itself.
pub(crate) fn entries(stream: &[u8]) -> usize {
    file(&forged(stream))
}

/// A recording of whatever `stream` is.
pub(crate) fn forged(stream: &[u8]) -> Vec<u8> {
    let started_at = SystemTime::UNIX_EPOCH;
    let head = Head { started_at, kernel: "6.18.0".to_owned(), exact: true };
    Writer::forge(Vec::new(), &head, stream).unwrap_or_default()
}
