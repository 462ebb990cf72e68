//! Where results go: standard output, or a file that is known to be writable before any work.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A place for a result.
#[derive(Debug)]
pub struct Output {
    place: Place,
}

#[derive(Debug)]
enum Place {
    Stdout,
    Stderr,
    File(PathBuf, File),
}

impl Output {
    /// Standard output, or `path`: opened now, so that a file that can't be written is found
    /// before tracing and not after. What it holds stays until there is something to put there.
    ///
    /// # Errors
    ///
    /// When the file can't be opened for writing.
    pub fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let place = match path {
            None => Place::Stdout,
            Some(path) => {
                // A named pipe without a reader is an error at once, not a wait.
                let mut options = File::options();
                options.write(true).create(true).truncate(false);
                let file = options.custom_flags(libc::O_NONBLOCK).open(path);
                let file = file.with_context(|| format!("can't write to {}", path.display()))?;
                rustix::fs::fcntl_setfl(&file, rustix::fs::OFlags::empty()).context("fcntl")?;
                // Files of /proc open for root and then refuse every write, the empty one too.
                (&file).write(&[]).with_context(|| format!("can't write to {}", path.display()))?;
                Place::File(path.to_owned(), file)
            }
        };
        Ok(Self { place })
    }

    /// As [`Output::open`], with standard error instead of standard output, which belongs to the
    /// command that is run.
    ///
    /// # Errors
    ///
    /// As [`Output::open`].
    pub fn beside_a_command(path: Option<&Path>) -> anyhow::Result<Self> {
        let mut output = Self::open(path)?;
        if matches!(output.place, Place::Stdout) {
            output.place = Place::Stderr;
        }
        Ok(output)
    }

    /// Whether the result goes to a terminal.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        match &self.place {
            Place::Stdout => io::stdout().is_terminal(),
            Place::Stderr => io::stderr().is_terminal(),
            Place::File(_, file) => file.is_terminal(),
        }
    }

    /// Columns of the terminal that the result goes to; `None` when it goes elsewhere, or the
    /// terminal doesn't say.
    #[must_use]
    pub fn terminal_width(&self) -> Option<usize> {
        if !self.is_terminal() {
            return None;
        }
        let size = match &self.place {
            Place::Stdout => rustix::termios::tcgetwinsize(io::stdout()),
            Place::Stderr => rustix::termios::tcgetwinsize(io::stderr()),
            Place::File(_, file) => rustix::termios::tcgetwinsize(file),
        };
        size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
    }

    /// Why bytes that are no text should not be written here; `None` where they may.
    #[must_use]
    pub fn unfit_for_bytes(&self) -> Option<&'static str> {
        match &self.place {
            // The command's own messages go there.
            Place::Stderr => Some("would be mixed with the command's messages"),
            Place::Stdout | Place::File(..) => self.is_terminal().then_some("this is a terminal"),
        }
    }

    /// Writes the result. A reader that went away is no failure.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn write(
        self,
        write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let result = match self.place {
            Place::Stdout => to(io::stdout().lock(), write),
            Place::Stderr => to(io::stderr().lock(), write),
            Place::File(path, file) => file
                .set_len(0)
                .or_else(|error| if is_special(&file) { Ok(()) } else { Err(error) })
                .map_err(anyhow::Error::from)
                .and_then(|()| to(file, write))
                .with_context(|| format!("can't write to {}", path.display())),
        };
        match result {
            Err(error) if is_broken_pipe(&error) => Ok(()),
            result => result,
        }
    }
}

/// Pipes and devices have no length to set.
fn is_special(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| !metadata.is_file())
}

fn to(
    out: impl Write,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(out);
    write(&mut out)?;
    Ok(out.flush()?)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}
