//! `memtrace doctor`: what this kernel and these privileges allow, and the mend for what they don't.
//!
//! It prints what `kernel::support` found and judges nothing itself.

use std::io::Write;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;

use crate::kernel::support::{self, Check, Status};

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One document, `memtrace.doctor/1`.
    Json,
}

/// The document.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    ok: bool,
    checks: &'a [Check],
}

/// Looks and prints; true when nothing is missing.
///
/// # Errors
///
/// When `out` can't be written.
pub fn run(format: Format, out: &mut dyn Write) -> Result<bool> {
    print(&support::examine(), format, out)
}

fn print(checks: &[Check], format: Format, out: &mut dyn Write) -> Result<bool> {
    let missing = checks.iter().filter(|check| check.status == Status::Missing).count();
    let ok = missing == 0;
    match format {
        Format::Json => {
            let document = Document { schema: "memtrace.doctor/1", ok, checks };
            serde_json::to_writer_pretty(&mut *out, &document).context("cannot write")?;
            writeln!(out).context("cannot write")?;
        }
        Format::Table => table(checks, missing, out).context("cannot write")?,
    }
    Ok(ok)
}

fn table(checks: &[Check], missing: usize, out: &mut dyn Write) -> std::io::Result<()> {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in checks {
        let word = match check.status {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Missing => "MISSING",
        };
        writeln!(out, "{word:<8} {:<width$}  {}", check.name, check.found)?;
        if let Some(mend) = &check.mend {
            writeln!(out, "{:8} {:width$}  → {mend}", "", "")?;
        }
    }
    writeln!(out)?;
    match missing {
        0 => writeln!(out, "memtrace can trace here."),
        1 => writeln!(out, "memtrace can't trace here: one thing is missing."),
        n => writeln!(out, "memtrace can't trace here: {n} things are missing."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> Vec<Check> {
        let check = |name: &str, status, found: &str, mend: Option<&str>| Check {
            name: name.into(),
            status,
            found: found.into(),
            mend: mend.map(str::to_owned),
        };
        vec![
            check("kernel", Status::Ok, "Linux 6.18.0", None),
            check("BTF", Status::Missing, "none", Some("get one")),
        ]
    }

    fn printed(checks: &[Check], format: Format) -> (bool, String) {
        let mut out = Vec::new();
        let ok = print(checks, format, &mut out).unwrap();
        (ok, String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_table_says_what_is_missing_and_its_mend() {
        let expected = "\
ok       kernel  Linux 6.18.0
MISSING  BTF     none
                 → get one

memtrace can't trace here: one thing is missing.
";
        assert_eq!(printed(&checks(), Format::Table), (false, expected.to_owned()));
    }

    #[test]
    fn a_machine_without_faults_is_ok() {
        let (ok, text) = printed(&checks()[..1], Format::Table);
        assert!(ok && text.ends_with("memtrace can trace here.\n"), "{text}");
    }

    #[test]
    fn json_has_stable_keys() {
        let (ok, text) = printed(&checks(), Format::Json);
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({
            "schema": "memtrace.doctor/1",
            "ok": false,
            "checks": [
                { "name": "kernel", "status": "ok", "found": "Linux 6.18.0", "mend": null },
                { "name": "BTF", "status": "missing", "found": "none", "mend": "get one" },
            ],
        });
        assert_eq!((ok, document), (false, expected));
    }
}
