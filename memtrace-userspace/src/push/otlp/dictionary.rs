//! The tables of an OTLP message: each text, function, location, stack and attribute once. The first
//! entry of each stands for "none".

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::profiles::v1development::{
    Function, KeyValueAndUnit, Line, Link, Location, Mapping, ProfilesDictionary, Stack, ValueType,
};

use crate::profile::{NativeFrame, Place};
use crate::report::printable;

/// Tables under way.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    tables: ProfilesDictionary,
    texts: HashMap<String, i32>,
    /// By name, file and first line.
    functions: HashMap<(i32, i32, i64), i32>,
    /// By program or library.
    mappings: HashMap<i32, i32>,
    /// By mapping, function and line.
    locations: HashMap<(i32, i32, i64), i32>,
    stacks: HashMap<Vec<i32>, i32>,
    /// By key and value as text.
    attributes: HashMap<(i32, String), i32>,
    /// Places outlive the dictionary: it is used up within one message.
    places: HashMap<*const Place, i32>,
}

impl Dictionary {
    pub(super) fn new() -> Self {
        let mut dictionary = Self::default();
        dictionary.text("");
        let tables = &mut dictionary.tables;
        tables.mapping_table.push(Mapping::default());
        tables.location_table.push(Location::default());
        tables.function_table.push(Function::default());
        tables.link_table.push(Link::default());
        tables.attribute_table.push(KeyValueAndUnit::default());
        tables.stack_table.push(Stack::default());
        dictionary
    }

    pub(super) fn finish(self) -> ProfilesDictionary {
        self.tables
    }

    fn text(&mut self, text: &str) -> i32 {
        let text = printable(text);
        if let Some(position) = self.texts.get(text.as_ref()) {
            return *position;
        }
        let position = position(self.tables.string_table.len());
        self.tables.string_table.push(text.as_ref().to_owned());
        self.texts.insert(text.into_owned(), position);
        position
    }

    pub(super) fn value_type(&mut self, name: &str, unit: &str) -> ValueType {
        ValueType { type_strindex: self.text(name), unit_strindex: self.text(unit) }
    }

    /// The location of a line.
    pub(super) fn line(&mut self, place: &Arc<Place>) -> i32 {
        if let Some(known) = self.places.get(&Arc::as_ptr(place)) {
            return *known;
        }
        let function = self.function(&place.function, &place.file, place.function_line.into());
        let kind = any_value::Value::StringValue("cpython".to_owned());
        let kind = self.attribute("profile.frame.type", "cpython", kind);
        let location = self.location(0, function, place.line.into(), vec![kind]);
        self.places.insert(Arc::as_ptr(place), location);
        location
    }

    /// The location of a frame of native code.
    pub(super) fn native(&mut self, frame: &NativeFrame) -> i32 {
        let mapping = self.mapping(&frame.library);
        let function = self.function(&frame.function, &frame.file, 0);
        let kind = any_value::Value::StringValue("native".to_owned());
        let kind = self.attribute("profile.frame.type", "native", kind);
        self.location(mapping, function, frame.line.into(), vec![kind])
    }

    /// The place of a program or library; 0 for none.
    fn mapping(&mut self, library: &str) -> i32 {
        let filename_strindex = self.text(library);
        if filename_strindex == 0 {
            return 0;
        }
        let table = &mut self.tables.mapping_table;
        *self.mappings.entry(filename_strindex).or_insert_with(|| {
            table.push(Mapping { filename_strindex, ..Mapping::default() });
            position(table.len() - 1)
        })
    }

    /// The location of a frame that is no function.
    pub(super) fn artificial(&mut self, name: &str) -> i32 {
        let function = self.function(name, "", 0);
        self.location(0, function, 0, Vec::new())
    }

    fn function(&mut self, name: &str, file: &str, start_line: i64) -> i32 {
        let (name_strindex, filename_strindex) = (self.text(name), self.text(file));
        let table = &mut self.tables.function_table;
        *self.functions.entry((name_strindex, filename_strindex, start_line)).or_insert_with(|| {
            let function =
                Function { name_strindex, filename_strindex, start_line, ..Function::default() };
            table.push(function);
            position(table.len() - 1)
        })
    }

    fn location(
        &mut self,
        mapping_index: i32,
        function_index: i32,
        line: i64,
        attribute_indices: Vec<i32>,
    ) -> i32 {
        let table = &mut self.tables.location_table;
        *self.locations.entry((mapping_index, function_index, line)).or_insert_with(|| {
            let lines = vec![Line { function_index, line, column: 0 }];
            table.push(Location { mapping_index, lines, attribute_indices, ..Location::default() });
            position(table.len() - 1)
        })
    }

    pub(super) fn stack(&mut self, location_indices: Vec<i32>) -> i32 {
        let table = &mut self.tables.stack_table;
        *self.stacks.entry(location_indices).or_insert_with_key(|location_indices| {
            table.push(Stack { location_indices: location_indices.clone() });
            position(table.len() - 1)
        })
    }

    /// An attribute, by its key and its value as text.
    pub(super) fn attribute(&mut self, key: &str, text: &str, value: any_value::Value) -> i32 {
        let key_strindex = self.text(key);
        let table = &mut self.tables.attribute_table;
        *self.attributes.entry((key_strindex, text.to_owned())).or_insert_with(|| {
            let value = Some(AnyValue { value: Some(value) });
            table.push(KeyValueAndUnit { key_strindex, value, unit_strindex: 0 });
            position(table.len() - 1)
        })
    }
}

/// Messages are bounded far below this.
fn position(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}
