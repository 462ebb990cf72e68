//! `cargo xtask tidy`: the house rules that a program can check.
//!
//! Each rule is a function of one file; the table below is the list. What can't be checked this
//! way (one walker, names, prose) is for reviewers.

mod code;
mod named;
mod rules;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use self::code::blanked;
use crate::process::{self, root};

/// A file of the repository.
pub(crate) struct Source {
    /// Relative to the workspace.
    path: String,
    /// As it is.
    text: String,
    /// Rust files: comments, strings and characters blanked. Empty for others.
    code: String,
}

impl Source {
    fn new(path: &str, text: String) -> Self {
        let code = if path.ends_with(".rs") { blanked(&text) } else { String::new() };
        Self { path: path.to_owned(), text, code }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// A broken rule: the line, from 1, and what is wrong there.
pub(crate) type Finding = (usize, String);

/// The chore.
pub(crate) fn run() -> Result<()> {
    let mut sources = Vec::new();
    for path in files()? {
        let full = root().join(&path);
        if !full.is_file() {
            continue; // deleted, not yet committed
        }
        let bytes = fs::read(&full).with_context(|| format!("cannot read {path}"))?;
        sources.push(Source::new(&path, String::from_utf8_lossy(&bytes).into_owned()));
    }
    let findings = examine(&sources);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} breaches of the house rules", findings.len());
    }
    println!("tidy: {} files, {} rules, nothing to say", sources.len(), rules::ALL.len() + 1);
    Ok(())
}

/// All findings, as `path:line: what`.
fn examine(sources: &[Source]) -> Vec<String> {
    let mut found = named::tests_that_are_not_there(sources);
    for source in sources {
        for rule in rules::ALL {
            found.extend(
                rule(source)
                    .into_iter()
                    .map(|(line, what)| format!("{}:{line}: {what}", source.path)),
            );
        }
    }
    found
}

/// The repository's files: those that git tracks, and new ones that it doesn't ignore.
fn files() -> Result<Vec<String>> {
    let mut command = Command::new("git");
    command.current_dir(root()).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let list = process::ask(&mut command).with_context(|| {
        format!("`{}` failed: tidy checks the files of a git clone", process::shown(&command))
    })?;
    Ok(list.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}
