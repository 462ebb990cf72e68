//! Writing a recording.
//!
//! What was flushed is whole: should the medium refuse later, the recording is cut back to it and
//! gets an end mark that says why, as far as there is room for one. Knows no files and no clock.

use std::io;

use prost::Message;

use super::frame::{self, FORMAT, Kind};
use super::medium::Medium;
use super::sound::{SoFar, Unsound};
use super::stream::{MAX_PIECE, Packer, allowed};
use super::{MAX_ENTRY, encode, wire};
use crate::history::{Entry, Head};

/// So much waits in memory at most before it is written, flushed or not.
const WAITING: usize = 256 << 10;
/// The longest reason that an end mark keeps.
const MAX_REASON: usize = 200;
/// An end mark takes no more: a frame's head, a number, the reason.
const END_ROOM: u64 = MAX_REASON as u64 + 40;

/// How much of a recording is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Saved {
    /// Bytes of the file.
    pub bytes: u64,
    /// Entries in it.
    pub entries: u64,
    /// Of them, windows.
    pub windows: u64,
}

/// Why a recording can't go on.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The medium refused.
    #[error("writing the recording: {error}; {} windows ({} bytes) are saved", saved.windows, saved.bytes)]
    Medium {
        /// What it said; it is in the sentence, and so no cause to be told beside it.
        error: io::Error,
        /// What is in the recording.
        saved: Saved,
    },
    /// An entry that no reader would take: a mistake in memtrace.
    #[error("an entry makes no sense: {0}")]
    Unsound(#[from] Unsound),
    /// An entry of more than 4 MiB.
    #[error("an entry of {0} bytes is too long for a recording")]
    TooLong(usize),
    /// It has failed before.
    #[error("the recording has ended")]
    Over,
}

/// A recording under way.
pub struct Writer<M: Medium> {
    medium: M,
    packer: Packer,
    so_far: SoFar,
    /// Frames written.
    frames: u64,
    /// Entries not yet in a frame.
    waiting: Vec<u8>,
    /// With what waits.
    added: Saved,
    /// Bytes of entries in frames, before compression.
    packed: u64,
    /// What is written and whole.
    written: Saved,
    /// Frames in it.
    written_frames: u64,
    /// What is written and survives a power cut.
    durable: (Saved, u64),
    over: bool,
}

impl<M: Medium> Writer<M> {
    /// Begins a recording in an empty medium.
    ///
    /// # Errors
    ///
    /// [`WriteError::Medium`]
    pub fn begin(medium: M, head: &Head) -> Result<Self, WriteError> {
        let failed = |error| WriteError::Medium { error, saved: Saved::default() };
        let mut writer = Self {
            medium,
            packer: Packer::new().map_err(failed)?,
            so_far: SoFar::default(),
            frames: 0,
            waiting: Vec::new(),
            added: Saved::default(),
            packed: 0,
            written: Saved::default(),
            written_frames: 0,
            durable: (Saved::default(), 0),
            over: false,
        };
        let mut start = frame::header(FORMAT).to_vec();
        let head = encode::head(head).encode_to_vec();
        writer.frame(&mut start, Kind::Head, &head).map_err(failed)?;
        writer.write(&start, END_ROOM)?;
        writer.make_durable()?;
        Ok(writer)
    }

    /// Adds an entry. It is in the file after [`Writer::flush`].
    ///
    /// # Errors
    ///
    /// [`WriteError`]. After one of the medium the recording has ended.
    pub fn add(&mut self, entry: &Entry) -> Result<(), WriteError> {
        if self.over {
            return Err(WriteError::Over);
        }
        let encoded = encode::entry(entry, &self.so_far);
        let length = encoded.encoded_len();
        if length > MAX_ENTRY {
            return Err(self.refuse(WriteError::TooLong(length)));
        }
        if let Err(unsound) = self.so_far.admit(entry) {
            return Err(self.refuse(unsound.into()));
        }
        self.waiting.reserve(length + prost::length_delimiter_len(length));
        // There is room.
        let _ = encoded.encode_length_delimited(&mut self.waiting);
        self.added.entries += 1;
        self.added.windows += u64::from(matches!(entry, Entry::Window(_)));
        if self.waiting.len() >= WAITING { self.flush() } else { Ok(()) }
    }

