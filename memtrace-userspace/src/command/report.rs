//! `memtrace report`: a report from a recording, of any part of it.

use anyhow::Result;

use super::form::Form;
use super::output::Output;
use super::read::{self, Reading};
use crate::cli::ReportArgs;

/// Does it.
///
/// # Errors
///
/// The recording can't be read, or the report can't be written, which is found before reading.
pub fn run(args: &ReportArgs) -> Result<()> {
    let form = Form::prepare(&args.form, Output::open)?;
    let reading = Reading { strict: args.strict, quiet: args.quiet };
    let history = if args.peak {
        read::history_to_peak(&args.file, args.time, reading)?
    } else {
        read::history(&args.file, args.time, reading)?
    };
    let (profile, sources) = read::part(&history, &args.filter, reading);
    let lens = profile.processes.iter().any(|process| process.lens.is_some());
    if (args.form.leaks || args.form.temporary) && !lens {
        reading.warn("this was recorded without --lens allocator: what was allocated is not known");
    }
    form.write(&profile, |_| sources)
}
