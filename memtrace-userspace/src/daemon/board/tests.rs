//! A day of windows, through what live ones go through: what is kept and what is exported stays the same.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::*;
use crate::daemon::metrics::{Bound, Own, open_metrics};
use crate::daemon::store::Bounds;
use crate::history::Head;
use crate::history::entry::{
    Began, Change, Ended, Function, FunctionId, Known, Names as EntryNames, PlaceId, PlaceName,
    StackId, StackName, TextId, ThreadId, ThreadName, Window,
};

const MINUTE: u64 = 60_000_000_000;
const LINES: u32 = 40;
/// Processes at a time.
const LIVE: u32 = 20;

fn anon(bytes: i64) -> Memory {
    Memory { anon: Bytes(bytes), ..Memory::ZERO }
}

/// One program of forty lines.
fn names() -> Entry {
    let places = (1..=LINES).map(|line| PlaceName { function: FunctionId(0), line });
    let stacks =
        (0..LINES).map(|place| StackName::Lines { frames: vec![PlaceId(place)], truncated: false });
    Entry::Names(EntryNames {
        texts: ["app.py", "work", "python"].map(ToOwned::to_owned).to_vec(),
        functions: vec![Function {
            file: TextId(0),
            name: TextId(1),
            first_line: 1,
            last_line: LINES,
        }],
        places: places.collect(),
        stacks: stacks.collect(),
        ..EntryNames::default()
    })
}

/// A machine on which a job of another name begins every minute, and the oldest ends.
struct Day {
    board: Board,
    spaces: u32,
}

impl Day {
    fn new() -> Self {
        let head =
            Head { started_at: SystemTime::UNIX_EPOCH, kernel: "6.18".to_owned(), exact: true };
        let bounds = Bounds { time: Duration::from_secs(3600), bytes: 4 << 20 };
        let nowhere = Names::below(Path::new("/nonexistent"));
        Self { board: Board::new(Store::new(head, bounds), nowhere), spaces: 0 }
    }

    fn begin(&mut self, at: Nanos) -> Vec<Entry> {
        let space = SpaceId(self.spaces);
        self.spaces += 1;
        let pid = 1000 + space.0;
        let command = vec!["python3".to_owned(), format!("/srv/job_{}.py", space.0)];
        let facts = Facts { pid, started: at.0, ..Facts::default() };
        let labels = self.board.labels(&facts, &command, "3.13.0");
        let (files, parent) = (None, None);
        let new = Newcomer { space, facts, labels, files, command: command.clone(), parent };
        self.board.welcome(new);
        let before = anon(4096);
        let thread = ThreadName { space, tid: pid, name: TextId(2) };
        vec![
            Entry::Names(EntryNames { threads: vec![thread], ..EntryNames::default() }),
            Entry::Began(Began { space, at, pid, parent, before, command: command.clone() }),
            Entry::Known(Known {
                space,
                python: Some("3.13.0".to_owned()),
                command,
                notes: Vec::new(),
            }),
        ]
    }

    fn minute(&mut self, minute: u64) {
        let at = Nanos(minute * MINUTE);
        let mut entries = if minute == 0 { vec![names()] } else { Vec::new() };
        entries.extend(self.begin(at));
        for second in (0..60).step_by(10) {
            let at = Nanos(at.0 + second * 1_000_000_000);
            let first = self.spaces.saturating_sub(LIVE);
            for space in first..self.spaces {
                let stack = StackId((space + second as u32) % LINES);
                let change =
                    Change { grown: anon(8192), events: 2, ..Change::none(stack, ThreadId(space)) };
                entries.push(Entry::Window(Window {
                    space: SpaceId(space),
                    at,
                    rss: anon(1 << 20),
                    peak: Bytes(1 << 20),
                    events: 2,
                    lost_events: 0,
                    lost: Bytes::ZERO,
                    probe: Nanos(100),
                    userspace_cpu: Nanos(100),
                    changes: vec![change],
                }));
            }
            if second == 50 && self.spaces >= LIVE {
                let (space, ending) = (SpaceId(first), Ending::Exited);
                entries.push(Entry::Ended(Ended { space, at, ending, present: Vec::new() }));
            }
            self.board.add(at, std::mem::take(&mut entries));
            self.board.figures.forget(Nanos(at.0.saturating_sub(5 * MINUTE)));
        }
    }

    /// What is kept, by number and size.
    fn size(&self) -> [usize; 6] {
        let board = &self.board;
        [
            board.processes.len(),
            board.infos.len(),
            board.ended_groups.len(),
            board.figures.programs().len(),
            board.store.tables().stacks(),
            board.store.kept().slots.len(),
        ]
    }

    fn series(&self) -> usize {
        let (own, bound) = (Own::of(&self.board), Bound { lines: 10, groups: 15 });
        let text = open_metrics(self.board.figures.clone(), own, bound);
        text.lines().filter(|line| !line.starts_with('#')).count()
    }
}

#[test]
fn after_a_day_of_windows_no_more_is_kept_and_exported_than_after_two_hours() {
    let mut day = Day::new();
    for minute in 0..120 {
        day.minute(minute);
    }
    let (size, series, bytes) = (day.size(), day.series(), day.board.store.bytes());
    // Jobs of an hour and those that run; programs of five minutes and those that run.
    assert!(size[0] <= 60 + LIVE as usize + 2 && size[3] <= 5 + LIVE as usize + 2, "{size:?}");
    assert!((15 * 10..15 * 60).contains(&series), "{series} series");
    for minute in 120..24 * 60 {
        day.minute(minute);
        assert!(day.board.store.bytes() <= 4 << 20);
    }
    assert_eq!(day.spaces, 24 * 60);
    let later = day.board.store.bytes();
    assert!(
        later.abs_diff(bytes) < bytes / 20,
        "{bytes} bytes after two hours, {later} after a day"
    );
    assert_eq!((day.size(), day.series()), (size, series));
}
