//! The browser in which the tests look at HTML and SVG reports, and the fonts of the pictures in the
//! documentation: Debian packages.
//!
//! Where a Chromium is there already, from wherever, nothing is needed: fonts change pictures, not
//! the tests' answers.

use crate::process;

/// Names of the program, as the tests try them (`tests/src/browser.rs`).
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// What is installed when there is none.
const PACKAGES: [&str; 3] = ["chromium", "fonts-inter", "fonts-jetbrains-mono"];

/// The packages that are missing.
pub(crate) fn missing() -> &'static [&'static str] {
    let found = PROGRAMS.iter().any(|name| process::find_program(name).is_some());
    if found { &[] } else { &PACKAGES }
}
