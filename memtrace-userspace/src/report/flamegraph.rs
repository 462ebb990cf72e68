//! An interactive flame graph: one SVG that zooms and searches in any browser.
//!
//! The stacks of the [folded](super::folded) form, drawn by inferno: the leaf is the line, width is
//! the figure. The title says what the figure is, the subtitle the law in MiB, a comment in the file
//! the law in bytes for each process. Frames too narrow to be seen are not drawn; they keep their
//! room in what is below them. It needs no network; texts of targets are in it as texts only.

use std::io::{self, Write};

use inferno::flamegraph::color::{BackgroundColor, PaletteMap, StrokeColor};
use inferno::flamegraph::{Options, TextTruncateDirection, from_lines};

use super::balance;
use super::figures::{count, duration};
use super::measure::Measure;
use super::remarks;
use super::stacks::{self, StackOptions};
use crate::profile::Profile;

mod color;

/// Writes the picture.
pub fn write(out: &mut dyn Write, profile: &Profile, options: &StackOptions) -> io::Result<()> {
    let (title, subtitle) = (title(profile, options.measure), balance::in_mib(profile));
    let lines: Vec<_> = stacks::folded(profile, *options)
        .into_iter()
        .map(|(stack, size)| format!("{stack} {size}"))
        .collect();
    if lines.is_empty() {
        return nothing(out, &title, &subtitle);
    }
    let mut palette = PaletteMap::default();
    color::choose(&mut palette, profile);

    let mut drawing = Options::default();
    drawing.title = title;
    drawing.subtitle = Some(subtitle);
    drawing.notes = notes(profile);
    drawing.count_name = options.measure.unit().to_owned();
    drawing.name_type = "Line:".to_owned();
    drawing.palette_map = Some(&mut palette);
    drawing.bgcolors = Some(BackgroundColor::Flat(color::BACKGROUND));
    drawing.stroke_color = StrokeColor::Color(color::BACKGROUND);
    drawing.text_truncate_direction = TextTruncateDirection::Right;
    drawing.deterministic = true;
    from_lines(&mut drawing, lines.iter().map(String::as_str), &mut *out)?;
    writeln!(out)
}

fn title(profile: &Profile, measure: Measure) -> String {
    let what = match measure {
        Measure::Grown => "growth of RSS",
        Measure::Net => "net growth of RSS",
        Measure::Resident => "growth of RSS that is still resident",
        Measure::Events => "changes of RSS",
        Measure::Allocated => "bytes allocated",
        Measure::Allocations => "allocations",
        Measure::Live => "live bytes",
    };
    let processes = count(profile.processes.len() as u64, "process", "processes");
    let brief = remarks::in_brief(profile, measure);
    format!("memtrace: {what} by line{brief}, {processes}, {}", duration(profile.duration))
}

/// The law by process, and what is estimated. Nothing of a target's is in it: it stands in a comment of the file.
fn notes(profile: &Profile) -> String {
    let notes = profile.processes.iter().flat_map(|process| {
        let law = std::iter::once(balance::in_bytes(process));
        law.chain(remarks::of(process)).map(move |note| format!("process {}: {note}", process.pid))
    });
    notes.collect::<Vec<_>>().join("; ")
}

/// Without a stack there is no graph, but still an answer.
fn nothing(out: &mut dyn Write, title: &str, subtitle: &str) -> io::Result<()> {
    writeln!(
        out,
        r#"<?xml version="1.0" standalone="no"?>
<svg version="1.1" width="1200" height="90" viewBox="0 0 1200 90" xmlns="http://www.w3.org/2000/svg">
<rect width="100%" height="100%" fill="{}"/>
<g font-family="monospace" font-size="12" text-anchor="middle">
<text x="600" y="24" font-size="17">{title}</text>
<text x="600" y="48">{subtitle}</text>
<text x="600" y="72">There is nothing to draw: no stack has this figure.</text>
</g>
</svg>"#,
        color::BACKGROUND_NAME
    )
}
