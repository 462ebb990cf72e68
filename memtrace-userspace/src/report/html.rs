//! The report as one self-contained page: opened from a disk, it needs no network and no server.
//!
//! The page is three fixed parts (`html/page.html`, `html/style.css`, `html/script/*.js`) and the
//! profile as JSON between them. Its content security policy names the hashes of its own style and
//! script and allows nothing else, so that no text of a target could ever run or load anything; and
//! the script puts every text in as text. What the numbers mean and how they are rounded is decided
//! elsewhere in `report`: the page shows what the table and the JSON report say.

use std::collections::BTreeSet;
use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::measure::Measure;
use super::table::{self, TableOptions};
use crate::profile::{Profile, SourceTexts};

mod allocations;
mod course;
mod document;
mod embed;
mod process;
mod reasons;
mod source;
mod texts;

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/style.css");
/// One script, so that one hash does; its parts share one scope.
const SCRIPT: &str = concat!(
    "(() => {\n\"use strict\";\n",
    include_str!("html/script/figures.js"),
    include_str!("html/script/elements.js"),
    include_str!("html/script/profile.js"),
    include_str!("html/script/summary.js"),
    include_str!("html/script/facts.js"),
    include_str!("html/script/course.js"),
    include_str!("html/script/lines.js"),
    include_str!("html/script/allocations.js"),
    include_str!("html/script/flame.js"),
    include_str!("html/script/source.js"),
    include_str!("html/script/start.js"),
    "})();\n",
);

/// What to put into the page. Lines and stacks are never left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HtmlOptions {
    /// What the flame graph is drawn by at first; the page can switch.
    pub measure: Measure,
    /// Source text for the functions that hold one of so many of the lines that grew most.
    pub functions_of_top: usize,
    /// So many processes in full (those with the most events); the others in the overview only.
    pub processes: usize,
}

impl Default for HtmlOptions {
    fn default() -> Self {
        Self { measure: Measure::Net, functions_of_top: 100, processes: 20 }
    }
}

impl HtmlOptions {
    /// The same choice in the words of the table, which makes it.
    #[must_use]
    pub fn choice(&self) -> TableOptions {
        TableOptions {
            functions_of_top: self.functions_of_top,
            processes: self.processes,
            ..TableOptions::default()
        }
    }
}

/// The files whose text a page with these options shows: index of the process, name of the file.
#[must_use]
pub fn shown_files(profile: &Profile, options: &HtmlOptions) -> BTreeSet<(usize, String)> {
    table::shown_files(profile, &options.choice())
}

/// Writes the page.
///
/// # Errors
/// When `out` can't be written to.
pub fn write(
    out: &mut dyn Write,
    profile: &Profile,
    sources: &SourceTexts,
    options: &HtmlOptions,
) -> io::Result<()> {
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        let (part, after) = after.split_once("}}").unwrap_or((after, ""));
        out.write_all(before.as_bytes())?;
        match part {
            "policy" => out.write_all(policy().as_bytes())?,
            "style" => out.write_all(STYLE.as_bytes())?,
            "profile" => embed::write(out, &document::of(profile, sources, options))?,
            "script" => out.write_all(SCRIPT.as_bytes())?,
            other => unreachable!("page.html has no part {other}"),
        }
        rest = after;
    }
    out.write_all(rest.as_bytes())
}

/// What the page may do: apply this style, run this script, show the picture in its own head.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; \
         base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_can_be_put_between_their_tags() {
        // An end tag inside would end it; a comment start would make `<script` swallow the rest.
        for (part, tag) in [(STYLE, "</style"), (SCRIPT, "</script")] {
            let part = part.to_lowercase();
            assert!(!part.contains(tag) && !part.contains("<!--"), "{tag}");
        }
        assert_eq!(PAGE.matches("{{").count(), 4);
    }

    #[test]
    fn the_script_has_no_way_from_text_to_code_or_markup() {
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "setAttribute(\"style\"",
            "setAttribute(\"on",
            "javascript:",
            "fetch(",
            "XMLHttpRequest",
            "import(",
            "https:",
        ] {
            assert!(!SCRIPT.contains(way), "{way}");
        }
        assert_eq!(SCRIPT.matches("http:").count(), 1); // the name of SVG's namespace
    }
}
