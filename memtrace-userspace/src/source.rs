//! Reading the source text of a target, as the target sees it.
//!
//! A file name in a code object means something inside the target's root and mount namespace only:
//! in a container `/app/main.py` is another file than here, or none. So [`TargetFiles`] holds on to
//! the target's root while it lives, and resolves every name inside it; no link leads out. Only
//! regular files are opened, only for reading, and only if the target itself may read them
//! (`reader.rs`): nothing of the target changes (but, on mounts that keep it, a file's access time).
//!
//! It does not look into zip archives, can't know that a file is still the one that was loaded (it
//! says so when the file is younger than the process), and does not guard against a file system
//! that hangs.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::profile::Profile;
use crate::report::table::{TableOptions, shown_files};
use crate::report::{SourceText, SourceTexts};

mod encoding;
mod reader;

use reader::Reader;

/// How far [`started_at`] may be too early: two values cut to the second.
const START_PRECISION: Duration = Duration::from_secs(2);

/// More than any source file has; a name may lead to a data file of any size.
pub const MAX_SOURCE: u64 = 16 << 20;

/// `openat2` asks to be called again when something was renamed on the way. So often, then we give up.
const RESOLVE_ATTEMPTS: usize = 16;

/// Why there is no source text.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// `<string>`, `<frozen importlib._bootstrap>`: made from text that is in no file.
    #[error("not a file: the code was made from a string or is built into the interpreter")]
    NotAFile,
    /// The name is relative and the target's directory is not to be found inside its root.
    #[error("the name is relative, and the program's directory could not be read")]
    NoDirectory,
    /// Nothing there, as the target sees it.
    #[error("no such file at {} in the target's root{}", path.display(), hint(*relative))]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// Whether it was found relative to the target's directory.
        relative: bool,
    },
    /// A directory of the name is a file: a zipapp, an egg, a wheel on the path.
    #[error("inside the archive {}, which memtrace does not unpack", archive.display())]
    InArchive {
        /// The file.
        archive: PathBuf,
    },
    /// A pipe, a device, a directory.
    #[error("not a regular file")]
    NotRegular,
    /// Larger than [`MAX_SOURCE`].
    #[error("larger than {} MiB", MAX_SOURCE >> 20)]
    TooLarge,
    /// Not readable with the target's own rights, and not to be read with others.
    #[error(
        "not read: memtrace can't take on the rights of the target's user ({0}); run it as root"
    )]
    NotAsTheTarget(io::Error),
    /// The kernel doesn't know `openat2` (before 5.6) or a sandbox forbids it.
    #[error(
        "this kernel has no openat2 (Linux 5.6), without which the target's root can't be kept"
    )]
    Unsupported,
    /// Anything else.
    #[error("{}: {error}", path.display())]
    Io {
        /// What was opened.
        path: PathBuf,
        /// What went wrong.
        #[source]
        error: io::Error,
    },
}

fn hint(relative: bool) -> &'static str {
    if relative {
        " (the name is relative; the program may have changed its directory)"
    } else {
        ""
    }
}

/// The files of one target, readable after it has ended.
#[derive(Debug)]
pub struct TargetFiles {
    root: OwnedFd,
    /// Keeps the mounts below the root from being taken apart when the target was the last process
    /// of its container. Best effort.
    _mounts: Option<OwnedFd>,
    /// With whose rights files are read.
    reader: Reader,
    /// The target's directory when it was opened, as the target itself would name it.
    directory: Option<PathBuf>,
    /// When the process started, to the second.
    started_at: Option<SystemTime>,
}

/// What was read, and when it was last written.
struct Contents {
    bytes: Vec<u8>,
    modified: Option<SystemTime>,
}

