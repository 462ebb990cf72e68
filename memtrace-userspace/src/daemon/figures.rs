//! Sums by program for metrics: what only ever grows goes on growing when processes end.
//!
//! Programs of one name in one container are one, however often they are started, so that the number of
//! series follows the number of programs and not that of processes. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::group::Labels;
use crate::history::Tables;
use crate::history::entry::{SpaceId, Window};
use crate::profile::{Memory, Place, Reason};
use crate::units::{Bytes, Nanos};

/// Lines of one program that are summed up. Beyond that the smaller half begins anew.
const MOST_LINES: usize = 4096;

/// What a program's series are labelled with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The program.
    pub group: String,
    /// The container's name, else the beginning of its id.
    pub container: String,
    /// The pod.
    pub pod: String,
    /// Its namespace.
    pub namespace: String,
}

impl Key {
    /// That of a group.
    #[must_use]
    pub fn of(labels: &Labels) -> Self {
        let id = labels.container.as_ref().map_or("", |container| container.id.as_str());
        let container = match labels.named.container.as_str() {
            "" => id.chars().take(12).collect(),
            name => name.to_owned(),
        };
        let (pod, namespace) = (labels.named.pod.clone(), labels.named.namespace.clone());
        Self { group: labels.name.clone(), container, pod, namespace }
    }
}

/// What a line came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineSums {
    /// Added by it.
    pub grown: Bytes,
    /// Of that: given back.
    pub returned: Bytes,
    /// Grown less returned, in processes that run.
    pub held: Bytes,
    /// Grown in the last window.
    pub just_now: Bytes,
    /// Changes.
    pub events: u64,
}

impl LineSums {
    fn add(&mut self, other: &Self) {
        self.grown += other.grown;
        self.returned += other.returned;
        self.held += other.held;
        self.just_now += other.just_now;
        self.events += other.events;
    }
}

/// What a program came to.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    /// RSS of its processes that run.
    pub processes: HashMap<SpaceId, Memory>,
    /// Changes.
    pub events: u64,
    /// Records that did not fit into the ring buffer.
    pub lost_events: u64,
    /// Time in probes.
    pub probe: Nanos,
    /// memtrace's CPU time for it.
    pub userspace_cpu: Nanos,
    /// Pages copied on write, in bytes.
    pub copied: Bytes,
    /// By line.
    pub lines: HashMap<Arc<Place>, LineSums>,
    /// What no line answers for: bytes and changes.
    pub unattributed: BTreeMap<Reason, (Bytes, u64)>,
    /// When its last process ended; `None` while one runs.
    pub idle_since: Option<Nanos>,
    /// Net growth of its lines by process, while that runs.
    held: HashMap<SpaceId, HashMap<Arc<Place>, Bytes>>,
}

impl Sums {
    /// RSS of all its processes.
    #[must_use]
    pub fn rss(&self) -> Memory {
        self.processes.values().copied().sum()
    }

    /// The lines that hold or grew most, those first. Functions of one name on one line are one: that is
    /// all that a series says of them.
    #[must_use]
    pub fn top(&self, count: usize) -> Vec<(&Arc<Place>, LineSums)> {
        let mut by_label: HashMap<_, (&Arc<Place>, LineSums)> = HashMap::new();
        for (place, line) in &self.lines {
            let label = (place.file.as_str(), place.line, place.function.as_str());
            let (first, sum) = by_label.entry(label).or_insert((place, LineSums::default()));
            *first = (*first).min(place);
            sum.add(line);
        }
        let mut lines: Vec<_> = by_label.into_values().collect();
        lines.sort_by(|(a, x), (b, y)| {
            (y.held, y.grown).cmp(&(x.held, x.grown)).then_with(|| a.cmp(b))
        });
        lines.truncate(count);
        lines
    }
}

/// All programs' sums.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    programs: BTreeMap<Key, Sums>,
    of_space: HashMap<SpaceId, Key>,
}

impl Figures {
    /// A process has begun.
    pub fn begin(&mut self, space: SpaceId, key: &Key, rss: Memory) {
        let sums = self.programs.entry(key.clone()).or_default();
        sums.idle_since = None;
        sums.processes.insert(space, rss);
        self.of_space.insert(space, key.clone());
    }

