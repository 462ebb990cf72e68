//! A range of what is kept as a recording, with the names and the source text that it needs and no
//! others. In memory: it has as many windows as are kept there.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::store::Kept;
use crate::command::sources::SourceKeeper;
use crate::history::entry::{
    Function, FunctionId, Names, PlaceId, PlaceName, SpaceId, StackId, StackName, TextId, ThreadId,
    ThreadName,
};
use crate::history::{Entry, Tables};
use crate::profile::Reason;
use crate::recording::{Medium, WriteError, Writer};
use crate::source::TargetFiles;
use crate::units::Nanos;

/// Memory as a place for a recording.
#[derive(Debug, Default)]
struct InMemory(Vec<u8>);

impl Write for InMemory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Medium for InMemory {
    fn make_durable(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut_to(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }
}

/// The recording of a range, for some of the processes. `files` are those that source text is read from.
///
/// # Errors
///
/// When something doesn't fit into a recording.
pub fn recording(
    kept: &Kept,
    range: &RangeInclusive<Nanos>,
    wanted: &dyn Fn(SpaceId) -> bool,
    files: &dyn Fn(SpaceId) -> Option<Arc<TargetFiles>>,
) -> Result<Vec<u8>, WriteError> {
    let (head, mut entries) = kept.entries(range, wanted);
    let mut naming = Naming::of(&kept.tables);
    let mut of_spaces = Vec::new();
    for entry in &mut entries {
        match entry {
            Entry::Began(began) => of_spaces.push(files(began.space)),
            Entry::Window(window) => {
                for change in &mut window.changes {
                    change.stack = naming.stack(change.stack);
                    change.thread = naming.thread(window.space, change.thread);
                }
            }
            _ => {}
        }
    }
    let mut all = vec![Entry::Names(naming.names)];
    all.extend(entries);
    let mut writer = Writer::begin(InMemory::default(), &head)?;
    for entry in SourceKeeper::default().with_sources(all, &of_spaces) {
        writer.add(&entry)?;
    }
    writer.finish().map(|(medium, _)| medium.0)
}

/// Names of what is used, by new ids.
struct Naming<'a> {
    tables: &'a Tables,
    names: Names,
    texts: HashMap<String, u32>,
    functions: HashMap<Function, u32>,
    places: HashMap<PlaceName, u32>,
    stacks: HashMap<StackId, StackId>,
    threads: HashMap<(SpaceId, ThreadId), ThreadId>,
}

fn id<T: Hash + Eq + Clone>(ids: &mut HashMap<T, u32>, list: &mut Vec<T>, value: T) -> u32 {
    let next = list.len() as u32;
    *ids.entry(value).or_insert_with_key(|value| {
        list.push(value.clone());
        next
    })
}

impl<'a> Naming<'a> {
    fn of(tables: &'a Tables) -> Self {
        Self {
            tables,
            names: Names::default(),
            texts: HashMap::new(),
            functions: HashMap::new(),
            places: HashMap::new(),
            stacks: HashMap::new(),
            threads: HashMap::new(),
        }
    }

    fn text(&mut self, text: &str) -> TextId {
        TextId(id(&mut self.texts, &mut self.names.texts, text.to_owned()))
    }

    fn stack(&mut self, old: StackId) -> StackId {
        if let Some(known) = self.stacks.get(&old) {
            return *known;
        }
        let name = match self.tables.lines(old) {
            Ok((lines, truncated)) => {
                let place = |(place, span): (&crate::profile::Place, &_)| self.place(place, span);
                StackName::Lines { frames: lines.into_iter().map(place).collect(), truncated }
            }
            Err(row) => {
                let (reason, name) = row.unwrap_or((Reason::StackLost, ""));
                StackName::Unattributed { reason, name: self.text(name) }
            }
        };
        let new = StackId(self.names.stacks.len() as u32);
        self.names.stacks.push(name);
        self.stacks.insert(old, new);
        new
    }

    fn place(
        &mut self,
        place: &crate::profile::Place,
        span: &crate::profile::FunctionSpan,
    ) -> PlaceId {
        let (file, name) = (self.text(&span.file), self.text(&span.function));
        let (first_line, last_line) = (span.first_line, span.last_line);
        let function = Function { file, name, first_line, last_line };
        let function = FunctionId(id(&mut self.functions, &mut self.names.functions, function));
        let place = PlaceName { function, line: place.line };
        PlaceId(id(&mut self.places, &mut self.names.places, place))
    }

    fn thread(&mut self, space: SpaceId, old: ThreadId) -> ThreadId {
        if let Some(known) = self.threads.get(&(space, old)) {
            return *known;
        }
        let name = self.text(self.tables.thread_name(old));
        let new = ThreadId(self.names.threads.len() as u32);
        self.names.threads.push(ThreadName { space, tid: 0, name });
        self.threads.insert((space, old), new);
        new
    }
}
