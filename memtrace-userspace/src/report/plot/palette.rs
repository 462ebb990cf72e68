//! Colours of layers: told apart by people who see red and green alike, too.
//!
//! Paul Tol's "muted" scheme and one blue of his "bright" one, in an order in which neighbours differ
//! in lightness. What is no line is grey.

use std::collections::HashMap;
use std::sync::Arc;

use crate::profile::Place;
use crate::report::course::{Course, Layer};

/// A colour as red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Color(pub(super) u8, pub(super) u8, pub(super) u8);

/// As many as there are lines in a picture by default.
const LINES: [Color; 10] = [
    Color(0xcc, 0x66, 0x77), // rose
    Color(0x33, 0x22, 0x88), // indigo
    Color(0xdd, 0xcc, 0x77), // sand
    Color(0x44, 0xaa, 0x99), // teal
    Color(0x88, 0x22, 0x55), // wine
    Color(0x88, 0xcc, 0xee), // cyan
    Color(0x11, 0x77, 0x33), // green
    Color(0xaa, 0x44, 0x99), // purple
    Color(0x99, 0x99, 0x33), // olive
    Color(0x44, 0x77, 0xaa), // blue
];
const BASE: Color = Color(0xdd, 0xdd, 0xdd);
const OTHERS: Color = Color(0xb4, 0xb4, 0xb4);
/// Text on white, and on colours that are light.
pub(super) const INK: Color = Color(0x1a, 0x1a, 0x1a);
/// Text on colours that are dark.
pub(super) const PAPER: Color = Color(0xff, 0xff, 0xff);

impl Color {
    /// `#rrggbb`
    pub(super) fn hex(self) -> String {
        let Self(red, green, blue) = self;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// The nearest colour of the 6 × 6 × 6 that terminals with 256 have.
    pub(super) fn of_terminal(self) -> u8 {
        // Their steps are 0, 95, 135, 175, 215, 255.
        let step = |channel: u8| match channel {
            0..48 => 0,
            48..115 => 1,
            _ => (channel - 35) / 40,
        };
        let Self(red, green, blue) = self;
        16 + 36 * step(red) + 6 * step(green) + step(blue)
    }

    /// Ink or paper, whichever can be read on it better.
    pub(super) fn text(self) -> Self {
        if self.contrast(INK) >= self.contrast(PAPER) { INK } else { PAPER }
    }

    /// Relative luminance, as WCAG 2.1 defines it.
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let Self(red, green, blue) = self;
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    /// Contrast ratio, likewise: from 1 to 21.
    fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }
}

/// The colour of each layer of each course. A line that is in several courses has the same colour in
/// all of them, and different lines have different ones, as far as the colours go.
pub(super) fn colors(courses: &[Course<'_>]) -> Vec<Vec<Color>> {
    let mut known: HashMap<&Arc<Place>, usize> = HashMap::new();
    let mut used = [false; LINES.len()];
    courses
        .iter()
        .map(|course| {
            let mut taken = [false; LINES.len()];
            let mut of_layer = vec![None; course.layers.len()];
            for (layer, color) in course.layers.iter().zip(&mut of_layer) {
                let Layer::Line(line) = layer else { continue };
                *color = known.get(&line.place).copied().filter(|color| !taken[*color]);
                taken[color.unwrap_or(0)] |= color.is_some();
            }
            for (at, (layer, color)) in course.layers.iter().zip(&mut of_layer).enumerate() {
                let (Layer::Line(line), None) = (layer, *color) else { continue };
                let in_none = (0..LINES.len()).find(|at| !taken[*at] && !used[*at]);
                let free = in_none.or_else(|| taken.iter().position(|taken| !taken));
                let free = free.unwrap_or(at % LINES.len());
                (taken[free], used[free]) = (true, true);
                known.entry(&line.place).or_insert(free);
                *color = Some(free);
            }
            let of = |(layer, color): (&Layer<'_>, Option<usize>)| match layer {
                Layer::Base => BASE,
                Layer::Others(_) => OTHERS,
                Layer::Line(_) => LINES[color.unwrap_or(0)],
            };
            course.layers.iter().zip(of_layer).map(of).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_show_lines_in_colours_that_differ() {
        assert_eq!(Color(0, 0, 0).of_terminal(), 16);
        assert_eq!(Color(0xff, 0xff, 0xff).of_terminal(), 231);
        assert_eq!(Color(0x87, 0x00, 0x5f).of_terminal(), 16 + 36 * 2 + 1);
        let all = LINES.into_iter().chain([BASE, OTHERS]).map(Color::of_terminal);
        let all: std::collections::BTreeSet<u8> = all.collect();
        assert_eq!(all.len(), LINES.len() + 2);
    }

    #[test]
    fn text_can_be_read_on_every_colour() {
        // 21 for black on white is WCAG's own example; 4.5 its bound for text.
        assert!((Color(0, 0, 0).contrast(PAPER) - 21.0).abs() < 1e-9);
        for color in LINES.into_iter().chain([BASE, OTHERS]) {
            let contrast = color.contrast(color.text());
            assert!(contrast >= 4.5, "{}: {contrast}", color.hex());
        }
    }
}
