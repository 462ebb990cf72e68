//! Where entries go: into the file as they come, or into memory until it is known whether they are
//! wanted.

use std::fs::File;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::super::sources::SourceKeeper;
use super::file::RecordingFile;
use super::syncing::Syncing;
use crate::history::{Entry, Head};
use crate::recording::{Recent, Saved, Writer};
use crate::source::TargetFiles;

/// Windows that `--on-oom` keeps as they were; older ones are summed up.
const RECENT_WINDOWS: usize = 600;

/// Keeps entries.
pub(super) struct Keeper {
    place: Place,
    file: RecordingFile,
    sources: SourceKeeper,
}

enum Place {
    File { writer: Writer<File>, syncing: Syncing },
    Memory { recent: Recent, head: Head },
}

impl Keeper {
    /// Begins: in the file, or in memory when only a killed process is of interest.
    ///
    /// # Errors
    ///
    /// The file can't be written to.
    pub(super) fn begin(file: RecordingFile, on_oom: bool, head: &Head) -> Result<Self> {
        let place = if on_oom {
            Place::Memory { recent: Recent::new(RECENT_WINDOWS), head: head.clone() }
        } else {
            Place::File { writer: begun(&file, head)?, syncing: Syncing::new(&file)? }
        };
        Ok(Self { place, file, sources: SourceKeeper::default() })
    }

    /// Keeps what has happened, with the source of functions that are new in it. `files` are those
    /// of the processes, in the order in which they began.
    ///
    /// # Errors
    ///
    /// The file can't be written to; the recording is whole up to what the error says.
    pub(super) fn keep(
        &mut self,
        entries: Vec<Entry>,
        files: &[Option<Arc<TargetFiles>>],
    ) -> Result<()> {
        let entries = self.sources.with_sources(entries, files);
        match &mut self.place {
            Place::Memory { recent, .. } => entries.into_iter().for_each(|one| recent.add(one)),
            Place::File { writer, syncing } => {
                if !entries.is_empty() {
                    self.file.keep();
                }
                write(writer, syncing, entries).with_context(|| name(&self.file))?;
            }
        }
        Ok(())
    }

    /// Ends the recording; `None` when it was kept for a killed process and none was.
    ///
    /// # Errors
    ///
    /// As [`Keeper::keep`].
    pub(super) fn finish(mut self, killed: bool) -> Result<Option<Saved>> {
        let writer = match self.place {
            Place::File { writer, .. } => writer,
            Place::Memory { .. } if !killed => return Ok(None),
            Place::Memory { recent, head } => {
                let mut writer = begun(&self.file, &head)?;
                self.file.keep();
                for entry in recent.into_entries() {
                    writer.add(&entry).with_context(|| name(&self.file))?;
                }
                writer
            }
        };
        let (_, saved) = writer.finish().with_context(|| name(&self.file))?;
        Ok(Some(saved))
    }
}

fn begun(file: &RecordingFile, head: &Head) -> Result<Writer<File>> {
    let begun = file.begin().and_then(|file| Ok(Writer::begin(file, head)?));
    begun.with_context(|| name(file))
}

fn write(writer: &mut Writer<File>, syncing: &mut Syncing, entries: Vec<Entry>) -> Result<()> {
    for entry in entries {
        writer.add(&entry)?;
    }
    writer.flush()?;
    syncing.go_on().with_context(|| format!("{} windows are saved", writer.saved().windows))
}

/// For errors.
fn name(file: &RecordingFile) -> String {
    file.path().display().to_string()
}
