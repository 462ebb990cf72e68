//! Sections of an ELF file, read whole and within bounds.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use object::{CompressionFormat, Object, ObjectSection};

use crate::python::BoundedRead;

/// Bytes that several owners read.
pub(super) type Bytes = Arc<[u8]>;

/// A 64-bit ELF file, parsed as far as its headers.
pub(super) type Elf<'a> = object::File<'a, &'a BoundedRead<'a>>;

/// Addresses of a section.
pub(super) fn addresses(elf: &Elf<'_>, name: &str) -> Option<Range<u64>> {
    let section = elf.section_by_name(name)?;
    Some(section.address()..section.address().checked_add(section.size())?)
}

/// A section's bytes, unpacked; `None` when there is none or it is larger than `limit`.
pub(super) fn bytes(elf: &Elf<'_>, name: &str, limit: u64) -> Option<Bytes> {
    let section = elf.section_by_name(name)?;
    let packed = section.compressed_file_range().ok()?;
    if packed.uncompressed_size > limit || packed.compressed_size > limit {
        return None;
    }
    let data = section.compressed_data().ok()?;
    let whole = match data.format {
        CompressionFormat::None => Arc::from(data.data),
        CompressionFormat::Zlib => {
            unpacked(flate2::read::ZlibDecoder::new(data.data), data.uncompressed_size)?
        }
        CompressionFormat::Zstandard => {
            unpacked(zstd::stream::read::Decoder::new(data.data).ok()?, data.uncompressed_size)?
        }
        _ => return None,
    };
    Some(whole)
}

/// Exactly as much as the header promises, whatever is packed there.
fn unpacked(reader: impl Read, size: u64) -> Option<Arc<[u8]>> {
    let mut whole = Vec::new();
    reader.take(size).read_to_end(&mut whole).ok()?;
    (whole.len() as u64 == size).then(|| Arc::from(whole))
}
