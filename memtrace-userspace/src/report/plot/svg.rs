//! The page: title, one panel for each process, what is left to say. Panels draw themselves.

use std::io::{self, Write};
use std::ops::RangeInclusive;

use super::PlotOptions;
use super::canvas::{Canvas, px};
use super::choice::Choice;
use super::font::{self, Weight};
use super::marks::Lives;
use super::palette;
use super::panel::{self, Panel};
use super::scale;
use crate::profile::Profile;
use crate::report::course::Course;
use crate::report::figures::count;
use crate::report::json::rfc3339;
use crate::units::Nanos;

/// Unless asked for.
const WIDTH: u32 = 1200;
/// Narrower, nothing can be read; larger, pixels take gigabytes.
const WIDTHS: RangeInclusive<u32> = 640..=8192;
const HEIGHTS: RangeInclusive<u32> = 320..=8192;
/// A panel's height, without what is around it, unless asked for: alone, and with others.
const ALONE: f64 = 480.0;
const WITH_OTHERS: f64 = 260.0;
/// Less than this, and there are fewer panels.
const LEAST: f64 = 80.0;

const MARGIN: f64 = 24.0;
const TITLE: f64 = 18.0;
/// Title and subtitle.
const HEADER: f64 = 64.0;
/// One sentence at the bottom.
const NOTE: f64 = 17.0;

/// Writes the picture.
pub(super) fn write(
    out: &mut dyn Write,
    profile: &Profile,
    options: &PlotOptions,
) -> io::Result<()> {
    let width = clamped(options.width.unwrap_or(WIDTH), WIDTHS);
    // What is asked for is divided among the panels, with two rows for notes.
    let asked = options.height.map(|height| clamped(height, HEIGHTS));
    let room = asked.map(|height| height - HEADER - 2.0 * NOTE - MARGIN);
    let fit = room.map_or(usize::MAX, |room| (room / (LEAST + panel::AROUND)) as usize);
    let choice = Choice::of(profile, options, options.processes.min(fit).max(1));
    let panels = choice.shown.len().max(1) as f64;
    let each = match room {
        Some(room) => room / panels - panel::AROUND,
        None if choice.shown.len() <= 1 => ALONE,
        None => WITH_OTHERS,
    };
    let lines = options.lines.min(panel::lines_that_fit(each));
    // Twice as many as can be told apart.
    let columns = 2 * width as usize;
    let courses: Vec<Course<'_>> = choice
        .shown
        .iter()
        .map(|process| Course::of(process, profile.duration, lines).thinned(columns))
        .collect();
    let notes = choice.notes(&courses);
    let needed = HEADER + panels * (each + panel::AROUND) + notes.len() as f64 * NOTE + MARGIN;
    let height = asked.unwrap_or(needed);

    let mut canvas = Canvas::new(out);
    canvas.open(
        "svg",
        &[
            ("xmlns", "http://www.w3.org/2000/svg"),
            ("width", &px(width)),
            ("height", &px(height)),
            ("viewBox", &format!("0 0 {} {}", px(width), px(height))),
            ("role", "img"),
        ],
    )?;
    canvas.text("title", &[], "RSS over time, by line")?;
    canvas.text("style", &[], &style())?;
    canvas
        .empty("rect", &[("width", "100%"), ("height", "100%"), ("fill", &palette::PAPER.hex())])?;
    header(&mut canvas, profile, &courses, width)?;

    let lives = Lives::of(profile, options.begins_later);
    let colors = palette::colors(&courses);
    let mut top = HEADER;
    for (course, colors) in courses.iter().zip(&colors) {
        let panel = Panel {
            course,
            colors,
            marks: lives.marks(course.process),
            time: Choice::time(&courses),
            place: (MARGIN, top),
            size: (width - 2.0 * MARGIN, each + panel::AROUND),
        };
        panel.draw(&mut canvas)?;
        top += each + panel::AROUND;
    }
    for (row, note) in notes.iter().enumerate() {
        let y = top + (row as f64 + 0.5) * NOTE;
        let note = font::fit(note, width - 2.0 * MARGIN, 11.0, Weight::Regular);
        canvas.text("text", &[("class", "quiet"), ("x", &px(MARGIN)), ("y", &px(y))], &note)?;
    }
    canvas.close("svg")?;
    canvas.finish()
}

fn clamped(size: u32, sizes: RangeInclusive<u32>) -> f64 {
    f64::from(size.clamp(*sizes.start(), *sizes.end()))
}

fn style() -> String {
    let ink = palette::INK.hex();
    format!(
        "text{{font-family:'{}',Verdana,sans-serif;font-size:11px;fill:{ink}}} \
         .bold{{font-weight:bold}} .quiet{{fill:#595959}} .end{{text-anchor:end}} \
         .middle{{text-anchor:middle}}",
        font::FAMILY
    )
}

fn header(
    canvas: &mut Canvas<'_>,
    profile: &Profile,
    courses: &[Course<'_>],
    width: f64,
) -> io::Result<()> {
    let (x, size) = (px(MARGIN), format!("{TITLE}px"));
    let place =
        [("class", "bold"), ("x", &*x), ("y", "36"), ("style", &format!("font-size:{size}"))];
    canvas.text("text", &place, "RSS over time, by line")?;
    let processes = profile.processes.len() as u64;
    let (start, end) = Choice::time(courses);
    let mut words = vec![
        format!("started {}", rfc3339(profile.started_at)),
        format!("{} shown", scale::time(Nanos(end.0.saturating_sub(start.0)))),
        count(processes, "process", "processes"),
        format!("Linux {}", profile.kernel),
    ];
    if !profile.exact {
        words.push("RSS counters not exact at every change".to_owned());
    }
    let text = font::fit(&words.join("  ·  "), width - 2.0 * MARGIN, 11.0, Weight::Regular);
    canvas.text("text", &[("class", "quiet"), ("x", &x), ("y", "54")], &text)
}
