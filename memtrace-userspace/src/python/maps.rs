//! What is mapped where in a process: `/proc/PID/maps`, parsed.
//!
//! The `procfs` crate is not used for this one file: it wants UTF-8, and one mapped file with a
//! Latin-1 name would make the whole process unreadable. Nothing is read here beyond `maps` itself;
//! mapped files are opened for others to read.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes of `maps` that are read: some 500,000 mappings, over seven times the kernel's default
/// `vm.max_map_count`.
const MAPS_LIMIT: u64 = 64 << 20;

/// One line of `/proc/PID/maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
    /// Byte of the file that is at `start`.
    pub offset: u64,
    /// Device number (major, minor) as `maps` has it; not `st_dev` on btrfs and overlayfs.
    pub device: (u32, u32),
    /// Inode; 0 for anonymous memory.
    pub inode: u64,
    /// `w`
    pub writable: bool,
    /// `x`
    pub executable: bool,
    /// `s`: shared with other processes, `p` otherwise.
    pub shared: bool,
    /// The file as the kernel names it from our root directory, or `[heap]` and the like; empty
    /// for anonymous memory. ` (deleted)` is taken off.
    pub path: PathBuf,
    /// The file has no name any more.
    pub deleted: bool,
}

impl Mapping {
    /// Whether a file (not anonymous memory, not a device of the kernel's own) is mapped.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.inode != 0 && self.path.is_absolute()
    }

    /// The name in `/proc/PID/map_files`.
    #[must_use]
    pub fn map_file(&self, pid: u32) -> PathBuf {
        PathBuf::from(format!("/proc/{pid}/map_files/{:x}-{:x}", self.start, self.end))
    }

    /// Opens the file that is really mapped: through `map_files`, which needs
    /// `CAP_CHECKPOINT_RESTORE` (`CAP_SYS_ADMIN` before Linux 5.9), or else by its name, if that
    /// still leads to the same inode.
    ///
    /// # Errors
    ///
    /// What `map_files` said, when neither way leads to the file.
    pub fn open(&self, pid: u32) -> io::Result<File> {
        let denied = match File::open(self.map_file(pid)) {
            Ok(file) => return Ok(file),
            Err(error) => error,
        };
        self.names(pid)
            .into_iter()
            .filter_map(|path| File::open(path).ok())
            .find(|file| file.metadata().is_ok_and(|it| it.ino() == self.inode))
            .ok_or(denied)
    }

    /// Paths by which we might reach the file. In a container of its own mount namespace the name
    /// holds from the process's root, in a plain chroot from ours; the program itself is there
    /// even when it has been deleted.
    #[must_use]
    pub fn names(&self, pid: u32) -> [PathBuf; 3] {
        let process = Path::new("/proc").join(pid.to_string());
        let inside = self.path.strip_prefix("/").unwrap_or(&self.path);
        [self.path.clone(), process.join("root").join(inside), process.join("exe")]
    }

    /// Addresses.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.start..self.end
    }

    /// Last part of the path, empty if it has none or is not UTF-8.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Whether the other mapping is of the same file.
    #[must_use]
    pub fn same_file(&self, other: &Self) -> bool {
        self.inode == other.inode && self.device == other.device && self.path == other.path
    }

    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let mut rest = line;
        let (start, end) = split_once(word(&mut rest)?, b'-')?;
        let flags = word(&mut rest)?;
        let offset = word(&mut rest)?;
        let (major, minor) = split_once(word(&mut rest)?, b':')?;
        let inode = std::str::from_utf8(word(&mut rest)?).ok()?.parse().ok()?;
        let path = rest.trim_ascii_start();
        let (path, deleted) = match path.strip_suffix(b" (deleted)") {
            Some(path) => (path, true),
            None => (path, false),
        };
        Some(Self {
            start: hexadecimal(start)?,
            end: hexadecimal(end)?,
            offset: hexadecimal(offset)?,
            device: (u32::try_from(hexadecimal(major)?).ok()?, hexadecimal(minor)? as u32),
            inode,
            writable: flags.get(1) == Some(&b'w'),
            executable: flags.get(2) == Some(&b'x'),
            shared: flags.get(3) == Some(&b's'),
            path: PathBuf::from(OsString::from_vec(without_escapes(path))),
            deleted,
        })
        .filter(|mapping| mapping.start < mapping.end)
    }
}

/// A process's mappings at one moment, by address.
#[derive(Debug, Clone, Default)]
pub struct Mappings(Vec<Mapping>);

impl Mappings {
    /// Reads `/proc/PID/maps`. Empty for kernel threads and for processes that have ended but
    /// not been waited for.
    ///
    /// # Errors
    ///
    /// `NotFound` (no such process), `PermissionDenied`, or `ESRCH` when it ends meanwhile.
    pub fn of(pid: u32) -> io::Result<Self> {
        let mut text = Vec::new();
        File::open(Path::new("/proc").join(pid.to_string()).join("maps"))?
            .take(MAPS_LIMIT)
            .read_to_end(&mut text)?;
        Ok(Self::parse(&text))
    }

    /// The text of a `maps` file; lines that make no sense are left out.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        Self(text.split(|&byte| byte == b'\n').filter_map(Mapping::parse).collect())
    }

    /// The mapping that this address is in.
    #[must_use]
    pub fn at(&self, address: u64) -> Option<&Mapping> {
        let index = self.0.partition_point(|mapping| mapping.end <= address);
        self.0.get(index).filter(|mapping| mapping.start <= address)
    }

    /// All of them, by address.
    pub fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn word<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let line = rest.trim_ascii_start();
    let end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    *rest = &line[end..];
    Some(&line[..end]).filter(|word| !word.is_empty())
}

fn split_once(word: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = word.iter().position(|&byte| byte == at)?;
    Some((&word[..index], &word[index + 1..]))
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// `maps` writes a line feed in a file name as `\012` (`seq_file_path` in `fs/proc/task_mmu.c`).
fn without_escapes(path: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b"\\012") {
            clean.push(b'\n');
            rest = after;
        } else {
            clean.push(first);
            rest = after;
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_maps_is_read_with_spaces_deletion_and_latin_1() {
        let text = b"7f10-7f20 r-xp 00001000 fe:01 42    /srv/my app\xe9\\012x.so (deleted)\n\
            7f20-7f30 rw-p 00000000 00:00 0 \n\
            7ffc-8000 rw-p 00000000 00:00 0                          [stack]\n";
        let maps = Mappings::parse(text);
        let first = maps.at(0x7f1f).unwrap();
        assert_eq!((first.start, first.end, first.offset), (0x7f10, 0x7f20, 0x1000));
        assert_eq!((first.device, first.inode), ((0xfe, 1), 42));
        assert!(first.executable && first.deleted && !first.writable && !first.shared);
        assert_eq!(first.path.as_os_str().as_encoded_bytes(), b"/srv/my app\xe9\nx.so");
        assert!(first.is_file() && !maps.at(0x7ffd).unwrap().is_file());
        assert!(maps.at(0x7f20).unwrap().path.as_os_str().is_empty());
        assert_eq!((maps.at(0x7f0f), maps.at(0x8000)), (None, None));
    }

    #[test]
    fn nonsense_is_left_out() {
        let maps = Mappings::parse(b"zz-1 r-xp\n\n20-10 r--p 0 0:0 0\n10-20 r--p 0 0:0 0\n");
        assert_eq!(maps.iter().count(), 1);
    }
}
