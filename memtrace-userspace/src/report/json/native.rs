//! The native functions of the JSON report.

use serde::Serialize;

use crate::profile::NativeFigures;
use crate::units::Bytes;

/// Lines of each function, and Python lines that called it, that are told.
const MOST: usize = 20;

#[derive(Serialize)]
pub(super) struct Native<'a> {
    function: &'a str,
    library: &'a str,
    self_grown_bytes: Bytes,
    self_net_bytes: Bytes,
    self_resident_bytes: Bytes,
    cumulative_grown_bytes: Bytes,
    cumulative_net_bytes: Bytes,
    cumulative_resident_bytes: Bytes,
    events: u64,
    places: Vec<Place<'a>>,
    callers: Vec<Caller<'a>>,
}

/// A line of the function's own source.
#[derive(Serialize)]
struct Place<'a> {
    file: &'a str,
    line: u32,
    net_bytes: Bytes,
}

/// A Python line that called it; without a file: no line did.
#[derive(Serialize)]
struct Caller<'a> {
    file: Option<&'a str>,
    line: Option<u32>,
    function: Option<&'a str>,
    net_bytes: Bytes,
}

impl<'a> Native<'a> {
    pub(super) fn of(figures: &'a NativeFigures) -> Self {
        let places = figures.places.iter().take(MOST);
        let callers = figures.callers.iter().take(MOST);
        Self {
            function: &figures.function,
            library: &figures.library,
            self_grown_bytes: figures.self_grown,
            self_net_bytes: figures.self_net,
            self_resident_bytes: figures.self_resident,
            cumulative_grown_bytes: figures.cumulative_grown,
            cumulative_net_bytes: figures.cumulative_net,
            cumulative_resident_bytes: figures.cumulative_resident,
            events: figures.events,
            places: places
                .map(|(file, line, net)| Place { file, line: *line, net_bytes: *net })
                .collect(),
            callers: callers
                .map(|(place, net)| Caller {
                    file: place.as_ref().map(|place| place.file.as_str()),
                    line: place.as_ref().map(|place| place.line),
                    function: place.as_ref().map(|place| place.function.as_str()),
                    net_bytes: *net,
                })
                .collect(),
        }
    }
}
