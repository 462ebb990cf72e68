//! Recordings: entries of a trace in a file, written as they come and read as far as they go.
//!
//! [`Writer`] puts [`Entry`](crate::history::Entry)s into a [`Medium`], [`Reader`] gets them back.
//! What a crash, a full disk or a flipped bit leaves behind reads up to there, and [`Stop`] says
//! where and why. Nothing here knows what entries mean for a profile, traces, or opens a file.
//!
//! A recording is a [`frame`]d file. The frames' payloads are pieces of one zstd stream, flushed at
//! the end of each, so that windows that look alike compress against each other and every frame
//! can be read as soon as it is whole ([`stream`]). The stream is a row of entries, each in
//! protobuf's encoding ([`wire`], [`encode`], [`decode`]) behind its length. `docs/recording.md`
//! has the whole format.

mod allocations;
mod decode;
mod encode;
mod frame;
mod medium;
mod reader;
mod recent;
mod sound;
mod stop;
mod stream;
mod wire;
mod writer;

pub use frame::FORMAT;
pub use medium::Medium;
pub use reader::Reader;
pub use recent::Recent;
pub use sound::Unsound;
pub use stop::{Damage, OpenError, Stop};
pub use writer::{Saved, WriteError, Writer};

/// No entry takes more in its encoding. A window of so many bytes has a hundred thousand changes.
const MAX_ENTRY: usize = 4 << 20;
