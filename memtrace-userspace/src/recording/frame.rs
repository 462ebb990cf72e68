//! The file's header and its frames: kind, length, checksum, payload.
//!
//! The checksum covers the frame's number as well, so that a frame that is missing, doubled or out
//! of place is noticed like a flipped bit. Knows nothing of what payloads say.

use std::io::{self, Read};

use super::stop::{Damage, OpenError, Stop};

/// The format that is written, and the newest that is read. It grows with anything that an older
/// reader would misunderstand, a new [`Reason`](crate::profile::Reason) included.
pub const FORMAT: u32 = 1;

/// What every recording of every format begins with.
const MAGIC: [u8; 8] = *b"memtrace";
/// Magic, format, checksum of both.
pub(super) const HEADER_BYTES: usize = 16;
/// Kind, length, checksum.
pub(super) const FRAME_HEAD_BYTES: usize = 7;

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// [`super::wire::Head`]; the first frame, and no other.
    Head,
    /// A piece of the compressed stream of entries.
    Piece,
    /// [`super::wire::End`]; the last frame.
    End,
    /// Nothing: it makes the file as large as its contents demand ([`super::stream`]).
    Padding,
}

impl Kind {
    const fn number(self) -> u8 {
        match self {
            Self::Head => 1,
            Self::Piece => 2,
            Self::End => 3,
            Self::Padding => 4,
        }
    }

    fn of(number: u8) -> Option<Self> {
        [Self::Head, Self::Piece, Self::End, Self::Padding]
            .into_iter()
            .find(|kind| kind.number() == number)
    }
}

/// The file's first bytes.
pub(super) fn header(format: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&format.to_le_bytes());
    let checksum = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// Appends a frame to `out`. Payloads of more than 64 KiB are nobody's: pieces are cut smaller.
pub(super) fn write(out: &mut Vec<u8>, number: u64, kind: Kind, payload: &[u8]) -> io::Result<()> {
    let length = u16::try_from(payload.len()).map_err(io::Error::other)?;
    out.push(kind.number());
    out.extend(length.to_le_bytes());
    out.extend(checksum(number, kind.number(), length, payload).to_le_bytes());
    out.extend(payload);
    Ok(())
}

fn checksum(number: u64, kind: u8, length: u16, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(&[kind]);
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Frames, one after the other.
pub(super) struct Frames<R> {
    source: R,
    /// Where the next frame begins.
    pub(super) at: u64,
    number: u64,
    payload: Vec<u8>,
}

impl<R: Read> Frames<R> {
    /// Reads the header.
    pub(super) fn open(mut source: R) -> Result<Self, OpenError> {
        let mut found = [0; HEADER_BYTES];
        let read = read_up_to(&mut source, &mut found)?;
        let found = &found[..read];
        if found.is_empty() {
            return Err(OpenError::Empty);
        }
        let magic = found.len().min(MAGIC.len());
        if found[..magic] != MAGIC[..magic] {
            return Err(OpenError::NotARecording);
        }
        let (Some(format), Some(checksum)) = (number_at(found, 8), number_at(found, 12)) else {
            return Err(OpenError::CutInHeader);
        };
        if checksum != crc32fast::hash(&found[..12]) {
            return Err(OpenError::DamagedHeader);
        }
        match format {
            FORMAT => {}
            0 => return Err(OpenError::DamagedHeader),
            newer => return Err(OpenError::Newer { format: newer }),
        }
        Ok(Self { source, at: HEADER_BYTES as u64, number: 0, payload: Vec::new() })
    }

    /// The next frame.
    ///
    /// # Errors
    ///
    /// Where and why there is none.
    pub(super) fn next(&mut self) -> Result<(Kind, &[u8]), Stop> {
        let at = self.at;
        let unreadable = |error| Stop::Unreadable { at, error };
        let mut head = [0; FRAME_HEAD_BYTES];
        match read_up_to(&mut self.source, &mut head).map_err(unreadable)? {
            0 => return Err(Stop::Unfinished { at }),
            FRAME_HEAD_BYTES => {}
            _ => return Err(Stop::Cut { at }),
        }
        let [kind, low, high, sum @ ..] = head;
        let length = u16::from_le_bytes([low, high]);
        self.payload.resize(usize::from(length), 0);
        let read = read_up_to(&mut self.source, &mut self.payload).map_err(unreadable)?;
        if read < self.payload.len() {
            return Err(Stop::Cut { at });
        }
        if u32::from_le_bytes(sum) != checksum(self.number, kind, length, &self.payload) {
            return Err(Stop::Damaged { at, damage: Damage::Checksum });
        }
        let kind =
            Kind::of(kind).ok_or(Stop::Damaged { at, damage: Damage::UnknownFrame { kind } })?;
        self.number += 1;
        self.at += (FRAME_HEAD_BYTES + self.payload.len()) as u64;
        Ok((kind, &self.payload))
    }

    /// Whether nothing follows.
    pub(super) fn at_end(&mut self) -> io::Result<bool> {
        Ok(read_up_to(&mut self.source, &mut [0])? == 0)
    }
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

/// Fills `buffer` as far as the source goes.
fn read_up_to(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
