//! `memtrace diff`: what grew between two recordings, or between two times of one.

use std::path::Path;

use anyhow::{Result, bail};

use super::color;
use super::output::Output;
use super::read::{self, Reading};
use crate::cli::{DiffArgs, ListFormat, TimeArgs};
use crate::profile::Profile;
use crate::report::diff::{Diff, Excess, json, table};
use crate::report::printable;

/// Exit code when memory has grown by more than `--fail-above`.
const GREW: u8 = 4;

/// Does it; returns the exit code.
///
/// # Errors
///
/// What was typed names no two sides, a recording can't be read, or the result can't be written.
pub fn run(args: &DiffArgs) -> Result<u8> {
    let output = Output::open(args.output.as_deref())?;
    let reading = Reading { strict: args.strict, quiet: args.quiet };
    let [(before_name, before), (after_name, after)] = sides(args, reading)?;
    let diff = Diff::of((&before_name, &before), (&after_name, &after));
    if !diff.same_programs() {
        reading.warn("these are recordings of different programs");
    }
    let excess = args.fail_above.and_then(|bound| diff.excess(bound));
    if let Some(excess) = &excess {
        reading.warn(grew(excess));
    }
    let options = table::DiffOptions {
        limit: args.limit,
        width: output.terminal_width().unwrap_or(table::DiffOptions::default().width),
        color: color::wanted(output.is_terminal()),
    };
    output.write(|out| {
        match args.format {
            ListFormat::Json => json::write(out, &diff)?,
            ListFormat::Table => table::write(out, &diff, &options)?,
        }
        Ok(())
    })?;
    Ok(if excess.is_some() { GREW } else { 0 })
}

/// What has grown too much, in a sentence.
fn grew(excess: &Excess<'_>) -> String {
    match excess {
        Excess::Line(line) => format!(
            "{}:{} holds {} more than before",
            printable(line.file),
            line.line,
            line.change()
        ),
        Excess::AllLines(bytes) => format!("all lines together hold {bytes} more than before"),
    }
}

/// The two sides with their names: two files, or one file at two times.
fn sides(args: &DiffArgs, reading: Reading) -> Result<[(String, Profile); 2]> {
    let (before, after) = match &args.files[..] {
        [one] => {
            if args.from.len().max(args.to.len()) != 2 {
                bail!(
                    "one recording is compared with itself at two times: give --from and --to \
                     twice, or two recordings"
                );
            }
            (one, one)
        }
        [before, after, ..] => (before, after),
        [] => bail!("give two recordings"),
    };
    if args.from.len() > 2 || args.to.len() > 2 {
        bail!("--from and --to are for two sides: give each twice at most");
    }
    let side = |file: &Path, number: usize| -> Result<(String, Profile)> {
        let time =
            TimeArgs { from: args.from.get(number).copied(), to: args.to.get(number).copied() };
        let history = read::history(file, time, reading)?;
        let (profile, _) = read::part(&history, &args.filter, reading);
        Ok((name(file, time), profile))
    };
    Ok([side(before, 0)?, side(after, 1)?])
}

/// What a side is called: the file, and the part of its time where that was named.
fn name(file: &Path, time: TimeArgs) -> String {
    let at = |time: crate::units::Nanos| {
        humantime::format_duration(std::time::Duration::from_nanos(time.0)).to_string()
    };
    let file = file.display();
    match (time.from, time.to) {
        (None, None) => file.to_string(),
        (from, to) => {
            let from = from.map_or_else(|| "its start".to_owned(), at);
            let to = to.map_or_else(|| "its end".to_owned(), at);
            format!("{file} from {from} to {to}")
        }
    }
}
