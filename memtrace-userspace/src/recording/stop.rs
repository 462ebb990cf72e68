//! Why there is nothing to read, and where and why reading ended.
//!
//! Sentences and nothing else; who sees them decides whether they are errors.

use std::fmt;
use std::io;

use super::frame::FORMAT;
use super::sound::Unsound;

/// Why a file can't be read as a recording at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No byte in it.
    #[error("is empty: nothing was recorded")]
    Empty,
    /// It begins with something else.
    #[error("is not a memtrace recording")]
    NotARecording,
    /// It ends within its first frame.
    #[error("was cut off in its header: nothing was recorded")]
    CutInHeader,
    /// What says how to read the rest is damaged.
    #[error("has a damaged header: how to read the rest can't be told")]
    DamagedHeader,
    /// Made by a memtrace to come.
    #[error("was made by a newer memtrace (format {format}); this one reads up to {FORMAT}")]
    Newer {
        /// Its format.
        format: u32,
    },
    /// Reading failed.
    #[error("can't be read: {0}")]
    Io(#[from] io::Error),
}

/// Where and why reading ended. Everything before was read.
#[derive(Debug)]
pub enum Stop {
    /// At the recording's proper end.
    Complete,
    /// At its end, and the recorder says that it had to stop early.
    Abandoned {
        /// Why it had to.
        why: String,
    },
    /// After a whole frame, without a proper end.
    Unfinished {
        /// Where the file ends.
        at: u64,
    },
    /// Inside a frame.
    Cut {
        /// Where that frame begins.
        at: u64,
    },
    /// What is there is not what was written.
    Damaged {
        /// Where the damaged frame begins.
        at: u64,
        /// What is wrong.
        damage: Damage,
    },
    /// The proper end was read, and there is more.
    Trailing {
        /// Where it should end.
        at: u64,
    },
    /// The medium refused.
    Unreadable {
        /// Where the frame begins that could not be read.
        at: u64,
        /// What it said.
        error: io::Error,
    },
}

impl Stop {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Complete)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => write!(f, "complete"),
            Self::Abandoned { why } => write!(f, "the recorder had to stop: {why}"),
            Self::Unfinished { at } => write!(
                f,
                "byte {at}: no end mark: memtrace was killed while recording, or is recording still"
            ),
            Self::Cut { at } => write!(f, "byte {at}: cut off in the middle of a frame"),
            Self::Damaged { at, damage } => write!(f, "byte {at}: {damage}"),
            Self::Trailing { at } => write!(f, "byte {at}: something follows the end mark"),
            Self::Unreadable { at, error } => write!(f, "byte {at}: can't be read: {error}"),
        }
    }
}

/// What is wrong with a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Flipped bits, a lost or doubled frame.
    #[error("the frame's checksum differs")]
    Checksum,
    /// Intact, and nothing that this format has.
    #[error("a frame of the unknown kind {kind}")]
    UnknownFrame {
        /// Its number.
        kind: u8,
    },
    /// A kind of frame that can't stand here.
    #[error("a frame out of place")]
    Misplaced,
    /// Not what zstd makes.
    #[error("the frame can't be decompressed: {0}")]
    Compression(String),
    /// A frame, or all of them, hold more than memtrace writes into so few bytes.
    #[error("the frame holds more than its size allows")]
    Inflated,
    /// An entry is longer than entries get.
    #[error("an entry of {0} bytes")]
    TooLong(u64),
    /// Not what protobuf makes, or not what an entry is.
    #[error("an entry can't be decoded: {0}")]
    Encoding(String),
    /// Well-formed and impossible.
    #[error("an entry makes no sense: {0}")]
    Unsound(#[from] Unsound),
    /// Entries are missing, or an entry is without its end.
    #[error("the end mark comes too early")]
    EndTooEarly,
}
