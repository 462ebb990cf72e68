//! `advisories.toml`: which of RustSec's advisories name crates of the lock files, taken from a clone of
//! their database and kept in the repository, so that every run looks them up and none downloads them.
//!
//! It has the facts (which crate, since when, which versions are mended), not the texts. It says for
//! which crates it was made: one that came to a lock file later is an error, not a pass.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use toml::Table;

use super::MANIFESTS;
use crate::process::{self, root};

const FILE: &str = "advisories.toml";
const ORIGIN: &str = "https://github.com/rustsec/advisory-db";
/// What cargo-deny calls its folder for [`ORIGIN`]: the name, and a hash of the address.
const FOLDER: &str = "advisory-db-3157b0e258782691";
/// Of an advisory's own table; the rest is prose, or for readers.
const FACTS: [&str; 6] = ["id", "package", "date", "url", "informational", "withdrawn"];
const HEADER: &str = "\
# Which of RustSec's advisories name a crate of Cargo.lock or memtrace-ebpf/Cargo.lock: the facts, without the texts.
# Written by `cargo xtask deny --renew CLONE`; every `cargo xtask deny` looks the lock files up in it.
";

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Copy {
    database: String,
    /// Of the database.
    commit: String,
    /// That commit's.
    date: String,
    /// All crates that were looked for.
    crates: BTreeSet<String>,
    advisories: Vec<Advisory>,
}

/// What stands at the head of a file of the database.
#[derive(Debug, Serialize, Deserialize)]
struct Advisory {
    advisory: Table,
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    affected: Table,
    #[serde(default)]
    versions: Table,
}

/// A lock file, as far as it matters here.
#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    source: Option<String>,
}

impl Advisory {
    /// From a file of the database: a block of TOML, then a text.
    fn read(text: &str) -> Result<Self> {
        let block = text.split_once("```toml\n").and_then(|(_, rest)| rest.split_once("\n```"));
        let mut read: Self = toml::from_str(block.context("no block of TOML")?.0)?;
        read.advisory.retain(|key, _| FACTS.contains(&key));
        Ok(read)
    }

    fn word(&self, key: &str) -> Result<&str> {
        let value = self.advisory.get(key).and_then(toml::Value::as_str);
        value.with_context(|| format!("an advisory without {key}"))
    }

    /// As the database has it.
    fn write(&self, crates: &Path) -> Result<()> {
        let (package, id) = (self.word("package")?, self.word("id")?);
        let folder = crates.join(package);
        fs::create_dir_all(&folder)?;
        let text = format!("```toml\n{}```\n\n# {id}\n", toml::to_string(self)?);
        fs::write(folder.join(format!("{id}.md")), text)?;
        Ok(())
    }
}

/// Crates of all lock files that come from a registry.
fn locked() -> Result<BTreeSet<String>> {
    let mut crates = BTreeSet::new();
    for (manifest, _) in MANIFESTS {
        let file = root().join(manifest).with_file_name("Cargo.lock");
        let text = fs::read_to_string(&file).with_context(|| format!("no {}", file.display()))?;
        let lock: Lock = toml::from_str(&text)?;
        crates.extend(lock.package.into_iter().filter(|it| it.source.is_some()).map(|it| it.name));
    }
    Ok(crates)
}

/// Makes the file from a clone of the database.
pub(super) fn renew(clone: &Path) -> Result<()> {
    let git = |words: &[&str]| {
        let answer = process::ask(Command::new("git").arg("-C").arg(clone).args(words));
        answer.with_context(|| format!("git has no answer: is {} a clone?", clone.display()))
    };
    let crates = locked()?;
    let mut advisories = Vec::new();
    for path in git(&["ls-tree", "-r", "--name-only", "HEAD", "crates"])?.lines() {
        let package = path.split('/').nth(1).unwrap_or_default();
        if crates.contains(package) {
            let text = git(&["show", &format!("HEAD:{path}")])?;
            advisories.push(Advisory::read(&text).with_context(|| path.to_owned())?);
        }
    }
    ensure!(!advisories.is_empty(), "{} is no clone of {ORIGIN}", clone.display());
    let said = git(&["log", "-1", "--format=%H %cs"])?;
    let (commit, date) = said.trim().split_once(' ').context("git names no commit")?;
    println!("deny: {} advisories, of {date}", advisories.len());
    let copy = Copy {
        database: ORIGIN.into(),
        commit: commit.into(),
        date: date.into(),
        crates,
        advisories,
    };
    let text = format!("{HEADER}{}", toml::to_string_pretty(&copy)?);
    fs::write(root().join(FILE), text).with_context(|| format!("cannot write {FILE}"))
}

/// Makes of the file a database that cargo-deny reads; gives rules that name it.
pub(super) fn unpack(rules: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(root().join(FILE)).with_context(|| format!("no {FILE}"))?;
    let copy: Copy = toml::from_str(&text).with_context(|| FILE.to_owned())?;
    let missing: Vec<_> = locked()?.difference(&copy.crates).cloned().collect();
    if !missing.is_empty() {
        bail!(
            "{FILE} was made before {} came: clone {ORIGIN}, and run `cargo xtask deny --renew` with it",
            missing.join(", ")
        );
    }
    let folder = process::target().join("advisories");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot remove the copy of the last time")?;
    }
    let database = folder.join(FOLDER);
    for advisory in &copy.advisories {
        advisory.write(&database.join("crates"))?;
    }
    let author = ["-c", "user.name=memtrace", "-c", "user.email=memtrace@localhost"];
    for words in
        [&["init", "--quiet"][..], &["add", "."], &["commit", "--quiet", "-m", &copy.commit]]
    {
        process::run(Command::new("git").arg("-C").arg(&database).args(author).args(words))?;
    }
    println!("deny: {} advisories, of {}", copy.advisories.len(), copy.date);
    let place = format!("[advisories]\ndb-path = {folder:?}");
    let text = fs::read_to_string(rules).context("cannot read deny.toml")?;
    let with_place = folder.join("deny.toml");
    fs::write(&with_place, text.replace("[advisories]", &place)).context("cannot write")?;
    Ok(with_place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advisory_keeps_its_facts_and_loses_its_prose() {
        let text = "```toml\n[advisory]\nid = \"RUSTSEC-2099-0001\"\npackage = \"thing\"\ndate = \"2099-01-01\"\n\
                    keywords = [\"x\"]\n\n[affected]\nos = [\"linux\"]\n\n[versions]\npatched = [\">= 1.2\"]\n```\n\n# Long words\n";
        let read = Advisory::read(text).unwrap();
        let folder = tempfile::tempdir().unwrap();
        read.write(folder.path()).unwrap();
        let written = fs::read_to_string(folder.path().join("thing/RUSTSEC-2099-0001.md")).unwrap();
        assert_eq!(
            written,
            "```toml\n[advisory]\ndate = \"2099-01-01\"\nid = \"RUSTSEC-2099-0001\"\npackage = \"thing\"\n\n\
             [affected]\nos = [\"linux\"]\n\n[versions]\npatched = [\">= 1.2\"]\n```\n\n# RUSTSEC-2099-0001\n"
        );
    }
}
