//! Areas in characters: which character, in which colour, stands in each cell.
//!
//! With colours, a cell shows up to two layers by eighths of its height. Without, it shows the letter
//! of the layer that has most of it, and the top of all layers by eighths.

use crate::report::course::{Course, Point};
use crate::units::Nanos;

/// One to seven eighths of a cell, from below.
const EIGHTHS: [char; 7] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇'];

/// A cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) character: char,
    /// Layer whose colour the character has.
    pub(super) layer: Option<usize>,
    /// Layer whose colour is behind it.
    pub(super) behind: Option<usize>,
}

impl Cell {
    pub(super) const EMPTY: Self = Self { character: ' ', layer: None, behind: None };
}

/// What a course shows in each of `columns` between two times; `None` where it has not begun or is over.
///
/// Of several points in a column it is the one with the highest RSS, in the last column the last.
pub(super) fn sampled<'p>(
    course: &'p Course<'_>,
    (start, end): (Nanos, Nanos),
    columns: usize,
) -> Vec<Option<Sample<'p>>> {
    let last = columns.max(2) - 1;
    let span = (end.0.saturating_sub(start.0)).max(1) as f64;
    let column = |at: Nanos| {
        let share = (at.0.saturating_sub(start.0)) as f64 / span;
        ((share * last as f64).round() as usize).min(columns - 1)
    };
    let mut samples: Vec<Option<Sample<'p>>> = vec![None; columns];
    for pair in course.points.windows(2) {
        let (from, to) = (column(pair[0].at), column(pair[1].at));
        let between = |at: usize| (at - from) as f64 / (to - from).max(1) as f64;
        for (at, sample) in samples.iter_mut().enumerate().take(to).skip(from + 1) {
            *sample = Some(Sample { from: &pair[0], to: &pair[1], share: between(at) });
        }
    }
    for point in &course.points {
        let sample = &mut samples[column(point.at)];
        let higher = sample.as_ref().is_none_or(|sample| sample.to.rss < point.rss);
        if higher || std::ptr::eq(point, course.last()) {
            *sample = Some(Sample { from: point, to: point, share: 1.0 });
        }
    }
    samples
}

/// A course at a time between two points.
#[derive(Debug, Clone)]
pub(super) struct Sample<'p> {
    from: &'p Point,
    to: &'p Point,
    share: f64,
}

impl Sample<'_> {
    /// Where each layer ends, as [`Point::tops`].
    pub(super) fn tops(&self) -> Vec<f64> {
        let (from, to) = (self.from.tops(), self.to.tops());
        from.iter().zip(to).map(|(from, to)| from + (to - from) * self.share).collect()
    }
}

/// A column of `rows` cells from zero to `bytes`, the highest first. `letters` are those of the layers.
pub(super) fn plain(tops: &[f64], rows: usize, bytes: f64, letters: &[char]) -> Vec<Cell> {
    let cell = bytes / rows as f64;
    let top = tops.last().copied().unwrap_or(0.0);
    (0..rows)
        .rev()
        .map(|row| {
            let low = row as f64 * cell;
            let eighths = ((top - low) / cell * 8.0).round().clamp(0.0, 8.0) as usize;
            let character = match eighths {
                0 => ' ',
                8 => layer_with_most(tops, low, low + cell).map_or(' ', |layer| letters[layer]),
                _ => EIGHTHS[eighths - 1],
            };
            Cell { character, ..Cell::EMPTY }
        })
        .collect()
}

/// The layer that has the largest share between two values; of equals the highest.
fn layer_with_most(tops: &[f64], low: f64, high: f64) -> Option<usize> {
    let mut below = 0.0_f64;
    let mut shares = Vec::new();
    for top in tops {
        shares.push(top.min(high) - below.max(low));
        below = *top;
    }
    (0..shares.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b]))
}