    /// Writes what was added, so that a reader of the file has it, and so that it stays when
    /// memtrace is killed.
    ///
    /// # Errors
    ///
    /// [`WriteError::Medium`]. The recording has ended then, in its last whole state.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        if self.over {
            return Err(WriteError::Over);
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        let mut frames = Vec::new();
        for piece in waiting.chunks(MAX_PIECE) {
            let packed = match self.packer.pack(piece) {
                Ok(packed) => packed.to_vec(),
                Err(error) => return Err(self.end_early(error, self.written, self.written_frames)),
            };
            // Before the piece: whoever reads it must be allowed to.
            self.packed += piece.len() as u64;
            let own = (packed.len() + frame::FRAME_HEAD_BYTES) as u64;
            while allowed(self.written.bytes + frames.len() as u64 + own) < self.packed {
                self.frame(&mut frames, Kind::Padding, &[0; 1 << 10]).map_err(self.failed())?;
            }
            self.frame(&mut frames, Kind::Piece, &packed).map_err(self.failed())?;
        }
        self.waiting = waiting;
        self.waiting.clear();
        self.write(&frames, END_ROOM)
    }

    /// Makes what was flushed survive a power cut.
    ///
    /// # Errors
    ///
    /// [`WriteError::Medium`]. The recording has ended then, as it was when this went well last.
    pub fn make_durable(&mut self) -> Result<(), WriteError> {
        match self.medium.make_durable() {
            Ok(()) => {
                self.durable = (self.written, self.written_frames);
                Ok(())
            }
            // The kernel tells a failure once and forgets what it could not write.
            Err(error) => Err(self.end_early(error, self.durable.0, self.durable.1)),
        }
    }

    /// Ends the recording properly and makes it durable.
    ///
    /// # Errors
    ///
    /// [`WriteError::Medium`]
    pub fn finish(mut self) -> Result<(M, Saved), WriteError> {
        self.flush()?;
        let mut frames = Vec::new();
        let end = wire::End { entries: self.added.entries, abandoned: String::new() };
        self.frame(&mut frames, Kind::End, &end.encode_to_vec()).map_err(self.failed())?;
        self.write(&frames, 0)?;
        self.make_durable()?;
        Ok((self.medium, self.written))
    }

    /// What ends a copy of what was flushed, so that it is a whole recording. The recording itself
    /// goes on. Nothing where it has ended.
    ///
    /// # Errors
    ///
    /// None that is known of.
    pub fn end_mark(&self) -> io::Result<Vec<u8>> {
        let mut mark = Vec::new();
        if !self.over {
            let end = wire::End { entries: self.written.entries, abandoned: String::new() };
            frame::write(&mut mark, self.written_frames, Kind::End, &end.encode_to_vec())?;
        }
        Ok(mark)
    }

    /// What was written so far and is whole.
    #[must_use]
    pub fn saved(&self) -> Saved {
        self.written
    }

    /// What was written to, in the state that the last call left.
    #[must_use]
    pub fn into_medium(self) -> M {
        self.medium
    }

    /// A recording whose frames are right and whose entries are whatever `stream` holds: for tests
    /// of readers.
    ///
    /// # Errors
    ///
    /// None, in memory.
    #[doc(hidden)]
    pub fn forge(medium: M, head: &Head, stream: &[u8]) -> Result<M, WriteError> {
        let mut writer = Self::begin(medium, head)?;
        stream.clone_into(&mut writer.waiting);
        writer.flush()?;
        Ok(writer.medium)
    }

    fn failed(&self) -> impl Fn(io::Error) -> WriteError + use<M> {
        let saved = self.written;
        move |error| WriteError::Medium { error, saved }
    }

    fn frame(&mut self, out: &mut Vec<u8>, kind: Kind, payload: &[u8]) -> io::Result<()> {
        frame::write(out, self.frames, kind, payload)?;
        self.frames += 1;
        Ok(())
    }

    /// Writes whole frames, all of them or none, with room behind them: where there is none left
    /// for an end mark, they are the first that do not fit.
    fn write(&mut self, frames: &[u8], room: u64) -> Result<(), WriteError> {
        let written = self.medium.write_all(frames).and_then(|()| self.medium.flush());
        let reserved = written.and_then(|()| match room {
            0 => Ok(()),
            room => self.medium.reserve(room),
        });
        match reserved {
            Ok(()) => {
                self.written =
                    Saved { bytes: self.written.bytes + frames.len() as u64, ..self.added };
                self.written_frames = self.frames;
                Ok(())
            }
            Err(error) => Err(self.end_early(error, self.written, self.written_frames)),
        }
    }

    /// Ends the recording before an entry that no reader would take.
    fn refuse(&mut self, wrong: WriteError) -> WriteError {
        if let Err(error) = self.flush() {
            return error;
        }
        let why = io::Error::other(wrong.to_string());
        self.end_early(why, self.written, self.written_frames);
        wrong
    }

    /// Goes back to a whole state, and says in the file why it ends there. There is room for that:
    /// it was kept, where the medium can.
    fn end_early(&mut self, error: io::Error, mut saved: Saved, frames: u64) -> WriteError {
        self.over = true;
        self.frames = frames;
        let mut why = error.to_string();
        why.truncate(why.floor_char_boundary(MAX_REASON));
        let end = wire::End { entries: saved.entries, abandoned: why };
        let mut mark = Vec::new();
        let cut = self.medium.cut_to(saved.bytes);
        if cut.is_ok()
            && saved.bytes > 0
            && self.frame(&mut mark, Kind::End, &end.encode_to_vec()).is_ok()
        {
            let marked = self.medium.write_all(&mark).and_then(|()| self.medium.flush());
            match marked.and_then(|()| self.medium.make_durable()) {
                Ok(()) => saved.bytes += mark.len() as u64,
                // It stays cut off, which readers take as well.
                Err(_) => drop(self.medium.cut_to(saved.bytes)),
            }
        }
        WriteError::Medium { error, saved }
    }
}
