//! `memtrace ps`: the Python processes here, and what of them can be traced.
//!
//! Prints what [`crate::python::processes`] finds; decides nothing itself.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Context;
use serde::Serialize;

use crate::python::processes::{Finding, PythonProcess, list};
use crate::python::{Images, Interpreter};
use crate::report::printable;
use crate::units::Bytes;

/// How the list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PsFormat {
    /// For people.
    Table,
    /// One document, `memtrace.ps/1`.
    Json,
}

/// Writes the list of all Python processes.
///
/// # Errors
///
/// When `/proc` can't be read or `out` can't be written to; never because of one process.
pub fn run(format: PsFormat, out: &mut dyn Write) -> anyhow::Result<()> {
    let processes = list(&mut Images::new()).context("the processes can't be listed")?;
    let rows: Vec<Row> = processes.iter().map(Row::of).collect();
    match format {
        PsFormat::Table => write_table(&rows, out)?,
        PsFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &Document { schema: SCHEMA, processes: rows })?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(())
}

const SCHEMA: &str = "memtrace.ps/1";

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    processes: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Row {
    pid: u32,
    user: String,
    python: Option<String>,
    build: Option<String>,
    image: Option<String>,
    rss_bytes: Bytes,
    traceable: bool,
    /// Why not; or what limits it.
    remarks: Vec<String>,
    command: Vec<String>,
}

impl Row {
    fn of(process: &PythonProcess) -> Self {
        let interpreter = match &process.finding {
            Finding::Traceable(interpreter) => Some(interpreter),
            Finding::Refused(_) | Finding::Unknown(_) => None,
        };
        Self {
            pid: process.pid,
            user: process.user.clone(),
            python: match &process.finding {
                Finding::Traceable(interpreter) => Some(interpreter.text.clone()),
                Finding::Refused(refusal) => refusal.version().map(str::to_owned),
                Finding::Unknown(_) => None,
            },
            build: interpreter.map(|it| it.build.to_string()),
            image: interpreter.map(|it| it.image.display().to_string()),
            rss_bytes: process.rss,
            traceable: interpreter.is_some(),
            remarks: match &process.finding {
                Finding::Traceable(interpreter) => remarks(interpreter),
                Finding::Refused(refusal) => vec![refusal.to_string()],
                Finding::Unknown(error) => vec![error.to_string()],
            },
            command: process.command.clone(),
        }
    }
}

fn remarks(interpreter: &Interpreter) -> Vec<String> {
    let mut remarks = interpreter.notes.clone();
    if !interpreter.started {
        remarks.push("the interpreter has not started yet".to_owned());
    }
    if interpreter.jit {
        remarks.push("PYTHON_JIT is set: a hot line may be charged to the line before".to_owned());
    }
    remarks
}

/// Columns as wide as their widest cell; the command last, as it is unbounded.
fn write_table(rows: &[Row], out: &mut dyn Write) -> std::io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "No Python process is running here.");
    }
    let mut cells =
        vec![["PID", "USER", "PYTHON", "BUILD", "RSS", "TRACE", "COMMAND"].map(Cow::from)];
    for row in rows {
        let optional = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        cells.push([
            row.pid.to_string().into(),
            printable(&row.user).into_owned().into(),
            optional(&row.python).into(),
            optional(&row.build).into(),
            row.rss_bytes.to_string().into(),
            if row.traceable { "yes" } else { "no" }.into(),
            printable(&row.command.join(" ")).into_owned().into(),
        ]);
    }
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..7).map(|column| width(column).unwrap_or(0)).collect();
    for row in &cells {
        let [pid, user, python, build, rss, trace, command] = row;
        writeln!(
            out,
            "{pid:>w0$}  {user:<w1$}  {python:<w2$}  {build:<w3$}  {rss:>w4$}  {trace:<w5$}  {command}",
            w0 = widths[0],
            w1 = widths[1],
            w2 = widths[2],
            w3 = widths[3],
            w4 = widths[4],
            w5 = widths[5],
        )?;
    }
    write_remarks(rows, out)
}

/// Each sentence once, with the processes that it is about.
fn write_remarks(rows: &[Row], out: &mut dyn Write) -> std::io::Result<()> {
    let mut pids: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in rows {
        for remark in &row.remarks {
            pids.entry(remark).or_default().push(row.pid.to_string());
        }
    }
    if !pids.is_empty() {
        writeln!(out)?;
    }
    for (remark, pids) in pids {
        writeln!(out, "{}: {}", pids.join(", "), printable(remark))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pid: u32, python: &str, remarks: &[&str], command: &[&str]) -> Row {
        Row {
            pid,
            user: "root".to_owned(),
            python: Some(python.to_owned()),
            build: None,
            image: None,
            rss_bytes: Bytes(3 << 20),
            traceable: remarks.is_empty(),
            remarks: remarks.iter().map(|&remark| remark.to_owned()).collect(),
            command: command.iter().map(|&argument| argument.to_owned()).collect(),
        }
    }

    #[test]
    fn a_table_says_each_reason_once_and_obeys_no_escape_code() {
        let rows = [
            row(7, "3.12.1", &[], &["python", "a\x1b[2J.py"]),
            row(12, "2.7.18", &["too old"], &["python2"]),
            row(13, "2.7.18", &["too old"], &["python2"]),
        ];
        let mut out = Vec::new();
        write_table(&rows, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "PID  USER  PYTHON  BUILD        RSS  TRACE  COMMAND\n\
             \x20 7  root  3.12.1  -      3.000 MiB  yes    python a\\x1b[2J.py\n\
             \x2012  root  2.7.18  -      3.000 MiB  no     python2\n\
             \x2013  root  2.7.18  -      3.000 MiB  no     python2\n\
             \n12, 13: too old\n"
        );
    }

    #[test]
    fn no_process_is_said_in_words() {
        let mut out = Vec::new();
        write_table(&[], &mut out).unwrap();
        assert_eq!(out, b"No Python process is running here.\n");
    }
}