/// As [`plain`], for a terminal with colours.
pub(super) fn colored(tops: &[f64], rows: usize, bytes: f64) -> Vec<Cell> {
    let eighth = bytes / rows as f64 / 8.0;
    let layer = |number: usize| {
        let middle = (number as f64 + 0.5) * eighth;
        tops.iter().position(|top| *top > middle)
    };
    (0..rows)
        .rev()
        .map(|row| {
            let layers: Vec<Option<usize>> = (8 * row..8 * row + 8).map(layer).collect();
            match layers[0] {
                None => Cell::EMPTY,
                layer if layers.iter().all(|one| *one == layer) => {
                    Cell { character: '█', layer, behind: None }
                }
                _ => two_colors(&layers),
            }
        })
        .collect()
}

/// The cell that comes nearest to eight layers from below: one colour up to some eighth, one above.
fn two_colors(layers: &[Option<usize>]) -> Cell {
    let most = |part: &[Option<usize>]| {
        let count = |layer: &Option<usize>| part.iter().filter(|one| *one == layer).count();
        part.iter().map(|layer| (count(layer), *layer)).max_by_key(|(count, _)| *count)
    };
    let split = |lower: usize| {
        let (below, above) = layers.split_at(lower);
        let ((right, layer), above) = (most(below)?, most(above));
        let (also_right, behind) = above.unwrap_or((0, layer));
        Some((right + also_right, lower, layer, behind))
    };
    // Of equals the one with fewer colours.
    let best = (1..=8).filter_map(split).max_by_key(|(right, lower, ..)| (*right, *lower == 8));
    match best {
        None | Some((.., None, _)) => Cell::EMPTY,
        Some((_, _, layer, behind)) if layer == behind => {
            Cell { character: '█', layer, behind: None }
        }
        Some((_, lower, layer, behind)) => Cell { character: EIGHTHS[lower - 1], layer, behind },
    }
}

/// `values` as one row, scaled to the highest of them.
pub(super) fn spark(values: &[Option<f64>]) -> String {
    let most = values.iter().flatten().copied().fold(0.0, f64::max);
    let bar = |value: f64| match (value / most * 8.0).ceil() as usize {
        eighths @ 1..=7 => EIGHTHS[eighths - 1],
        0 => EIGHTHS[0],
        _ => '█',
    };
    let zero = |value: f64| if most > 0.0 { bar(value) } else { EIGHTHS[0] };
    values.iter().map(|value| value.map_or(' ', zero)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn characters(cells: &[Cell]) -> String {
        cells.iter().map(|cell| cell.character).collect()
    }

    #[test]
    fn a_column_shows_layers_and_their_top_by_eighths() {
        // Ten bytes a cell. Layer 0 to 12, layer 1 to 26, layer 2 to 34: the cells from the bottom are
        // 10 of the first; 2 and 8; 6 and 4; and 4 of 10, three eighths.
        let tops = [12.0, 26.0, 34.0];
        assert_eq!(characters(&plain(&tops, 5, 50.0, &['░', 'a', 'b'])), " ▃aa░");

        // In colours: 2 of 10 are two eighths (1.6), 6 of 10 five (4.8).
        let cells = colored(&tops, 5, 50.0);
        let expected = [
            Cell::EMPTY,
            Cell { character: '▃', layer: Some(2), behind: None },
            Cell { character: '▅', layer: Some(1), behind: Some(2) },
            Cell { character: '▂', layer: Some(0), behind: Some(1) },
            Cell { character: '█', layer: Some(0), behind: None },
        ];
        assert_eq!(cells, expected);
    }

    #[test]
    fn a_layer_of_nothing_is_never_seen() {
        let tops = [0.0, 0.0, 20.0, 20.0];
        assert_eq!(characters(&plain(&tops, 2, 20.0, &['░', '▒', 'a', 'b'])), "aa");
        assert!(colored(&tops, 2, 20.0).iter().all(|cell| cell.layer == Some(2)));
        assert_eq!(characters(&plain(&[0.0], 2, 20.0, &['░'])), "  ");
    }

    #[test]
    fn a_spark_is_scaled_to_its_highest() {
        assert_eq!(spark(&[None, Some(0.0), Some(1.0), Some(4.0), Some(8.0)]), " ▁▁▄█");
        assert_eq!(spark(&[Some(0.0), None]), "▁ ");
        assert_eq!(spark(&[]), "");
    }
}
