//! What a program says it did: the marked lines and what each grew.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::stacks::Stack;

/// One line that ends in `# mark: NAME`.
#[derive(Debug, Clone, Deserialize)]
pub struct Mark {
    /// Its name.
    pub name: String,
    /// `co_filename` of its code.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// What it grew, known beforehand; absent where CPython decides.
    pub constructed_bytes: Option<i64>,
    /// By how much RSS rose around it, by the page tables; absent where the program can't tell.
    pub measured_bytes: Option<i64>,
    /// Where it grew, where the program says.
    pub stack: Option<Stack>,
}

impl Mark {
    /// What the line grew: as constructed, or else as measured.
    ///
    /// # Errors
    /// When the program stated neither.
    pub fn grown(&self) -> Result<i64> {
        let stated = self.constructed_bytes.or(self.measured_bytes);
        stated.with_context(|| format!("the program states nothing for {}", self.name))
    }
}

/// One `done` line.
#[derive(Debug, Clone, Deserialize)]
pub struct Truth {
    /// The marked lines of this step.
    #[serde(default)]
    pub marks: Vec<Mark>,
    /// Processes that it started and that stay.
    #[serde(default)]
    pub children: Vec<u32>,
    /// Of what a mark grew: what is still there.
    #[serde(default)]
    pub resident: BTreeMap<String, i64>,
    /// What else the program has to say.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

impl Truth {
    /// The mark of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn mark(&self, name: &str) -> Result<&Mark> {
        let found = self.marks.iter().find(|mark| mark.name == name);
        found.with_context(|| format!("the program marks no line {name:?}"))
    }
}
