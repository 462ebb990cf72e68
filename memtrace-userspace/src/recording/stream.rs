//! The stream of entries: cut into pieces, compressed, and back.
//!
//! One zstd stream for the whole recording, flushed at the end of each piece. Both ends need the
//! memory of its window and no more, however long it gets. A stream begun anew now and then would
//! save nothing: an entry means little without the names that came before it, so nobody could go on
//! behind a damaged frame.
//!
//! A decompressor can be made to give gigabytes for kilobytes. So a recording may hold only so much
//! for each byte of the file ([`allowed`]); the writer pads what compresses better, which hardly
//! ever happens.

use std::io;

use zstd::stream::raw::{CParameter, DParameter, Decoder, Encoder, InBuffer, Operation, OutBuffer};

use super::stop::Damage;

/// What one frame holds at most, before compression.
pub(super) const MAX_PIECE: usize = 16 << 10;
/// More than zstd ever makes of a piece (`ZSTD_compressBound`, and the stream's header).
const MAX_COMPRESSED: usize = MAX_PIECE + (1 << 10);

/// How far back a repetition is found: 256 KiB are the windows of some minutes.
const WINDOW_LOG: u32 = 18;
/// Costs the recorder 2 MiB; level 9 would cost 11 and save a few bytes in a hundred.
const LEVEL: i32 = 3;

/// What a file of that size may hold, in bytes of entries. Windows of an idle process compress
/// 20 : 1 against each other.
pub(super) fn allowed(file_bytes: u64) -> u64 {
    (16 << 10) + file_bytes.saturating_mul(64)
}

/// Entries in, pieces out.
pub(super) struct Packer {
    encoder: Encoder<'static>,
    compressed: Vec<u8>,
}

impl Packer {
    pub(super) fn new() -> io::Result<Self> {
        let mut encoder = Encoder::new(LEVEL)?;
        encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
        Ok(Self { encoder, compressed: vec![0; MAX_COMPRESSED] })
    }

    /// Compresses a piece of at most [`MAX_PIECE`] bytes, so that all of it can be had back.
    pub(super) fn pack(&mut self, piece: &[u8]) -> io::Result<&[u8]> {
        let mut input = InBuffer::around(piece);
        let mut output = OutBuffer::around(&mut self.compressed[..]);
        while input.pos() < piece.len() {
            self.encoder.run(&mut input, &mut output)?;
            room(&output)?;
        }
        while self.encoder.flush(&mut output)? > 0 {
            room(&output)?;
        }
        let length = output.pos();
        Ok(&self.compressed[..length])
    }
}

fn room(output: &OutBuffer<'_, [u8]>) -> io::Result<()> {
    if output.pos() < output.capacity() {
        Ok(())
    } else {
        Err(io::Error::other("zstd made a piece larger than it was"))
    }
}

/// Pieces in, entries out.
pub(super) struct Unpacker {
    decoder: Decoder<'static>,
    piece: Vec<u8>,
}

impl Unpacker {
    pub(super) fn new() -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
        // One byte more, to see that there is more.
        Ok(Self { decoder, piece: vec![0; MAX_PIECE + 1] })
    }

    /// What the payload of the next piece stands for.
    pub(super) fn unpack(&mut self, payload: &[u8]) -> Result<&[u8], Damage> {
        let broken = |error: io::Error| Damage::Compression(error.to_string());
        let mut input = InBuffer::around(payload);
        let mut output = OutBuffer::around(&mut self.piece[..]);
        loop {
            let before = (input.pos(), output.pos());
            let hint = self.decoder.run(&mut input, &mut output).map_err(broken)?;
            if output.pos() > MAX_PIECE {
                return Err(Damage::Inflated);
            }
            if hint == 0 {
                return Err(Damage::Compression("the compressed stream ends".to_owned()));
            }
            if before == (input.pos(), output.pos()) {
                break;
            }
        }
        if input.pos() < payload.len() {
            return Err(Damage::Compression("zstd makes no progress".to_owned()));
        }
        let length = output.pos();
        Ok(&self.piece[..length])
    }
}