    /// A new window begins: nothing has grown in it.
    pub fn begin_window(&mut self) {
        for sums in self.programs.values_mut() {
            sums.lines.values_mut().for_each(|line| line.just_now = Bytes::ZERO);
        }
    }

    /// A window has closed.
    pub fn window(&mut self, window: &Window, tables: &Tables) {
        let Some(key) = self.of_space.get(&window.space) else { return };
        let Some(sums) = self.programs.get_mut(key) else { return };
        sums.processes.insert(window.space, window.rss);
        sums.events += window.events;
        sums.lost_events += window.lost_events;
        sums.probe.0 += window.probe.0;
        sums.userspace_cpu.0 += window.userspace_cpu.0;
        for change in &window.changes {
            let net = change.net().total();
            sums.copied += change.copied;
            if let Some(place) = tables.leaf(change.stack) {
                if !sums.lines.contains_key(place) && make_room(&mut sums.lines) {
                    let lines = &sums.lines;
                    for held in sums.held.values_mut() {
                        held.retain(|place, _| lines.contains_key(place));
                    }
                }
                let line = sums.lines.entry(Arc::clone(place)).or_default();
                line.grown += change.grown.total();
                line.returned += change.returned.total();
                line.just_now += change.grown.total();
                line.held += net;
                line.events += change.events;
                let held = sums.held.entry(window.space).or_default();
                *held.entry(Arc::clone(place)).or_default() += net;
            } else if let Err(Some((reason, _))) = tables.lines(change.stack) {
                let row = sums.unattributed.entry(reason).or_default();
                row.0 += net;
                row.1 += change.events;
            }
        }
    }

    /// A process has ended.
    pub fn end(&mut self, space: SpaceId, at: Nanos) {
        let Some(key) = self.of_space.remove(&space) else { return };
        let Some(sums) = self.programs.get_mut(&key) else { return };
        sums.processes.remove(&space);
        for (place, net) in sums.held.remove(&space).unwrap_or_default() {
            if let Some(line) = sums.lines.get_mut(&place) {
                line.held -= net;
            }
        }
        if sums.processes.is_empty() {
            sums.idle_since = Some(at);
        }
    }

    /// Forgets programs whose last process ended before this.
    pub fn forget(&mut self, before: Nanos) {
        self.programs.retain(|_, sums| sums.idle_since.is_none_or(|since| since >= before));
    }

    /// All of them.
    #[must_use]
    pub fn programs(&self) -> &BTreeMap<Key, Sums> {
        &self.programs
    }

    /// The programs with the largest RSS, at most so many; the processes of the others as one program, if
    /// there are any.
    #[must_use]
    pub fn largest(&self, count: usize) -> (Vec<(&Key, &Sums)>, Option<Sums>) {
        let mut all: Vec<_> = self.programs.iter().collect();
        all.sort_by_key(|(key, sums)| (std::cmp::Reverse(sums.rss().total()), *key));
        if all.len() <= count {
            return (all, None);
        }
        let mut other = Sums::default();
        for (_, sums) in all.drain(count..) {
            other.processes.extend(&sums.processes);
        }
        (all, Some(other))
    }
}

