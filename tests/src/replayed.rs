//! A trace of any length that nobody has to live through: windows made by a rule, for the real
//! writer of recordings.
//!
//! The one part of the harness beside benchmarks that uses memtrace's own code, because the writer
//! is what is put to the test. What the entries are follows from the seed alone, so that whoever
//! reads a recording knows what must be in it.

use std::time::{Duration, SystemTime};

use memtrace::history::entry::{
    Began, Change, Function, FunctionId, Known, Names, PlaceId, PlaceName, SpaceId, StackId,
    StackName, TextId, ThreadId, ThreadName, Window,
};
use memtrace::history::{Entry, Head};
use memtrace::profile::Memory;
use memtrace::units::{Bytes, Nanos};

const FUNCTIONS: u32 = 200;
const STACKS: u32 = 400;
const THREADS: u32 = 8;
const PAGE: i64 = 4096;
const SPACE: SpaceId = SpaceId(1);

/// A trace whose windows never end.
#[derive(Debug)]
pub struct Replayed {
    random: u64,
    rss: i64,
    /// Pages that each stack holds in each thread.
    held: Vec<i64>,
    windows: u64,
    changes: u32,
}

impl Replayed {
    /// A trace with so many changes in each window.
    #[must_use]
    pub fn seeded(seed: u64, changes: u32) -> Self {
        let held = vec![0; (STACKS * THREADS) as usize];
        Self { random: seed, rss: 20 << 20, held, windows: 0, changes }
    }

    /// What it is about.
    #[must_use]
    pub fn head() -> Head {
        let started_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000);
        Head { started_at, kernel: "6.18.0".to_owned(), exact: true }
    }

    /// What comes before the first window.
    #[must_use]
    pub fn beginning(&mut self) -> Vec<Entry> {
        let mut names = Names::default();
        for number in 0..FUNCTIONS {
            names.texts.push(format!("/srv/shop/module_{}/part_{number}.py", number % 17));
            names.texts.push(format!("Handler{}.method_{number}", number % 23));
            let first_line = 10 + number;
            names.functions.push(Function {
                file: TextId(2 * number),
                name: TextId(2 * number + 1),
                first_line,
                last_line: first_line + 20,
            });
            for line in 0..4 {
                let line = first_line + 3 * line;
                names.places.push(PlaceName { function: FunctionId(number), line });
            }
        }
        for _ in 0..STACKS {
            let depth = 4 + self.below(20);
            let frames = (0..depth).map(|_| PlaceId(self.below(4 * FUNCTIONS))).collect();
            names.stacks.push(StackName::Lines { frames, truncated: false });
        }
        names.texts.push("worker".to_owned());
        let name = TextId(2 * FUNCTIONS);
        let thread = |number| ThreadName { space: SPACE, tid: 4243 + number, name };
        names.threads.extend((0..THREADS).map(thread));
        let command = vec!["python3".to_owned(), "-m".to_owned(), "shop".to_owned()];
        let before = Memory { anon: Bytes(self.rss), ..Memory::ZERO };
        let began = Began { space: SPACE, at: Nanos(0), pid: 4242, parent: None, before, command };
        let known = Known {
            space: SPACE,
            python: Some("3.12.1".to_owned()),
            command: began.command.clone(),
            notes: Vec::new(),
        };
        vec![Entry::Names(names), Entry::Began(began), Entry::Known(known)]
    }

    /// The next window, a second after the one before.
    #[must_use]
    pub fn window(&mut self) -> Entry {
        self.windows += 1;
        let mut changes: Vec<Change> = Vec::new();
        let (mut peak, mut events) = (self.rss, 0);
        while changes.len() < self.changes as usize {
            let (stack, thread) = (self.below(STACKS), self.below(THREADS));
            let is_there = |one: &Change| one.stack.0 == stack && one.thread.0 == thread;
            if changes.iter().any(is_there) {
                continue;
            }
            let owner = (stack * THREADS + thread) as usize;
            let grown = 1 + i64::from(self.below(64));
            let returned = (self.held[owner] + grown) * i64::from(self.below(3)) / 2;
            self.held[owner] += grown - returned;
            peak = peak.max(self.rss + grown * PAGE);
            self.rss += (grown - returned) * PAGE;
            events += u64::from(grown.unsigned_abs() as u32);
            let memory = |pages: i64| Memory { anon: Bytes(pages * PAGE), ..Memory::ZERO };
            changes.push(Change {
                stack: StackId(stack),
                thread: ThreadId(thread),
                grown: memory(grown),
                returned: memory(returned),
                copied: Bytes::ZERO,
                released: Bytes(returned * PAGE),
                events: grown.unsigned_abs(),
                peak_rss: Bytes(peak),
                unseen: memtrace::profile::Unseen::default(),
            });
        }
        let late = u64::from(self.below(20_000_000));
        Entry::Window(Window {
            space: SPACE,
            at: Nanos(self.windows * 1_000_000_000 + late),
            rss: Memory { anon: Bytes(self.rss), ..Memory::ZERO },
            peak: Bytes(peak),
            events,
            lost_events: 0,
            lost: Bytes::ZERO,
            probe: Nanos(events * 900),
            userspace_cpu: Nanos(u64::from(self.below(1_000_000))),
            changes,
        })
    }

    /// splitmix64
    fn below(&mut self, bound: u32) -> u32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % u64::from(bound)) as u32
    }
}
