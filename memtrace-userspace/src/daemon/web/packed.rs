//! Bodies of any size in little memory.
//!
//! A report is made as fast as it can be, so that the next one has its turn, and read as slowly as the other side
//! likes. Reports repeat themselves: packed by zstd, one of 2,000 processes takes some percent of its
//! size. The other side gets it as it was, unpacked piece by piece.

use std::io::{self, BufWriter, Cursor, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use zstd::stream::{read, write};

/// So much stays as it is.
const SMALL: usize = 256 << 10;

/// Fast: what is wanted is less memory, not the least.
const LEVEL: i32 = 1;

/// A piece of what is unpacked.
const PIECE: usize = 64 << 10;

/// Takes a body.
pub(super) enum Packer {
    /// Nothing to pack yet.
    Plain(Vec<u8>),
    /// And how long it is unpacked.
    Packing(BufWriter<write::Encoder<'static, Vec<u8>>>, u64),
}

impl Default for Packer {
    fn default() -> Self {
        Self::Plain(Vec::new())
    }
}

impl Packer {
    /// The body, whole.
    ///
    /// # Errors
    ///
    /// Those of the packer.
    pub(super) fn finish(self) -> io::Result<axum::body::Body> {
        match self {
            Self::Plain(bytes) => Ok(bytes.into()),
            Self::Packing(encoder, length) => {
                let mut packed = encoder.into_inner()?.finish()?;
                packed.shrink_to_fit();
                Ok(axum::body::Body::new(Unpacking::of(packed, length)?))
            }
        }
    }
}

impl Write for Packer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(plain) if plain.len() + bytes.len() <= SMALL => {
                plain.extend_from_slice(bytes);
            }
            Self::Plain(plain) => {
                // Reports come by the word.
                let encoder = write::Encoder::new(Vec::new(), LEVEL)?;
                let mut encoder = BufWriter::with_capacity(PIECE, encoder);
                encoder.write_all(plain)?;
                encoder.write_all(bytes)?;
                let length = (plain.len() + bytes.len()) as u64;
                *self = Self::Packing(encoder, length);
            }
            Self::Packing(encoder, length) => {
                encoder.write_all(bytes)?;
                *length += bytes.len() as u64;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A packed body on its way.
struct Unpacking {
    from: read::Decoder<'static, Cursor<Vec<u8>>>,
    left: u64,
}

impl Unpacking {
    fn of(packed: Vec<u8>, length: u64) -> io::Result<Self> {
        Ok(Self { from: read::Decoder::with_buffer(Cursor::new(packed))?, left: length })
    }

    fn piece(&mut self) -> io::Result<Bytes> {
        let size = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        let mut piece = vec![0; size];
        self.from.read_exact(&mut piece)?;
        self.left -= size as u64;
        Ok(piece.into())
    }
}

impl Body for Unpacking {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(self.piece().map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body of so many lines: as it went in, as it comes out, and whether it was packed meanwhile.
    fn through(lines: usize) -> (Vec<u8>, Vec<u8>, bool) {
        let (mut packer, mut plain) = (Packer::default(), Vec::new());
        for number in 0..lines {
            let line = format!("{{\"line\": {}, \"bytes\": {}}}\n", number % 977, number * 4096);
            plain.extend_from_slice(line.as_bytes());
            packer.write_all(line.as_bytes()).unwrap();
        }
        let is_packed = matches!(packer, Packer::Packing(..));
        let body = packer.finish().unwrap();
        let told = body.size_hint().exact();
        assert_eq!(told, Some(plain.len() as u64));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let all = runtime.block_on(axum::body::to_bytes(body, usize::MAX)).unwrap();
        (plain, all.to_vec(), is_packed)
    }

    #[test]
    fn what_comes_out_is_what_went_in_and_its_length_is_told() {
        for (lines, packed) in [(0, false), (10, false), (200_000, true)] {
            let (plain, out, is_packed) = through(lines);
            assert!(plain == out, "{lines} lines are not the same");
            assert_eq!(is_packed, packed, "{lines} lines");
        }
    }

    #[test]
    fn rows_of_a_report_take_less_packed() {
        let mut packer = Packer::default();
        let row = |number: u32| {
            format!(
                "{{\"file\":\"/srv/app.py\",\"line\":{},\"self_grown_bytes\":{}}}",
                number % 97,
                number % 5
            )
        };
        (0..100_000).for_each(|number| packer.write_all(row(number).as_bytes()).unwrap());
        let Packer::Packing(encoder, length) = packer else { panic!("not packed") };
        let Ok(encoder) = encoder.into_inner() else { panic!("not to be finished") };
        let packed = encoder.finish().unwrap().len() as u64;
        assert!(packed * 10 < length, "{packed} of {length}");
    }
}