impl TargetFiles {
    /// Takes hold of the root and the directory of a running process.
    pub fn open(pid: u32) -> io::Result<Self> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, process.join("root"), flags, Mode::empty())?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mounts = rustix::fs::openat(CWD, process.join("ns/mnt"), flags, Mode::empty());
        let directory = directory(&process);
        let reader = Reader::of(pid).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { reader, root, _mounts: mounts.ok(), directory, started_at: started_at(pid) })
    }

    /// The text of `file`, a name as code objects have it.
    pub fn read(&self, file: &str) -> Result<String, SourceError> {
        Ok(encoding::decode(&self.contents(file)?.bytes))
    }

    /// The text of `file` as a table wants it: in lines, or why not.
    #[must_use]
    pub fn text(&self, file: &str) -> SourceText {
        match self.contents(file) {
            Err(error) => SourceText::Unreadable(error.to_string()),
            Ok(Contents { bytes, modified }) => {
                let started = self.started_at.map(|started| started + START_PRECISION);
                let changed = started.zip(modified).is_some_and(|(start, written)| written > start);
                SourceText::new(&encoding::decode(&bytes), changed)
            }
        }
    }

    fn contents(&self, file: &str) -> Result<Contents, SourceError> {
        self.reader.run(|| self.contents_as_reader(file)).map_err(SourceError::NotAsTheTarget)?
    }

    fn contents_as_reader(&self, file: &str) -> Result<Contents, SourceError> {
        if file.is_empty() || file.contains('\0') || (file.starts_with('<') && file.ends_with('>'))
        {
            return Err(SourceError::NotAFile);
        }
        let relative = !file.starts_with('/');
        let path = if relative {
            self.directory.as_ref().ok_or(SourceError::NoDirectory)?.join(file)
        } else {
            PathBuf::from(file)
        };

        let found = self.resolve(&path).map_err(|errno| match errno {
            Errno::NOENT => SourceError::Missing { path: path.clone(), relative },
            Errno::NOTDIR => self.inside_a_file(&path, relative),
            Errno::NOSYS => SourceError::Unsupported,
            errno => SourceError::Io { path: path.clone(), error: errno.into() },
        })?;
        contents(found).map_err(|error| match error {
            Unread::Source(error) => error,
            Unread::Io(error) => SourceError::Io { path, error },
        })
    }

    /// A descriptor that names what is at `path`, without opening it: opening a pipe could hang, and
    /// opening a device could do anything.
    fn resolve(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let mut attempts = RESOLVE_ATTEMPTS;
        loop {
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) if attempts > 1 => attempts -= 1,
                done => return done,
            }
        }
    }

    fn inside_a_file(&self, path: &Path, relative: bool) -> SourceError {
        let is_file = |ancestor: &&Path| {
            let found = self.resolve(ancestor);
            found.is_ok_and(|found| file_type(&found) == Ok(FileType::RegularFile))
        };
        match path.ancestors().skip(1).find(is_file) {
            Some(archive) => SourceError::InArchive { archive: archive.to_owned() },
            None => SourceError::Missing { path: path.to_owned(), relative },
        }
    }
}

/// The process's directory as the process names it. `/proc` shows both it and the root as seen from
/// here, so the root comes off; a directory outside of the root has no name inside.
fn directory(process: &Path) -> Option<PathBuf> {
    let root = std::fs::read_link(process.join("root")).ok()?;
    let directory = std::fs::read_link(process.join("cwd")).ok()?;
    Some(Path::new("/").join(directory.strip_prefix(root).ok()?))
}

/// When a process started. Both parts are known to the second at best.
fn started_at(pid: u32) -> Option<SystemTime> {
    let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
    let ticks = process.stat().ok()?.starttime;
    let since_boot = Duration::from_secs(ticks / procfs::ticks_per_second());
    let boot = Duration::from_secs(procfs::boot_time_secs().ok()?);
    Some(SystemTime::UNIX_EPOCH + boot + since_boot)
}

enum Unread {
    Source(SourceError),
    Io(io::Error),
}

fn file_type(file: impl AsFd) -> Result<FileType, Errno> {
    rustix::fs::fstat(file).map(|status| FileType::from_raw_mode(status.st_mode))
}

fn contents(found: OwnedFd) -> Result<Contents, Unread> {
    let io = |errno: Errno| Unread::Io(errno.into());
    if file_type(&found).map_err(io)? != FileType::RegularFile {
        return Err(Unread::Source(SourceError::NotRegular));
    }
    // The same inode, opened for good: what the name means can't change in between.
    let own = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&found));
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, own, flags, Mode::empty()).map_err(io)?;

    let file = File::from(file);
    let modified = file.metadata().and_then(|status| status.modified()).ok();
    let mut bytes = Vec::new();
    file.take(MAX_SOURCE + 1).read_to_end(&mut bytes).map_err(Unread::Io)?;
    if bytes.len() as u64 > MAX_SOURCE {
        return Err(Unread::Source(SourceError::TooLarge));
    }
    Ok(Contents { bytes, modified })
}

/// Reads the files that a table with these options shows, and no others. `files` gives what was
/// opened for a process, by its index in the profile.
pub fn gather<'a>(
    profile: &Profile,
    options: &TableOptions,
    files: &dyn Fn(usize) -> Option<&'a TargetFiles>,
) -> SourceTexts {
    let mut texts = SourceTexts::new();
    for (process, file) in shown_files(profile, options) {
        let text = match files(process) {
            None => SourceText::Unreadable("the target's root could not be opened".to_owned()),
            Some(target) => target.text(&file),
        };
        texts.insert(process, &file, text);
    }
    texts
}

#[cfg(test)]
mod tests;
