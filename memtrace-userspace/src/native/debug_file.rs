//! Separate debug files: by build id, and by the name that `.gnu_debuglink` gives.
//!
//! Looked for below the target's root first, then below ours. One that doesn't carry the same build
//! id, or the checksum that the link names, belongs to another build and is not used.

use std::fs::{File, Metadata};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use object::Object;
use rustix::fs::{Mode, OFlags, ResolveFlags};

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
                && let Some(file) = open(root, &Path::new(DEBUG_FOLDER).join(name))
                && self.has_same_id(&file)
            {
                return Some(file);
            }
            let Some((name, sum)) = &self.name else { continue };
            let places = [
                folder.join(name),
                folder.join(".debug").join(name),
                Path::new(DEBUG_FOLDER).join(folder).join(name),
            ];
            for place in places {
                // The file itself may have that name.
                let other = place != inside;
                if let Some(file) = open(root, &place).filter(|_| other)
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

/// Opens a regular file that is not too large, below a root: no link leads out of it. Waits for no pipe.
fn open(root: &Path, path: &Path) -> Option<File> {
    let root = File::options().read(true).open(root).ok()?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = rustix::fs::openat2(&root, path, flags, Mode::empty(), resolve).ok()?;
    let file = File::from(file);
    let fits = |metadata: Metadata| metadata.is_file() && metadata.len() <= MAX_FILE_BYTES;
    file.metadata().is_ok_and(fits).then_some(file)
}

fn checksum(mut file: &File) -> Option<u32> {
    file.rewind().ok()?;
    // It may grow as it is read.
    let mut file = file.take(MAX_FILE_BYTES);
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

    #[test]
    fn no_link_leads_out_of_the_root_and_what_claims_too_much_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        std::fs::create_dir(&root).unwrap();
        std::fs::write(&outside, "not the target's").unwrap();
        std::fs::write(root.join("own"), "the target's").unwrap();
        std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
        std::os::unix::fs::symlink("/own", root.join("inside")).unwrap();
        let hole = File::create(root.join("hole")).unwrap();
        hole.set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(open(&root, Path::new("link")).is_none());
        assert!(open(&root, Path::new("hole")).is_none());
        let inside = open(&root, Path::new("inside")).unwrap();
        assert_eq!(checksum(&inside), Some(crc32fast::hash(b"the target's")));
    }
}
