//! Values of the configuration that TOML has no type for. Each is a text that says its unit.

use std::fmt;
use std::time::Duration;

use crate::units::overhead;
use globset::{GlobBuilder, GlobMatcher};
use serde::de::{Deserialize, Deserializer, Error};

/// `"2s"`, `"1h30m"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = text(from, "a time in quotes, like \"2s\" or \"1h30m\"")?;
        humantime::parse_duration(&text).map(Self).map_err(|_| {
            D::Error::custom(format!("{text:?} is no time; write it like \"2s\" or \"1h30m\""))
        })
    }
}

/// `"48MiB"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = text(from, "a size in quotes, like \"48MiB\"")?;
        text.parse::<bytesize::ByteSize>().map(|size| Self(size.as_u64())).map_err(|_| {
            D::Error::custom(format!("{text:?} is no size; write it like \"48MiB\" or \"1GiB\""))
        })
    }
}

/// `"2%"`, or `"any"` where nothing bounds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overhead(pub Option<f64>);

impl<'de> Deserialize<'de> for Overhead {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = text(from, "a part in quotes, like \"2%\", or \"any\"")?;
        if text == "any" {
            return Ok(Self(None));
        }
        overhead(&text).map(|part| Self(Some(part))).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} must be from 0.1% to 1000%, like \"2%\", or \"any\" for all that it takes"
            ))
        })
    }
}

/// A glob: `*` is any text, `?` one character, `[ab]` one of these, `{a,b}` one of both.
#[derive(Debug, Clone)]
pub struct Pattern(GlobMatcher);

impl Pattern {
    /// Whether all of `text` is as the pattern says.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = text(from, "a pattern in quotes, like \"*gunicorn*\"")?;
        GlobBuilder::new(&text).build().map(|glob| Self(glob.compile_matcher())).map_err(|error| {
            let why = error.kind().to_string();
            D::Error::custom(format!(
                "{text:?} is no pattern: {why}; write * for any text, and [*] for a star"
            ))
        })
    }
}

/// A text, or the sentence that says what is wanted.
fn text<'de, D: Deserializer<'de>>(from: D, wanted: &'static str) -> Result<String, D::Error> {
    struct Text(&'static str);

    impl serde::de::Visitor<'_> for Text {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
    }

    from.deserialize_str(Text(wanted))
}
