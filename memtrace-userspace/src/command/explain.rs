//! `memtrace explain`: one look at a process, or what changed between two looks.
//!
//! Prints what [`crate::snapshot`] finds; finds nothing itself.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::output::Output;
use crate::cli::{ExplainArgs, ListFormat};
use crate::python::{DiscoverError, Discovery, Images, discover};
use crate::report::explain::{self, ExplainOptions};
use crate::session::SessionError;
use crate::snapshot;
use crate::snapshot::difference::between;
use crate::snapshot::picture::{SCHEMA, Snapshot};

/// Does it.
///
/// # Errors
///
/// When the process can't be looked at, or the result can't be written.
pub fn run(args: &ExplainArgs) -> Result<()> {
    let output = Output::open(args.output.as_deref())?;
    let width = output.terminal_width();
    let color =
        width.is_some() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let width = width.unwrap_or(ExplainOptions::default().width);
    let options = ExplainOptions { limit: args.limit, width, color };
    if let Some([before, after]) = args.diff.as_deref() {
        let difference = between(&read(before)?, &read(after)?);
        return output.write(|out: &mut dyn Write| {
            match args.format {
                ListFormat::Json => explain::write_difference_json(out, &difference)?,
                ListFormat::Table => explain::write_difference(out, &difference, &options)?,
            }
            Ok(())
        });
    }
    let pid = args.pid.context("no process is named")?;
    let snapshot = look_at(pid, args.freeze)?;
    output.write(|out: &mut dyn Write| {
        match args.format {
            ListFormat::Json => explain::write_json(out, &snapshot)?,
            ListFormat::Table => explain::write_table(out, &snapshot, &options)?,
        }
        Ok(())
    })
}

fn look_at(pid: u32, freeze: bool) -> Result<Snapshot> {
    let mut images = Images::new();
    let interpreter = match discover(pid, &mut images).map_err(SessionError::Discover)? {
        Discovery::Python(interpreter) => interpreter,
        Discovery::Refused(refusal) => return Err(SessionError::Refused { pid, refusal }.into()),
        Discovery::NotPython => {
            let name = std::fs::read(format!("/proc/{pid}/comm"))
                .map_err(|error| SessionError::Discover(DiscoverError::from_io(pid, error)))?;
            let name = String::from_utf8_lossy(&name).trim_end().to_owned();
            return Err(SessionError::NotPython { pid, name }.into());
        }
    };
    Ok(snapshot::take(pid, &interpreter, freeze, &mut images)?)
}

/// Reads what `--format json` has written.
fn read(path: &Path) -> Result<Snapshot> {
    /// What is needed to say what else a file is.
    #[derive(serde::Deserialize)]
    struct Named {
        schema: String,
    }
    let shown = path.display();
    let text = std::fs::read(path).with_context(|| format!("can't read {shown}"))?;
    let named: Named = serde_json::from_slice(&text)
        .with_context(|| format!("{shown} is no result of `memtrace explain --format json`"))?;
    ensure!(
        named.schema == SCHEMA,
        "{shown} is {:?}, not {SCHEMA:?}: write it with `memtrace explain PID --format json`",
        named.schema
    );
    serde_json::from_slice(&text).with_context(|| format!("{shown} is damaged"))
}
