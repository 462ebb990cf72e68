//! The tables of a pprof profile: each text, mapping, function and location once.
//!
//! Texts are made harmless on their way in, since readers print them on terminals. It knows nothing
//! of figures.

use std::collections::HashMap;
use std::sync::Arc;

use super::schema::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};
use crate::profile::{NativeFrame, Place};
use crate::report::printable;

/// A profile under way.
#[derive(Debug, Default)]
pub(super) struct Builder {
    profile: Profile,
    texts: HashMap<String, i64>,
    mappings: HashMap<i64, u64>,
    /// By name, file and first line.
    functions: HashMap<(i64, i64, i64), u64>,
    /// By mapping, function and line.
    locations: HashMap<(u64, u64, i64), u64>,
    /// The same by mapping and place, which is on many stacks. Places outlive the builder: it is
    /// used up within one report.
    places: HashMap<(u64, *const Place), u64>,
}

impl Builder {
    /// With the empty text, which comes first.
    pub(super) fn new() -> Self {
        let mut builder = Self::default();
        builder.text("");
        builder
    }

    /// The position of a text.
    fn text(&mut self, text: &str) -> i64 {
        let text = printable(text);
        if let Some(position) = self.texts.get(text.as_ref()) {
            return *position;
        }
        let position = self.texts.len() as i64;
        self.profile.string_table.push(text.as_ref().to_owned());
        self.texts.insert(text.into_owned(), position);
        position
    }

    pub(super) fn sample_type(&mut self, name: &str, unit: &str) {
        let value = ValueType { r#type: self.text(name), unit: self.text(unit) };
        self.profile.sample_type.push(value);
    }

    /// What is counted, one by one.
    pub(super) fn period(&mut self, name: &str, unit: &str) {
        self.profile.period_type =
            Some(ValueType { r#type: self.text(name), unit: self.text(unit) });
        self.profile.period = 1;
    }

    pub(super) fn default_sample_type(&mut self, name: &str) {
        self.profile.default_sample_type = self.text(name);
    }

    /// The mapping of a program, by the name that it was started by. It has no addresses: the frames
    /// are Python's, which live in the program's data.
    pub(super) fn mapping(&mut self, program: &str) -> u64 {
        let filename = self.text(program);
        let id = self.mappings.len() as u64 + 1;
        *self.mappings.entry(filename).or_insert_with(|| {
            self.profile.mapping.push(Mapping {
                id,
                filename,
                has_functions: true,
                has_filenames: true,
                has_line_numbers: true,
            });
            id
        })
    }

    /// The location of a line.
    pub(super) fn line(&mut self, mapping: u64, place: &Arc<Place>) -> u64 {
        let key = (mapping, Arc::as_ptr(place));
        if let Some(id) = self.places.get(&key) {
            return *id;
        }
        let function = self.function(&place.function, &place.file, place.function_line.into());
        let id = self.location(mapping, function, place.line.into());
        self.places.insert(key, id);
        id
    }

    /// The location of a native frame, in a mapping of its library.
    pub(super) fn native(&mut self, frame: &NativeFrame) -> u64 {
        let mapping = self.mapping(&frame.library);
        let function = self.function(&frame.function, &frame.file, 0);
        self.location(mapping, function, frame.line.into())
    }

    /// The location of a frame that is no function.
    pub(super) fn artificial(&mut self, mapping: u64, name: &str) -> u64 {
        let function = self.function(name, "", 0);
        self.location(mapping, function, 0)
    }

    fn function(&mut self, name: &str, file: &str, start_line: i64) -> u64 {
        let (name, filename) = (self.text(name), self.text(file));
        let id = self.functions.len() as u64 + 1;
        *self.functions.entry((name, filename, start_line)).or_insert_with(|| {
            let function = Function { id, name, filename, start_line };
            self.profile.function.push(function);
            id
        })
    }

    fn location(&mut self, mapping_id: u64, function_id: u64, line: i64) -> u64 {
        let id = self.locations.len() as u64 + 1;
        *self.locations.entry((mapping_id, function_id, line)).or_insert_with(|| {
            let line = vec![Line { function_id, line }];
            self.profile.location.push(Location { id, mapping_id, line });
            id
        })
    }

    pub(super) fn label(&mut self, key: &str, text: &str) -> Label {
        Label { key: self.text(key), str: self.text(text) }
    }

    pub(super) fn sample(&mut self, sample: Sample) {
        self.profile.sample.push(sample);
    }

    pub(super) fn comment(&mut self, text: &str) {
        let text = self.text(text);
        self.profile.comment.push(text);
    }

    pub(super) fn finish(self, time_nanos: i64, duration_nanos: i64) -> Profile {
        Profile { time_nanos, duration_nanos, ..self.profile }
    }
}
