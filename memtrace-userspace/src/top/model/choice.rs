//! What the user has chosen to see: which figure, of what, in which order, and which rows.

use super::recent::Life;

/// Which figure of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Measure {
    /// Grown less returned. The only one in which all rows add up to the growth of RSS.
    #[default]
    Net,
    /// Bytes added.
    Grown,
    /// Of what it grew: still in RSS.
    Resident,
    /// With the allocator lens: of what it allocated, what nobody has freed.
    Live,
    /// With the allocator lens: what it allocated.
    Allocated,
}

impl Measure {
    /// All of them, in the order in which a key goes through them.
    pub const ALL: [Self; 5] =
        [Self::Net, Self::Grown, Self::Resident, Self::Live, Self::Allocated];

    /// As headings name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Grown => "grown",
            Self::Resident => "resident",
            Self::Live => "live",
            Self::Allocated => "allocated",
        }
    }

    /// The next one; those of the allocator lens only where it is.
    pub(super) fn next(self, has_lens: bool) -> Self {
        match self {
            Self::Net => Self::Grown,
            Self::Grown => Self::Resident,
            Self::Resident if has_lens => Self::Live,
            Self::Live => Self::Allocated,
            Self::Resident | Self::Allocated => Self::Net,
        }
    }
}

/// Whether what a line calls counts for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// The line alone: what happened while it was the innermost one.
    #[default]
    Own,
    /// The line and what it called.
    Cumulative,
}

impl Scope {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Own, Self::Cumulative];

    /// As headings name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "self",
            Self::Cumulative => "cumulative",
        }
    }

    pub(super) fn next(self) -> Self {
        match self {
            Self::Own => Self::Cumulative,
            Self::Cumulative => Self::Own,
        }
    }
}

/// What rows are sorted by, largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The measure.
    #[default]
    Size,
    /// Its growth in the last windows.
    Rate,
    /// How many events.
    Events,
    /// File and line.
    Place,
}

impl Order {
    /// As the head of the screen names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Rate => "rate",
            Self::Events => "events",
            Self::Place => "place",
        }
    }

    pub(super) fn next(self) -> Self {
        match self {
            Self::Size => Self::Rate,
            Self::Rate => Self::Events,
            Self::Events => Self::Place,
            Self::Place => Self::Size,
        }
    }
}

/// Over so many windows a rate can be taken.
pub(super) const SPANS: [usize; 2] = [10, 60];

/// All choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Which figure.
    pub measure: Measure,
    /// Of what.
    pub scope: Scope,
    /// In which order.
    pub order: Order,
    /// Windows that a rate is taken over.
    pub span: usize,
    /// Words that rows must have; those that begin with `!`, that they must not have.
    pub filter: String,
    /// Rows of this process only.
    pub only: Option<Life>,
    /// Native functions below the rows that called them.
    pub natives: bool,
}

impl Default for Choice {
    fn default() -> Self {
        Self {
            measure: Measure::default(),
            scope: Scope::default(),
            order: Order::default(),
            span: SPANS[0],
            filter: String::new(),
            only: None,
            natives: true,
        }
    }
}

impl Choice {
    /// Whether a row with this text passes the filter. Case makes no difference.
    pub(super) fn admits(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.filter.to_lowercase().split_whitespace().all(|word| match word.strip_prefix('!') {
            Some("") => true,
            Some(unwanted) => !text.contains(unwanted),
            None => text.contains(word),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_wants_every_word_and_none_of_the_unwanted() {
        let text = "/srv/App.py:12 handle";
        for (filter, admitted) in [
            ("", true),
            ("app", true),
            ("APP handle", true),
            ("app main", false),
            (":12", true),
            ("!app", false),
            ("app !main", true),
            ("app !", true),
            ("  ", true),
        ] {
            let choice = Choice { filter: filter.to_owned(), ..Choice::default() };
            assert_eq!(choice.admits(text), admitted, "{filter:?}");
        }
    }
}
