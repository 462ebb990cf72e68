//! Files whose frames are right and whose entries are made to break a reader.
//!
//! They are written by hand, since no writer of ours makes them: protobuf's fields by their tags.

use memtrace::recording::{Damage, Reader, Stop, Unsound};
use prost::encoding::{WireType, encode_key, encode_varint};

use super::allocation::peak;
use super::replay::forged;

/// A message under construction.
#[derive(Clone, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    fn number(mut self, tag: u32, value: u64) -> Self {
        encode_key(tag, WireType::Varint, &mut self.0);
        encode_varint(value, &mut self.0);
        self
    }

    fn bytes(mut self, tag: u32, value: &[u8]) -> Self {
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        encode_varint(value.len() as u64, &mut self.0);
        self.0.extend(value);
        self
    }

    fn packed(self, tag: u32, values: &[u64]) -> Self {
        let mut packed = Vec::new();
        values.iter().for_each(|value| encode_varint(*value, &mut packed));
        self.bytes(tag, &packed)
    }

    /// As the entry of this kind, behind its length.
    fn entry(&self, kind: u32) -> Vec<u8> {
        let entry = Self::default().bytes(kind, &self.0).0;
        let mut stream = Vec::new();
        encode_varint(entry.len() as u64, &mut stream);
        stream.extend(entry);
        stream
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

const NAMES: u32 = 1;
const BEGAN: u32 = 2;
const WINDOW: u32 = 4;
const ENDED: u32 = 5;
const SOURCE: u32 = 6;
const LIVE: u32 = 8;

/// One text, one stack without lines, one thread, one space.
fn introduction() -> Vec<u8> {
    let names = Message::default()
        .bytes(1, b"a")
        .packed(8, &[0])
        .packed(10, &[1])
        .packed(11, &[0])
        .packed(12, &[0])
        .packed(13, &[7])
        .packed(14, &[0]);
    let began = Message::default().number(3, 42).bytes(5, &[]);
    [names.entry(NAMES), began.entry(BEGAN)].concat()
}

/// A stack of so many native frames above another one.
fn above(below: u64, frames: &[i64]) -> Message {
    let ids: Vec<u64> = frames.iter().map(|id| zigzag(*id)).collect();
    let names = Message::default().packed(8, &[1]).packed(19, &[below]);
    names.packed(20, &[frames.len() as u64]).packed(21, &ids)
}

/// Streams that go wrong after the introduction, and what is wrong with each.
pub(crate) fn streams() -> Vec<(Vec<u8>, Damage)> {
    let encoding = |what: &str| Damage::Encoding(what.to_owned());
    let unknown = |table, id| Damage::Unsound(Unsound::Unknown { table, id });
    let uneven = encoding("its columns differ in length");
    let range = encoding("an id is out of range");
    let names = Message::default();
    let window = Message::default();
    let mut streams = vec![
        (names.clone().number(9, 1).entry(15), encoding("it is of no known kind")),
        (names.clone().packed(2, &[0]).entry(NAMES), uneven.clone()),
        (names.clone().packed(6, &[0]).entry(NAMES), uneven.clone()),
        (names.clone().packed(7, &[0, 0]).entry(NAMES), uneven.clone()),
        (names.clone().packed(12, &[0]).entry(NAMES), uneven.clone()),
        (names.clone().packed(10, &[1]).packed(11, &[0]).entry(NAMES), uneven.clone()),
        // A stack of two thousand million frames.
        (names.clone().packed(8, &[u64::from(u32::MAX)]).entry(NAMES), uneven.clone()),
        (names.clone().packed(8, &[1]).entry(NAMES), uneven.clone()),
        (names.clone().packed(8, &[2]).packed(9, &[zigzag(-1)]).entry(NAMES), range.clone()),
        (names.clone().packed(8, &[2]).packed(9, &[zigzag(i64::MAX)]).entry(NAMES), range.clone()),
        (names.clone().packed(8, &[2]).packed(9, &[zigzag(0)]).entry(NAMES), unknown("place", 0)),
        (
            names.clone().packed(8, &[0]).packed(10, &[99]).packed(11, &[0]).entry(NAMES),
            encoding("a reason that this format doesn't have"),
        ),
        (
            names
                .packed(2, &[0])
                .packed(3, &[0])
                .packed(4, &[5])
                .packed(5, &[zigzag(-6)])
                .entry(NAMES),
            encoding("a function ends nowhere"),
        ),
        (window.clone().number(1, 1).entry(WINDOW), unknown("process", 1)),
        (window.clone().number(2, zigzag(-1)).entry(WINDOW), Unsound::Time.into()),
        (window.clone().number(2, zigzag(i64::MAX)).entry(WINDOW), Unsound::Time.into()),
        (window.clone().packed(10, &[zigzag(1)]).entry(WINDOW), unknown("stack", 1)),
        (window.clone().packed(10, &[0]).packed(11, &[1]).entry(WINDOW), unknown("thread", 1)),
        (window.clone().packed(10, &[0, 0]).packed(11, &[0]).entry(WINDOW), uneven.clone()),
        (window.clone().packed(11, &[0]).entry(WINDOW), uneven.clone()),
        (
            window.clone().number(5, zigzag(i64::MAX)).entry(WINDOW),
            encoding("a figure is out of range"),
        ),
        (
            window.clone().number(3, 1).number(5, zigzag(i64::MIN)).entry(WINDOW),
            Unsound::Figures.into(),
        ),
        (
            window.number(3, 1).packed(10, &[0]).packed(12, &[zigzag(i64::MIN)]).entry(WINDOW),
            Unsound::Figures.into(),
        ),
        (
            Message::default().number(3, 9).entry(ENDED),
            encoding("an ending that this format doesn't have"),
        ),
        (Message::default().number(2, 1).entry(SOURCE), unknown("text", 1)),
        (
            Message::default().number(3, 42).bytes(5, &[]).entry(BEGAN),
            Unsound::BegunTwice(0).into(),
        ),
    ];
    // Each of the figures is possible, their sum is not: 2^52 a hundred times.
    let huge = Message::default().number(3, 1).packed(10, &[0]).packed(12, &[zigzag(1 << 52)]);
    let back = Message::default().number(3, 1).packed(10, &[0]).packed(15, &[zigzag(1 << 52)]);
    let sums = [huge.entry(WINDOW), back.entry(WINDOW)].concat().repeat(50);
    streams.push((sums, Unsound::Figures.into()));
    let over = Message::default().number(3, 1).entry(ENDED);
    let after = Message::default().entry(WINDOW);
    streams.push(([over, after].concat(), Unsound::AfterTheEnd(0).into()));
    // Native frames above a stack that isn't there, none of them, unknown ones, and above nothing.
    streams.push((above(9, &[]).entry(NAMES), unknown("stack", 9)));
    streams.push((above(0, &[]).entry(NAMES), Unsound::NoFrames.into()));
    streams.push((above(0, &[0]).entry(NAMES), unknown("native frame", 0)));
    streams.push((Message::default().packed(15, &[0]).entry(NAMES), uneven));
    // Older than all time.
    let live = Message::default().packed(3, &[0]).packed(5, &[u64::MAX]);
    streams.push((live.entry(LIVE), Unsound::Time.into()));
    for (stream, _) in &mut streams {
        *stream = [introduction(), std::mem::take(stream)].concat();
    }
    streams
}

#[test]
fn what_makes_no_sense_is_damage_and_what_came_before_is_read() {
    for (stream, expected) in streams() {
        let bytes = forged(&stream);
        let mut reader = Reader::open(&*bytes).unwrap();
        let entries = reader.by_ref().count();
        assert!(entries >= 2, "{expected}: the introduction is sound");
        match reader.into_stop() {
            Some(Stop::Damaged { damage, .. }) => assert_eq!(damage, expected),
            other => panic!("{other:?} where {expected} was due"),
        }
    }
}

#[test]
fn an_entry_that_is_no_protobuf_is_damage() {
    let mut text = vec![4, 0x0a, 0x02, 0x0a, 0x00];
    assert!(matches!(stop_of(&text), Stop::Unfinished { .. }), "an empty text is a text");
    text = vec![5, 0x0a, 0x03, 0x0a, 0x01, 0xff];
    let invalid = stop_of(&text).to_string();
    assert!(invalid.contains("UTF-8"), "{invalid}");
    let stop = stop_of(&[0xff; 11]);
    assert!(matches!(stop, Stop::Damaged { damage: Damage::Encoding(_), .. }), "{stop}");
}

fn stop_of(stream: &[u8]) -> Stop {
    let bytes = forged(stream);
    let mut reader = Reader::open(&*bytes).unwrap();
    reader.by_ref().for_each(drop);
    reader.into_stop().unwrap()
}

/// What reading a file may need at most: what its bytes stand for at the most that is allowed, in
/// memory up to 160 times as much (a change of one byte has sixteen figures), and some buffers.
pub(crate) fn limit(file_bytes: usize) -> usize {
    (512 << 10) + ((16 << 10) + 64 * file_bytes) * 160
}

#[test]
fn a_length_without_bytes_behind_it_reserves_nothing() {
    let claim = |length: u64| {
        let mut stream = Vec::new();
        encode_varint(length, &mut stream);
        stream.extend([0; 20]);
        stream
    };
    for (stream, damaged) in [
        (claim(4 << 20), false),
        (claim((4 << 20) + 1), true),
        (claim(u64::MAX), true),
        (claim(1 << 40), true),
        // A packed column, and a text, of 2^60 bytes.
        (vec![12, 0x22, 10, 0x52, 255, 255, 255, 255, 255, 255, 255, 255, 15], true),
        (vec![12, 0x0a, 10, 0x0a, 255, 255, 255, 255, 255, 255, 255, 255, 15], true),
    ] {
        let bytes = forged(&stream);
        let most = peak(|| {
            let mut reader = Reader::open(&*bytes).unwrap();
            assert_eq!(reader.by_ref().count(), 0);
            let stop = reader.into_stop().unwrap();
            assert_eq!(matches!(stop, Stop::Damaged { .. }), damaged, "{stop}");
        });
        assert!(most < 512 << 10, "{most} bytes for a file of {}", bytes.len());
    }
}

#[test]
fn a_file_that_holds_more_than_its_size_allows_is_damaged() {
    // A window of three million changes of one stack. A writer pads it; the padding taken out, some
    // hundred bytes are left.
    let changes = vec![0; 3 << 20];
    let window = Message::default().bytes(10, &changes).entry(WINDOW);
    let padded = forged(&[introduction(), window].concat());
    let mut reader = Reader::open(&*padded).unwrap();
    let most = peak(|| assert_eq!(reader.by_ref().count(), 3));
    assert!(most <= limit(padded.len()), "{most} bytes for a file of {}", padded.len());
    assert!(matches!(reader.stop(), Some(Stop::Unfinished { .. })));

    let bare = without_padding(&padded);
    assert!(bare.len() * 10 < padded.len(), "{} of {}", bare.len(), padded.len());
    let mut reader = Reader::open(&*bare).unwrap();
    let most = peak(|| assert_eq!(reader.by_ref().count(), 2));
    assert!(most <= limit(bare.len()), "{most} bytes for a file of {}", bare.len());
    let stop = reader.into_stop().unwrap();
    assert!(matches!(stop, Stop::Damaged { damage: Damage::Inflated, .. }), "{stop}");
}

/// The recording without its frames of padding, the others numbered anew.
pub(crate) fn without_padding(whole: &[u8]) -> Vec<u8> {
    let mut bare = whole[..16].to_vec();
    let (mut rest, mut number) = (&whole[16..], 0_u64);
    while let [kind, low, high, ..] = *rest {
        let length = 7 + usize::from(u16::from_le_bytes([low, high]));
        if kind != 4 {
            let mut checksum = crc32fast::Hasher::new();
            checksum.update(&number.to_le_bytes());
            checksum.update(&rest[..3]);
            checksum.update(&rest[7..length]);
            bare.extend(&rest[..3]);
            bare.extend(checksum.finalize().to_le_bytes());
            bare.extend(&rest[7..length]);
            number += 1;
        }
        rest = &rest[length..];
    }
    bare
}
