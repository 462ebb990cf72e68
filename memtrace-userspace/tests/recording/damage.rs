//! Recordings that were cut off or damaged: everything before comes back, and nothing that was not
//! written.

use memtrace::history::Entry;
use memtrace::recording::{Damage, FORMAT, OpenError, Reader, Stop};

use super::build::Course;
use super::{read, recorded};

/// Whether `part` is the beginning of `whole`.
fn begins(whole: &[Entry], part: &[Entry]) -> bool {
    whole.get(..part.len()) == Some(part)
}

#[test]
fn a_recording_cut_anywhere_reads_up_to_there() {
    let entries = Course::entries(3, 25);
    let whole = recorded(&entries);
    let mut most = 0;
    for length in 0..whole.len() {
        let mut reader = match Reader::open(&whole[..length]) {
            Ok(reader) => reader,
            Err(OpenError::Empty) => {
                assert_eq!(length, 0);
                continue;
            }
            Err(error) => {
                assert!(matches!(error, OpenError::CutInHeader), "{length}: {error}");
                assert_eq!(most, 0, "once it can be read it can be read");
                continue;
            }
        };
        let back: Vec<_> = reader.by_ref().collect();
        assert!(begins(&entries, &back), "{length}");
        assert!(back.len() >= most, "more bytes give no less: {length}");
        most = back.len();
        match reader.stop() {
            Some(Stop::Cut { at }) => assert!(*at < length as u64),
            Some(Stop::Unfinished { at }) => assert_eq!(*at, length as u64),
            other => panic!("{length}: {other:?}"),
        }
    }
    assert_eq!(most, entries.len(), "all but the end mark was there");
}

#[test]
fn no_flipped_bit_gives_anything_that_was_not_written() {
    let entries = Course::entries(5, 12);
    let whole = recorded(&entries);
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut reader = match Reader::open(&*bytes) {
            Ok(reader) => reader,
            Err(OpenError::NotARecording) => {
                assert!(bit < 8 * 8, "bit {bit}");
                continue;
            }
            Err(error) => {
                let known = matches!(error, OpenError::DamagedHeader | OpenError::CutInHeader);
                assert!(known && bit < 64 * 8, "bit {bit}: {error}");
                continue;
            }
        };
        let back: Vec<_> = reader.by_ref().collect();
        assert!(begins(&entries, &back), "bit {bit}");
        // A length that grew asks for more than there is; all else is a checksum.
        match reader.stop() {
            Some(Stop::Damaged { at, damage: Damage::Checksum } | Stop::Cut { at }) => {
                assert!(*at <= bit as u64 / 8, "bit {bit} is before byte {at}");
            }
            other => panic!("bit {bit}: {other:?}"),
        }
    }
}

#[test]
fn a_frame_that_is_missing_doubled_or_moved_is_noticed() {
    let entries = Course::entries(6, 30);
    let whole = recorded(&entries);
    let frames = frames(&whole);
    assert!(frames.len() > 8);
    let header = &whole[..16];
    let with = |order: &[usize]| -> Vec<u8> {
        let parts = order.iter().map(|at| frames[*at]);
        std::iter::once(header).chain(parts).flatten().copied().collect()
    };
    let usual: Vec<usize> = (0..frames.len()).collect();
    assert_eq!(with(&usual), whole);
    let mut missing = usual.clone();
    missing.remove(3);
    let mut doubled = usual.clone();
    doubled.insert(4, 3);
    let mut moved = usual.clone();
    moved.swap(3, 4);
    for order in [missing, doubled, moved] {
        let (back, stop) = read(&with(&order));
        assert!(begins(&entries, &back) && back.len() < entries.len(), "{order:?}");
        assert!(matches!(stop, Stop::Damaged { damage: Damage::Checksum, .. }), "{stop}");
    }
}

/// The frames behind the header: kind, length in two bytes, checksum in four, payload.
pub(super) fn frames(whole: &[u8]) -> Vec<&[u8]> {
    let mut rest = &whole[16..];
    let mut frames = Vec::new();
    while let [_, low, high, ..] = rest {
        let (frame, after) = rest.split_at(7 + usize::from(u16::from_le_bytes([*low, *high])));
        frames.push(frame);
        rest = after;
    }
    frames
}

#[test]
fn what_follows_the_end_mark_is_told() {
    let entries = Course::entries(8, 20);
    let mut bytes = recorded(&entries);
    let end = bytes.len() as u64;
    bytes.push(0);
    let (back, stop) = read(&bytes);
    assert_eq!(back, entries);
    assert!(matches!(stop, Stop::Trailing { at } if at == end), "{stop}");
    assert!(!stop.is_complete());
}

#[test]
fn what_is_no_recording_is_refused_in_words() {
    let check = |bytes: &[u8], words: &str| {
        let error = Reader::open(bytes).err().unwrap().to_string();
        assert_eq!(error, words);
    };
    check(b"", "is empty: nothing was recorded");
    check(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", "is not a memtrace recording");
    check(b"mprof", "is not a memtrace recording");
    check(b"{}", "is not a memtrace recording");
    check(b"memt", "was cut off in its header: nothing was recorded");
    let whole = recorded(&[]);
    check(&whole[..15], "was cut off in its header: nothing was recorded");
    check(&whole[..20], "was cut off in its header: nothing was recorded");

    let mut newer = whole[..12].to_vec();
    newer[8..].copy_from_slice(&(FORMAT + 2).to_le_bytes());
    let checksum = crc32fast::hash(&newer);
    newer.extend(checksum.to_le_bytes());
    check(&newer, "was made by a newer memtrace (format 3); this one reads up to 1");
    newer[8] ^= 4;
    check(&newer, "has a damaged header: how to read the rest can't be told");
}

#[test]
fn where_and_why_it_ended_is_a_sentence() {
    let entries = Course::entries(9, 20);
    let whole = recorded(&entries);
    let frames = frames(&whole);
    let end = whole.len() - frames[frames.len() - 1].len();
    let last = end - frames[frames.len() - 2].len();
    let said = |bytes: &[u8]| read(bytes).1.to_string();
    assert_eq!(
        said(&whole[..end]),
        format!(
            "byte {end}: no end mark: memtrace was killed while recording, or is recording still"
        )
    );
    let cut = format!("byte {last}: cut off in the middle of a frame");
    assert_eq!(said(&whole[..end - 1]), cut);
    assert_eq!(said(&whole[..last + 3]), cut);
    let mut flipped = whole.clone();
    flipped[end - 1] ^= 1;
    assert_eq!(said(&flipped), format!("byte {last}: the frame's checksum differs"));
    assert_eq!(said(&whole), "complete");
}
