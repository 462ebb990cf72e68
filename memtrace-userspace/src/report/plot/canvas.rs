//! Elements of an SVG, written as they come.
//!
//! Everything that is text goes through here, so that no name can become markup. It knows nothing
//! of plots.

use std::borrow::Cow;
use std::io::{self, Write};

use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};

use crate::report::printable;

/// Names and values.
pub(super) type Attributes<'a> = [(&'a str, &'a str)];

/// An SVG that is being written.
pub(super) struct Canvas<'w> {
    xml: Writer<&'w mut dyn Write>,
}

impl<'w> Canvas<'w> {
    pub(super) fn new(out: &'w mut dyn Write) -> Self {
        Self { xml: Writer::new_with_indent(out, b' ', 1) }
    }

    /// Begins an element that holds others.
    pub(super) fn open(&mut self, name: &str, attributes: &Attributes<'_>) -> io::Result<()> {
        self.xml.write_event(Event::Start(element(name, attributes)))
    }

    /// Ends it.
    pub(super) fn close(&mut self, name: &str) -> io::Result<()> {
        self.xml.write_event(Event::End(BytesEnd::new(name)))
    }

    /// An element that holds nothing.
    pub(super) fn empty(&mut self, name: &str, attributes: &Attributes<'_>) -> io::Result<()> {
        self.xml.write_event(Event::Empty(element(name, attributes)))
    }

    /// An element that holds text: `text`, `tspan`, `title`.
    pub(super) fn text(
        &mut self,
        name: &str,
        attributes: &Attributes<'_>,
        text: &str,
    ) -> io::Result<()> {
        self.open(name, attributes)?;
        self.xml.write_event(Event::Text(BytesText::new(&harmless(text))))?;
        self.close(name)
    }

    /// The end of the document.
    pub(super) fn finish(self) -> io::Result<()> {
        writeln!(self.xml.into_inner())
    }
}

fn element<'a>(name: &'a str, attributes: &Attributes<'a>) -> BytesStart<'a> {
    let harmless = |(name, value): &(&'a str, &'a str)| (*name, harmless(value));
    BytesStart::new(name).with_attributes(attributes.iter().map(harmless))
}

/// Text without what a terminal acts on (an SVG is text, too) and what XML can't hold.
fn harmless(text: &str) -> Cow<'_, str> {
    match printable(text) {
        text if text.contains(['\u{fffe}', '\u{ffff}']) => {
            Cow::Owned(text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}"))
        }
        text => text,
    }
}

/// A number of pixels, to the hundredth.
pub(super) fn px(size: f64) -> String {
    let text = format!("{size:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_become_markup() {
        let mut out = Vec::new();
        let mut canvas = Canvas::new(&mut out);
        let name = "</text><script>\"&amp;'\x1b[2J\u{ffff}\0";
        canvas.open("g", &[("id", name)]).unwrap();
        canvas.text("text", &[], name).unwrap();
        canvas.close("g").unwrap();
        canvas.finish().unwrap();
        let svg = String::from_utf8(out).unwrap();
        assert_eq!(svg.matches('<').count(), 4, "{svg}");
        assert!(svg.contains("&lt;script&gt;") && svg.contains("\\x1b[2J\u{fffd}\\x00"), "{svg}");
    }

    #[test]
    fn pixels_are_short_and_exact_to_the_hundredth() {
        let check = |size, text: &str| assert_eq!(px(size), text);
        check(0.0, "0");
        check(-0.001, "0");
        check(12.5, "12.5");
        check(12.346, "12.35");
        check(100.0, "100");
    }
}
