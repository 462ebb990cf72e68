//! Below the drawing: which letter or colour is which line, and what it holds; then the processes that
//! are not drawn in full.

use super::cells::{sampled, spark};
use crate::report::course::{Course, Layer};
use crate::report::figures::mib;
use crate::report::fit::{cut_end, cut_middle, width};
use crate::report::plot::legend::{name, narrow, shortened, within_the_window};
use crate::report::plot::palette::Color;
use crate::report::table::command_line;
use crate::units::Nanos;

/// Between two columns of entries.
const GAP: usize = 2;

/// The signs of a course's layers: letters for lines, from the lowest.
pub(super) fn signs(course: &Course<'_>) -> Vec<char> {
    let mut letters = ('a'..='z').chain('A'..='Z');
    let sign = |layer: &Layer<'_>| match layer {
        Layer::Base => '░',
        Layer::Others(_) => '▒',
        Layer::Line(_) => letters.next().unwrap_or('+'),
    };
    course.layers.iter().map(sign).collect()
}

/// How many columns of entries fit.
fn columns(width: usize) -> usize {
    (width / 38).clamp(1, 2)
}

/// Rows that so many layers take, with the heading.
pub(super) fn rows(layers: usize, width: usize) -> usize {
    // One more for what RSS came to within a window.
    (layers + 1).div_ceil(columns(width)) + 1
}

/// The entries, in columns: lines from the one that holds most, then what is no line.
pub(super) fn entries(
    course: &Course<'_>,
    signs: &[char],
    colors: Option<&[Color]>,
    room: usize,
) -> Vec<String> {
    let (end, at_peak) = (course.last(), &course.points[course.highest()]);
    let mut entries: Vec<(String, String, String, String)> = Vec::new();
    let is_line = |at: &usize| matches!(course.layers[*at], Layer::Line(_));
    let all = 0..course.layers.len();
    for at in all.clone().filter(is_line).chain(all.filter(|at| !is_line(at)).rev()) {
        let sign = match colors {
            Some(colors) => format!("\x1b[38;5;{}m█\x1b[0m", colors[at].of_terminal()),
            None => signs[at].to_string(),
        };
        let figures = [end.nets[at], at_peak.nets[at]].map(|bytes| mib(narrow(bytes)));
        let [end, peak] = figures;
        let name = match &course.layers[at] {
            Layer::Base => "before + unattributed".to_owned(),
            layer => name(layer),
        };
        entries.push((sign, name, end, peak));
    }
    if let Some((name, more)) = within_the_window(course) {
        entries.push((" ".to_owned(), name, String::new(), mib(narrow(more))));
    }

    let columns = columns(room);
    let each = (room - GAP * (columns - 1)) / columns;
    let widest = |of: fn(&(String, String, String, String)) -> &String, heading: &str| {
        let widths = entries.iter().map(|entry| width(of(entry)));
        widths.chain([width(heading)]).max().unwrap_or(0)
    };
    let (end_width, peak_width) = (widest(|e| &e.2, "at end"), widest(|e| &e.3, "at peak"));
    let name_width = each.saturating_sub(end_width + peak_width + 4).max(1);
    let line = |sign: &str, name: &str, end: &str, peak: &str| {
        let short = shortened(name, |name| width(name) <= name_width);
        let name = short.unwrap_or_else(|| cut_middle(name, name_width).into_owned());
        let blanks = " ".repeat(name_width.saturating_sub(width(&name)));
        format!("{sign} {name}{blanks} {end:>end_width$} {peak:>peak_width$}")
    };
    let heading = line(" ", "MiB", "at end", "at peak");
    let down = entries.len().div_ceil(columns);
    let gap = " ".repeat(GAP);
    let mut rows = vec![vec![heading; columns.min(entries.len())].join(&gap)];
    for row in 0..down {
        let cells: Vec<String> = (row..entries.len())
            .step_by(down)
            .map(|at| &entries[at])
            .map(|(sign, name, end, peak)| line(sign, name, end, peak))
            .collect();
        rows.push(cells.join(&gap));
    }
    rows.into_iter().map(|row| row.trim_end().to_owned()).collect()
}

/// A row for each of these processes: pid, its course as a spark, RSS at the end and at the peak, command.
pub(super) fn others(courses: &[Course<'_>], time: (Nanos, Nanos), room: usize) -> Vec<String> {
    const SPARK: usize = 24;
    let figures: Vec<[String; 3]> = courses
        .iter()
        .map(|course| {
            let rss = [course.last().rss, course.peak()].map(|bytes| mib(narrow(bytes)));
            let [end, peak] = rss;
            [course.process.pid.to_string(), end, peak]
        })
        .collect();
    let widest = |at: usize, heading: &str| {
        let widths = figures.iter().map(|figures| figures[at].len());
        widths.chain([heading.len()]).max().unwrap_or(0)
    };
    let (pid, end, peak) = (widest(0, "Process"), widest(1, "at end"), widest(2, "at peak"));
    let mut rows =
        vec![format!("{:>pid$} {:SPARK$} {:>end$} {:>peak$}", "Process", "", "at end", "at peak")];
    for (course, [number, at_end, at_peak]) in courses.iter().zip(&figures) {
        let samples = sampled(course, time, SPARK);
        let rss =
            |sample: &Option<super::cells::Sample<'_>>| sample.as_ref()?.tops().last().copied();
        let spark = spark(&samples.iter().map(rss).collect::<Vec<_>>());
        let row = format!("{number:>pid$} {spark} {at_end:>end$} {at_peak:>peak$} ");
        let command = command_line(&course.process.command);
        let command = cut_end(&command, room.saturating_sub(width(&row))).into_owned();
        rows.push(format!("{row}{command}"));
    }
    rows.into_iter().map(|row| row.trim_end().to_owned()).collect()
}
