//! `memtrace explain` run on a target, and its JSON read as plain figures.
//!
//! Reads by key what the document promises; knows nothing of how memtrace comes by it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::memtrace::{self, Output, finish};
use crate::resources;

/// One result.
#[derive(Debug)]
pub struct Explained {
    /// The document.
    pub json: Value,
}

/// Runs `memtrace explain` with these further arguments.
///
/// # Errors
/// When it can't be started or does not end.
pub fn run(pid: u32, arguments: &[&str]) -> Result<Output> {
    resources::root()?;
    let pid = pid.to_string();
    let words = ["explain", &pid].into_iter().chain(arguments.iter().copied());
    finish(&mut memtrace::command(words)?)
}

impl Explained {
    /// Looks at a process.
    ///
    /// # Errors
    /// When memtrace fails, says anything on standard error, or its rows do not add up.
    pub fn of(pid: u32, arguments: &[&str]) -> Result<Self> {
        let words: Vec<_> = arguments.iter().copied().chain(["--format", "json"]).collect();
        let output = run(pid, &words)?;
        output.expect_code(0)?;
        ensure!(output.stderr.is_empty(), "it said {:?}", output.stderr);
        Self::parse(&output.stdout)
    }

    /// Reads a file that `--output` has written.
    ///
    /// # Errors
    /// When it can't be read, or its rows do not add up.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&std::fs::read_to_string(path)?)
    }

    fn parse(text: &str) -> Result<Self> {
        let explained = Self { json: serde_json::from_str(text).context("JSON of explain")? };
        ensure!(explained.json["schema"] == "memtrace.explain/1", "{}", explained.json["schema"]);
        for key in ["rss_bytes", "swap_bytes"] {
            let sum: i64 = explained.rows()?.iter().filter_map(|row| row[key].as_i64()).sum();
            let whole = explained.number(&[key])?;
            ensure!(sum == whole, "the rows' {key} are {sum}, not {whole}");
        }
        Ok(explained)
    }

    fn rows(&self) -> Result<&Vec<Value>> {
        self.json["rows"].as_array().context("rows")
    }

    /// The integer at this path of keys.
    ///
    /// # Errors
    /// When there is none.
    pub fn number(&self, path: &[&str]) -> Result<i64> {
        let at = path.iter().fold(&self.json, |at, key| &at[*key]);
        at.as_i64().with_context(|| format!("{path:?} is {at}"))
    }

    /// Resident bytes of a kind of memory; 0 without a row.
    #[must_use]
    pub fn rss(&self, kind: &str) -> i64 {
        let row = self.rows().ok().and_then(|rows| rows.iter().find(|row| row["kind"] == kind));
        row.and_then(|row| row["rss_bytes"].as_i64()).unwrap_or(0)
    }

    /// The sum of one figure over glibc's arenas.
    ///
    /// # Errors
    /// When glibc's malloc was not found.
    pub fn heap(&self, key: &str) -> Result<i64> {
        let arenas = self.json["heap"]["arenas"].as_array().context("arenas of glibc")?;
        arenas.iter().map(|arena| arena[key].as_i64().context(key.to_owned())).sum()
    }

    /// Objects by type that `gc.get_objects()` sees: all but those of the permanent generation.
    ///
    /// # Errors
    /// When there is no census.
    pub fn census(&self) -> Result<BTreeMap<String, i64>> {
        let types = self.json["census"]["types"].as_array().context("types")?;
        let mut counts = BTreeMap::new();
        for row in types {
            let name = row["name"].as_str().context("a type's name")?;
            let (all, permanent) = (row["count"].as_i64(), row["permanent"].as_i64());
            let seen = all.zip(permanent).map(|(all, permanent)| all - permanent);
            counts.insert(name.to_owned(), seen.context("a type's count")?);
        }
        counts.retain(|_, count| *count != 0);
        Ok(counts)
    }

    /// The figures of the blocks of one size.
    ///
    /// # Errors
    /// When there is no such size.
    pub fn class(&self, size: i64) -> Result<&Value> {
        let classes = self.json["arenas"]["classes"].as_array().context("classes")?;
        let found = classes.iter().find(|class| class["block_bytes"] == size);
        found.with_context(|| format!("no blocks of {size} bytes"))
    }

    /// All that it says in words.
    #[must_use]
    pub fn words(&self) -> String {
        let all = [&self.json["sentences"], &self.json["notes"]];
        let lists = all.into_iter().filter_map(Value::as_array).flatten();
        lists.filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// `found` is the truth, or at most a hundredth (and `beside` bytes) away from it.
///
/// # Errors
/// When it is further away.
pub fn near(what: &str, found: i64, truth: i64, beside: i64) -> Result<()> {
    let slack = truth.abs() / 100 + beside;
    ensure!((found - truth).abs() <= slack, "{what} is {found}, the truth is {truth}");
    Ok(())
}
