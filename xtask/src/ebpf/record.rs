//! `SOURCE_HASH`: what the committed object was made of, with what, and its own hash.
//!
//! Three lines of text, so that a diff of it reads well. It knows no files and builds nothing.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result};

/// The record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Hash of the sources.
    pub(crate) sources: String,
    /// Hash of the object.
    pub(crate) object: String,
    /// The toolchain's versions.
    pub(crate) tools: String,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sources, object, tools } = self;
        writeln!(f, "sources {sources}\nobject {object}\nbuilt-with {tools}")
    }
}

impl FromStr for Record {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let field = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
                .map(str::to_owned)
                .with_context(|| format!("SOURCE_HASH has no line `{key} …`"))
        };
        Ok(Self {
            sources: field("sources")?,
            object: field("object")?,
            tools: field("built-with")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_it_was_written() {
        let record =
            Record { sources: "ab".into(), object: "cd".into(), tools: "rustc 1, x 2".into() };
        assert_eq!(record.to_string().parse::<Record>().unwrap(), record);
    }

    #[test]
    fn a_record_without_a_line_names_the_line() {
        let error = "sources ab\nobject cd\n".parse::<Record>().unwrap_err();
        assert!(error.to_string().contains("built-with"), "{error}");
    }
}
