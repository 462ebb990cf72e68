//! An SVG of a plot, read again as a stranger would: elements, attributes, coordinates.
//!
//! It knows how the picture is built, but nothing of how memtrace computes it.

use std::collections::BTreeMap;

use quick_xml::XmlVersion;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

/// An element with its text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    attributes: BTreeMap<String, String>,
    pub(crate) text: String,
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> f64 {
        self.attribute(name).parse().unwrap_or_else(|_| panic!("{name} of {self:?}"))
    }

    fn has_class(&self, class: &str) -> bool {
        self.attribute("class").split(' ').any(|one| one == class)
    }

    /// Its coordinates in pairs: of a path without curves, or of a polyline.
    pub(crate) fn points(&self) -> Vec<(f64, f64)> {
        let text = format!("{}{}", self.attribute("d"), self.attribute("points"));
        let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.' && c != '-');
        let numbers: Vec<f64> = numbers.filter_map(|number| number.parse().ok()).collect();
        numbers.chunks(2).map(|pair| (pair[0], pair[1])).collect()
    }
}

/// A panel.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) areas: Vec<Element>,
    pub(crate) rss: Element,
    /// All its texts.
    pub(crate) texts: Vec<Element>,
}

impl Panel {
    /// What a height on the picture stands for, as one reads it off the axis (MiB).
    pub(crate) fn mib_at(&self, y: f64) -> f64 {
        let tick = |text: &Element| {
            let value: f64 = text.text.strip_suffix(" MiB")?.parse().ok()?;
            // The label's baseline is 4 below its tick.
            Some((text.number("y") - 4.0, value))
        };
        let ticks: Vec<_> = self.texts.iter().filter_map(tick).collect();
        let ((low_y, low), (high_y, high)) = (ticks[0], ticks[ticks.len() - 1]);
        low + (y - low_y) / (high_y - low_y) * (high - low)
    }

    /// Top and bottom (MiB) of an area at its right end, and where that is.
    pub(crate) fn right_end(&self, area: &Element) -> (f64, f64, f64) {
        let points = area.points();
        // Along the top to the right, and along the bottom back.
        let (top, bottom) = (points[points.len() / 2 - 1], points[points.len() / 2]);
        assert_eq!(top.0, bottom.0);
        (self.mib_at(top.1), self.mib_at(bottom.1), top.0)
    }
}

/// The whole picture.
#[derive(Debug)]
pub(crate) struct Svg {
    pub(crate) root: Element,
    pub(crate) panels: Vec<Panel>,
    /// Texts outside of panels.
    pub(crate) texts: Vec<Element>,
}

impl Svg {
    pub(crate) fn read(svg: &str) -> Self {
        let mut reader = Reader::from_str(svg);
        reader.config_mut().check_end_names = true;
        let mut open: Vec<Element> = Vec::new();
        let mut svg = Self { root: Element::default(), panels: Vec::new(), texts: Vec::new() };
        loop {
            match reader.read_event().unwrap() {
                Event::Start(start) => {
                    let element = element(&start);
                    if element.has_class("process") {
                        svg.panels.push(Panel {
                            areas: Vec::new(),
                            rss: Element::default(),
                            texts: Vec::new(),
                        });
                    }
                    open.push(element);
                }
                Event::Empty(start) => svg.take(element(&start), &open),
                Event::End(_) => {
                    let element = open.pop().unwrap();
                    svg.take(element, &open);
                }
                Event::Text(text) => {
                    if let Some(element) = open.last_mut() {
                        element.text.push_str(&text.decode().unwrap());
                    }
                }
                Event::GeneralRef(name) => {
                    let text = match &*name.decode().unwrap() {
                        "lt" => "<",
                        "gt" => ">",
                        "amp" => "&",
                        "quot" => "\"",
                        "apos" => "'",
                        other => panic!("&{other};"),
                    };
                    if let Some(element) = open.last_mut() {
                        element.text.push_str(text);
                    }
                }
                Event::Eof => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(open.is_empty());
        svg
    }

    /// Keeps an element that is complete, within those that are open.
    fn take(&mut self, element: Element, open: &[Element]) {
        let in_panel = open.iter().any(|outer| outer.has_class("process"));
        match self.panels.last_mut() {
            _ if open.is_empty() => self.root = element,
            Some(panel) if in_panel => match &*element.name {
                "path" if element.has_class("area") => panel.areas.push(element),
                "polyline" => panel.rss = element,
                "text" => panel.texts.push(element),
                _ => {}
            },
            _ => self.texts.push(element),
        }
    }
}

fn element(start: &quick_xml::events::BytesStart<'_>) -> Element {
    let attributes = start.attributes().map(|attribute| {
        let attribute = attribute.unwrap();
        let name = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
        (name, attribute.normalized_value(XmlVersion::Implicit1_0).unwrap().into_owned())
    });
    Element {
        name: String::from_utf8(start.name().as_ref().to_vec()).unwrap(),
        attributes: attributes.collect(),
        text: String::new(),
    }
}
