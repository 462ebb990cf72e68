//! What the page is given, as one document.
//!
//! It is for the page's own script and for nobody else: other programs read the JSON report.

use serde::Serialize;

use super::process::{self, Summary};
use super::texts::{Tables, TextNumber, Texts};
use super::{HtmlOptions, SourceTexts};
use crate::profile::{Memory, Profile};
use crate::report::json::rfc3339;
use crate::report::table::choice;
use crate::units::{Bytes, Nanos};

/// The whole.
#[derive(Serialize)]
pub(super) struct Document {
    started_at: String,
    duration_ns: Nanos,
    kernel: TextNumber,
    exact: bool,
    measure: &'static str,
    processes: Vec<Summary>,
    #[serde(flatten)]
    tables: Tables,
}

/// Anonymous, file and shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Split(Bytes, Bytes, Bytes);

impl Split {
    pub(super) fn of(memory: Memory) -> Self {
        let Memory { anon, file, shmem } = memory;
        Self(anon, file, shmem)
    }
}

/// The document of a profile.
pub(super) fn of(profile: &Profile, sources: &SourceTexts, options: &HtmlOptions) -> Document {
    let mut texts = Texts::default();
    let choice = options.choice();
    let in_full = choice::in_full(profile, &choice);
    let mut processes = Vec::new();
    for (index, process) in profile.processes.iter().enumerate() {
        processes.push(if in_full.contains(&index) {
            process::in_full(&mut texts, process, &|file| sources.get(index, file), &choice)
        } else {
            process::summary(&mut texts, process)
        });
    }
    let kernel = texts.name(&profile.kernel);
    Document {
        started_at: rfc3339(profile.started_at),
        duration_ns: profile.duration,
        kernel,
        exact: profile.exact,
        measure: options.measure.name(),
        processes,
        tables: texts.into_tables(),
    }
}
