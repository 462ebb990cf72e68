//! Separate debug files: by build id, and by the name that `.gnu_debuglink` gives.
//!
//! Looked for below the target's root first, then below ours. One that doesn't carry the same build
//! id, or the checksum that the link names, belongs to another build and is not used.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use object::Object;

use super::limits::MAX_FILE_BYTES;
use crate::python::BoundedRead;

/// Where distributions put debug files.
const DEBUG_FOLDER: &str = "usr/lib/debug";

/// What a file says of its debug file.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) build_id: Vec<u8>,
    /// Name and CRC-32.
    pub(super) name: Option<(String, u32)>,
}

impl Link {
    pub(super) fn of(elf: &super::sections::Elf<'_>) -> Self {
        let build_id = elf.build_id().ok().flatten().unwrap_or_default().to_vec();
        let link = elf.gnu_debuglink().ok().flatten();
        let name = link.map(|(name, sum)| (String::from_utf8_lossy(name).into_owned(), sum));
        Self { build_id, name: name.filter(|(name, _)| !name.contains('/')) }
    }

    /// The debug file of the file at `path`, as the process with root `root` names it.
    pub(super) fn find(&self, path: &Path, root: &Path) -> Option<File> {
        let inside = path.strip_prefix("/").unwrap_or(path);
        let folder = inside.parent().unwrap_or(Path::new(""));
        for root in [root, Path::new("/")] {
            if let Some(name) = by_build_id(&self.build_id)
                && let Some(file) = open(&root.join(DEBUG_FOLDER).join(name))
                && self.has_same_id(&file)
            {
                return Some(file);
            }
            let Some((name, sum)) = &self.name else { continue };
            let places = [
                root.join(folder).join(name),
                root.join(folder).join(".debug").join(name),
                root.join(DEBUG_FOLDER).join(folder).join(name),
            ];
            for place in places {
                // The file itself may have that name.
                let other = place != root.join(inside);
                if let Some(file) = open(&place).filter(|_| other)
                    && (self.has_same_id(&file) || checksum(&file) == Some(*sum))
                {
                    return Some(file);
                }
            }
        }
        None
    }

    fn has_same_id(&self, file: &File) -> bool {
        let cache = BoundedRead::new(file, MAX_FILE_BYTES);
        let id =
            object::File::parse(&cache).ok().and_then(|elf| Some(elf.build_id().ok()??.to_vec()));
        !self.build_id.is_empty() && id.as_ref() == Some(&self.build_id)
    }
}

/// `.build-id/ab/cdef….debug`
fn by_build_id(id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = id.split_first().filter(|(_, rest)| !rest.is_empty() && id.len() <= 64)?;
    let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(PathBuf::from(format!(".build-id/{first:02x}/{rest}.debug")))
}

/// Opens a regular file, and waits for no pipe.
fn open(path: &Path) -> Option<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    let file =
        options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path).ok()?;
    file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(file)
}

fn checksum(mut file: &File) -> Option<u32> {
    file.rewind().ok()?;
    let mut sum = crc32fast::Hasher::new();
    let mut bytes = vec![0; 1 << 16];
    loop {
        match file.read(&mut bytes).ok()? {
            0 => return Some(sum.finalize()),
            read => sum.update(&bytes[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_id_names_a_debug_file() {
        let name = by_build_id(&[0xab, 0xcd, 0x0e]).unwrap();
        assert_eq!(name, Path::new(".build-id/ab/cd0e.debug"));
        assert_eq!(by_build_id(&[0xab]), None);
    }
}
