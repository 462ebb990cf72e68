//! Reading a recording as far as it goes.
//!
//! A file is anybody's text: everything is checked, what is reserved follows from bytes that are
//! there, and nothing is done with entries but handing them out.

use std::io::Read;

use prost::Message;

use super::frame::{Frames, Kind};
use super::sound::SoFar;
use super::stop::{Damage, OpenError, Stop};
use super::stream::{Unpacker, allowed};
use super::{MAX_ENTRY, decode, wire};
use crate::history::{Entry, Head};

/// Entries of a recording, in order: an iterator, and what ended it ([`Reader::stop`]).
pub struct Reader<R> {
    frames: Frames<R>,
    head: Head,
    unpacker: Unpacker,
    /// Entries' encodings, from `taken` on; the last one may go on in the next piece.
    pending: Vec<u8>,
    taken: usize,
    /// Where the frame begins that brought the last of them.
    piece_at: u64,
    /// Bytes of entries so far.
    unpacked: u64,
    so_far: SoFar,
    entries: u64,
    stop: Option<Stop>,
}

impl<R: Read> Reader<R> {
    /// Begins to read. The source is read in small pieces: give it a buffer.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: there is nothing that can be read.
    pub fn open(source: R) -> Result<Self, OpenError> {
        let mut frames = Frames::open(source)?;
        let head = match frames.next() {
            Ok((Kind::Head, payload)) => wire::Head::decode(payload).ok().and_then(decode::head),
            Ok(_) | Err(Stop::Damaged { .. }) => None,
            Err(Stop::Unreadable { error, .. }) => return Err(OpenError::Io(error)),
            Err(_) => return Err(OpenError::CutInHeader),
        };
        Ok(Self {
            frames,
            head: head.ok_or(OpenError::DamagedHeader)?,
            unpacker: Unpacker::new()?,
            pending: Vec::new(),
            taken: 0,
            piece_at: 0,
            unpacked: 0,
            so_far: SoFar::default(),
            entries: 0,
            stop: None,
        })
    }

    /// What the recording is about.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Where and why reading ended; `None` as long as it goes on.
    #[must_use]
    pub fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// [`Reader::stop`], to keep.
    #[must_use]
    pub fn into_stop(self) -> Option<Stop> {
        self.stop
    }

    /// Bytes read so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.frames.at
    }

    fn next_entry(&mut self) -> Result<Entry, Stop> {
        loop {
            let at = self.piece_at;
            let damaged = |damage| Stop::Damaged { at, damage };
            if let Some(encoded) = self.encoded().map_err(damaged)? {
                let wire = wire::Entry::decode(&self.pending[encoded])
                    .map_err(|error| damaged(Damage::Encoding(error.to_string())))?;
                let entry = decode::entry(wire, &self.so_far)
                    .map_err(|wrong| damaged(Damage::Encoding(wrong.to_owned())))?;
                self.so_far.admit(&entry).map_err(|unsound| damaged(unsound.into()))?;
                self.entries += 1;
                return Ok(entry);
            }
            self.next_piece()?;
        }
    }

    /// Where the next entry's encoding lies, if all of it is there.
    fn encoded(&mut self) -> Result<Option<std::ops::Range<usize>>, Damage> {
        let mut rest = &self.pending[self.taken..];
        let there = rest.len();
        let length = match prost::decode_length_delimiter(&mut rest) {
            Ok(length) => length,
            // A length takes ten bytes at most.
            Err(_) if there < 10 => return Ok(None),
            Err(error) => return Err(Damage::Encoding(error.to_string())),
        };
        if length > MAX_ENTRY {
            return Err(Damage::TooLong(length as u64));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let start = self.taken + there - rest.len();
        self.taken = start + length;
        Ok(Some(start..self.taken))
    }

    /// Reads up to and including the next piece.
    fn next_piece(&mut self) -> Result<(), Stop> {
        let at = self.frames.at;
        let damaged = |damage| Stop::Damaged { at, damage };
        let (kind, payload) = self.frames.next()?;
        match kind {
            Kind::Padding => Ok(()),
            Kind::Head => Err(damaged(Damage::Misplaced)),
            Kind::Piece => {
                let piece = self.unpacker.unpack(payload).map_err(damaged)?;
                self.piece_at = at;
                self.unpacked += piece.len() as u64;
                self.pending.drain(..self.taken);
                self.taken = 0;
                self.pending.extend(piece);
                if self.unpacked > allowed(self.frames.at) {
                    return Err(damaged(Damage::Inflated));
                }
                Ok(())
            }
            Kind::End => {
                let end = wire::End::decode(payload)
                    .map_err(|error| damaged(Damage::Encoding(error.to_string())))?;
                if end.entries != self.entries || self.taken < self.pending.len() {
                    return Err(damaged(Damage::EndTooEarly));
                }
                let at = self.frames.at;
                Err(match self.frames.at_end() {
                    Ok(false) => Stop::Trailing { at },
                    Err(error) => Stop::Unreadable { at, error },
                    Ok(true) if end.abandoned.is_empty() => Stop::Complete,
                    Ok(true) => Stop::Abandoned { why: end.abandoned },
                })
            }
        }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.stop.is_some() {
            return None;
        }
        match self.next_entry() {
            Ok(entry) => Some(entry),
            Err(stop) => {
                self.stop = Some(stop);
                None
            }
        }
    }
}