/// Lets the smaller half of the lines go when there are too many; says whether there were.
fn make_room(lines: &mut HashMap<Arc<Place>, LineSums>) -> bool {
    if lines.len() < MOST_LINES {
        return false;
    }
    let mut sizes: Vec<Bytes> = lines.values().map(|line| line.held.max(line.grown)).collect();
    sizes.sort_unstable();
    let middle = sizes[sizes.len() / 2];
    lines.retain(|_, line| line.held.max(line.grown) > middle);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::entry::{
        Change, Function, FunctionId, Names, PlaceId, PlaceName, StackId, StackName, TextId,
        ThreadId,
    };

    fn tables(lines: u32) -> Tables {
        let mut tables = Tables::default();
        let names = Names {
            texts: vec!["app.py".to_owned(), "work".to_owned()],
            functions: vec![Function {
                file: TextId(0),
                name: TextId(1),
                first_line: 1,
                last_line: lines,
            }],
            places: (1..=lines).map(|line| PlaceName { function: FunctionId(0), line }).collect(),
            stacks: (0..lines)
                .map(|line| StackName::Lines { frames: vec![PlaceId(line)], truncated: false })
                .collect(),
            ..Names::default()
        };
        tables.add(&names).unwrap();
        tables
    }

    fn anon(bytes: i64) -> Memory {
        Memory { anon: Bytes(bytes), ..Memory::ZERO }
    }

    fn window(space: u32, line: u32, grown: i64) -> Window {
        Window {
            space: SpaceId(space),
            at: Nanos(0),
            rss: anon(grown),
            peak: Bytes(grown),
            events: 1,
            lost_events: 0,
            lost: Bytes::ZERO,
            probe: Nanos(1),
            userspace_cpu: Nanos(1),
            changes: vec![Change {
                grown: anon(grown),
                events: 1,
                ..Change::none(StackId(line - 1), ThreadId(0))
            }],
        }
    }

    fn key(group: &str) -> Key {
        Key { group: group.to_owned(), ..Key::default() }
    }

    #[test]
    fn what_was_grown_stays_counted_and_what_is_held_goes_with_the_process() {
        let (tables, mut figures) = (tables(2), Figures::default());
        for space in [1, 2] {
            figures.begin(SpaceId(space), &key("app"), Memory::ZERO);
            figures.window(&window(space, 1, 4096 * i64::from(space)), &tables);
        }
        let line = |figures: &Figures| figures.programs()[&key("app")].top(1)[0].1;
        assert_eq!((line(&figures).grown, line(&figures).held), (Bytes(12288), Bytes(12288)));
        figures.end(SpaceId(1), Nanos(5));
        assert_eq!((line(&figures).grown, line(&figures).held), (Bytes(12288), Bytes(8192)));
        assert_eq!(figures.programs()[&key("app")].rss(), anon(8192));
        figures.end(SpaceId(2), Nanos(7));
        figures.forget(Nanos(7));
        assert_eq!(figures.programs().len(), 1);
        figures.forget(Nanos(8));
        assert_eq!(figures.programs().len(), 0);
        assert_eq!(figures.of_space.len(), 0);
    }

    #[test]
    fn functions_that_differ_in_what_no_label_says_are_one_line() {
        let mut tables = Tables::default();
        let function =
            |first_line| Function { file: TextId(0), name: TextId(1), first_line, last_line: 9 };
        let stack = |place| StackName::Lines { frames: vec![PlaceId(place)], truncated: false };
        let names = Names {
            texts: vec!["app.py".to_owned(), "<lambda>".to_owned()],
            functions: vec![function(7), function(8)],
            places: [0, 1].map(|of| PlaceName { function: FunctionId(of), line: 9 }).to_vec(),
            stacks: vec![stack(0), stack(1)],
            ..Names::default()
        };
        tables.add(&names).unwrap();
        let mut figures = Figures::default();
        figures.begin(SpaceId(0), &key("app"), Memory::ZERO);
        figures.window(&window(0, 1, 4096), &tables);
        figures.window(&window(0, 2, 8192), &tables);
        let sums = &figures.programs()[&key("app")];
        let top = sums.top(10);
        assert_eq!((sums.lines.len(), top.len()), (2, 1));
        assert_eq!((top[0].1.grown, top[0].1.events), (Bytes(12288), 2));
    }

    #[test]
    fn any_number_of_lines_and_of_programs_keeps_within_bounds() {
        let lines = 3 * MOST_LINES as u32;
        let (tables, mut figures) = (tables(lines), Figures::default());
        figures.begin(SpaceId(0), &key("app"), Memory::ZERO);
        for line in 1..=lines {
            figures.window(&window(0, line, 4096 * i64::from(line)), &tables);
            let sums = &figures.programs()[&key("app")];
            assert!(sums.lines.len() <= MOST_LINES);
            assert!(sums.held[&SpaceId(0)].len() <= MOST_LINES);
        }
        assert_eq!(figures.programs()[&key("app")].top(1)[0].0.line, lines);
        for space in 1..=50 {
            figures.begin(SpaceId(space), &key(&format!("job-{space}")), anon(4096));
        }
        let (largest, other) = figures.largest(10);
        assert_eq!((largest.len(), largest[0].0), (10, &key("app")));
        assert_eq!(other.unwrap().processes.len(), 41);
    }
}
