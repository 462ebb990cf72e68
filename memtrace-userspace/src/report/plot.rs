//! Memory over time: RSS as a line, and under it the lines of source that hold it, as areas.
//!
//! As users know it from `mprof plot`, but by line, and with what happened to the process marked.
//! One drawing ([`write_svg`]), the same drawing in pixels ([`write_png`]), and one in characters
//! ([`write_text`]). Pure functions of the profile; the areas are drawn from its moments, and their
//! right ends are what the other reports print.

use std::io::{self, Write};

use crate::profile::Profile;

mod canvas;
mod choice;
mod font;
mod frame;
mod legend;
mod marks;
mod palette;
mod panel;
mod png;
mod scale;
mod svg;
mod text;

/// How a plot looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlotOptions {
    /// In pixels, of text in columns; 1200 and 80 unless said.
    pub width: Option<u32>,
    /// In pixels, of text in rows; unless said, a picture is as high as it needs to be, and text has 24
    /// rows, one of them left for the prompt.
    pub height: Option<u32>,
    /// Lines of source with an area of their own, at most; fewer where there is no room.
    pub lines: usize,
    /// Processes with a panel of their own, at most: the largest.
    pub processes: usize,
    /// Only this process.
    pub process: Option<u32>,
    /// Whether the profile is of a part of time that begins after the trace did: what is there at its
    /// beginning did not begin then.
    pub begins_later: bool,
    /// Whether text has colours (escape codes). Pictures always do.
    pub color: bool,
}

impl Default for PlotOptions {
    fn default() -> Self {
        Self {
            width: None,
            height: None,
            lines: 10,
            processes: 6,
            process: None,
            begins_later: false,
            color: false,
        }
    }
}

/// Writes `profile` as an SVG of its own.
///
/// Areas are `path`s of class `area`, from the lowest, with `data-end-bytes` and `data-peak-bytes`: what
/// the layer comes to in the end, and at the end of the window of time in which RSS was highest.
///
/// # Errors
///
/// When `out` can't be written to.
pub fn write_svg(out: &mut dyn Write, profile: &Profile, options: &PlotOptions) -> io::Result<()> {
    svg::write(out, profile, options)
}

/// Writes what [`write_svg`] writes as a PNG of that size.
///
/// # Errors
///
/// When `out` can't be written to.
pub fn write_png(out: &mut dyn Write, profile: &Profile, options: &PlotOptions) -> io::Result<()> {
    png::write(out, profile, options)
}

/// Writes `profile` as text for a terminal: the largest process in full, the others as one row each.
///
/// # Errors
///
/// When `out` can't be written to.
pub fn write_text(out: &mut dyn Write, profile: &Profile, options: &PlotOptions) -> io::Result<()> {
    text::write(out, profile, options)
}
