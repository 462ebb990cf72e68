//! Programs of crates.io that only chores use, in a folder of the project's own: built from source,
//! once, by cargo, with the versions and lock files that they were published with.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// A program and its version.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

/// Licences, sources, duplicates, advisories.
pub(crate) const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
/// Bills of materials.
pub(crate) const CYCLONEDX: Tool = Tool { name: "cargo-cyclonedx", version: "0.5.9" };
/// Fuzzers.
pub(crate) const FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };

impl Tool {
    /// The program, installed if need be.
    pub(crate) fn command(&self) -> Result<Command> {
        let folder = process::target().join("tools");
        let file = folder.join("bin").join(self.name);
        if !self.is_there(&file) {
            // Unoptimised: it is built more often than it works for long.
            process::run(
                process::cargo()
                    .args(["install", "--locked", "--debug", "--force", self.name])
                    .args(["--version", self.version, "--root"])
                    .arg(&folder),
            )
            .with_context(|| format!("{} {} can't be built", self.name, self.version))?;
        }
        let mut command = Command::new(file);
        command.current_dir(process::root());
        Ok(command)
    }

    fn is_there(&self, file: &PathBuf) -> bool {
        let word = self.name.trim_start_matches("cargo-");
        let answer = process::ask(Command::new(file).arg("--version"))
            .or_else(|| process::ask(Command::new(file).args([word, "--version"])));
        answer.is_some_and(|answer| answer.ends_with(self.version))
    }
}
