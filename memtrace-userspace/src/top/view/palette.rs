//! How things are set off from each other: by colour where colours are wanted, else by weight only.
//!
//! Whoever takes the colours away loses nothing: no meaning is carried by colour alone.

use ratatui::style::{Color, Modifier, Style};

use crate::units::Bytes;

/// From here on growth a minute is worth a look, and worth waking somebody.
const NOTABLE: Bytes = Bytes(1 << 20);
const ALARMING: Bytes = Bytes(50 << 20);

/// The styles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    color: bool,
}

impl Palette {
    /// With or without colours.
    #[must_use]
    pub fn new(color: bool) -> Self {
        Self { color }
    }

    fn colored(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    pub(super) fn plain(self) -> Style {
        Style::new()
    }

    pub(super) fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) fn heading(self) -> Style {
        self.colored(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    pub(super) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn well(self) -> Style {
        self.colored(Color::Green)
    }

    pub(super) fn notice(self) -> Style {
        self.colored(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    pub(super) fn alarm(self) -> Style {
        self.colored(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(super) fn trend(self) -> Style {
        self.colored(Color::Blue)
    }

    /// Of a growth rate.
    pub(super) fn rate(self, per_minute: Bytes) -> Style {
        match per_minute {
            Bytes(0) => self.dim(),
            rate if rate < Bytes::ZERO => self.colored(Color::Green),
            rate if rate >= ALARMING => self.alarm(),
            rate if rate >= NOTABLE => self.notice(),
            _ => self.plain(),
        }
    }
}
