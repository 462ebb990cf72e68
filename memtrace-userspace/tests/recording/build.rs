//! Entries made at random, sound ones, and a small course of a trace made by hand.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use memtrace::history::entry::{
    AllocationChange, Allocations, Began, Change, Counted, Ended, Function, FunctionId, Known,
    Live, Names, NativeId, NativeName, PlaceId, PlaceName, Ran, Source, SpaceId, StackId,
    StackName, TextId, ThreadId, ThreadName, Window,
};
use memtrace::history::{Entry, Head};
use memtrace::profile::{Blocks, Ending, Memory, Reason, Unseen};
use memtrace::units::{Bytes, Nanos};

pub(crate) fn head() -> Head {
    Head {
        started_at: SystemTime::UNIX_EPOCH + Duration::new(1_785_924_000, 123_456_789),
        kernel: "6.18.0".to_owned(),
        exact: true,
    }
}

pub(crate) const REASONS: [Reason; 16] = [
    Reason::NativeThread,
    Reason::InterpreterStartup,
    Reason::NotPython,
    Reason::Kernel,
    Reason::OtherProcess,
    Reason::BeforeAttachReturned,
    Reason::Reclaimed,
    Reason::StackUnreadable,
    Reason::StackLost,
    Reason::Lost,
    Reason::UnderWay,
    Reason::LeftOut,
    Reason::Remainder,
    Reason::BeyondLimit,
    Reason::Ended,
    Reason::BeganLater,
];

/// Numbers that look random and are the same on every run (xorshift64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn text(&mut self) -> String {
        let some = ["", "a", "/srv/app.py", "größe", "数据\u{1b}[2J\n", "Klass.method"];
        format!("{}{}", some[self.below(6) as usize], self.below(1000))
    }

    fn texts(&mut self) -> Vec<String> {
        (0..self.below(4)).map(|_| self.text()).collect()
    }

    /// Mostly pages, mostly few; now and then an odd number of bytes, and as many as there may be.
    fn bytes(&mut self, in_pages: bool) -> Bytes {
        let sign = if self.one_in(3) { -1 } else { 1 };
        let size = match self.below(20) {
            0..=9 => 0,
            10..=18 => self.below(500),
            _ => self.below(1 << 30),
        };
        let pages = Bytes::from_pages(sign * size.cast_signed());
        if in_pages { pages } else { Bytes(pages.0 + 1) }
    }

    fn memory(&mut self, in_pages: bool) -> Memory {
        Memory {
            anon: self.bytes(in_pages),
            file: self.bytes(in_pages),
            shmem: self.bytes(in_pages),
        }
    }
}

/// A course that makes sense, in random entries.
pub(crate) struct Course {
    pub(crate) random: Random,
    texts: u32,
    functions: u32,
    places: u32,
    natives: u32,
    plain_stacks: Vec<StackId>,
    stacks: u32,
    threads: u32,
    /// Spaces that are running, and their clocks and RSS.
    running: Vec<(SpaceId, u64, Memory)>,
    spaces: u32,
}

impl Course {
    pub(crate) fn seeded(seed: u64) -> Self {
        let random = Random::seeded(seed);
        Self {
            random,
            texts: 0,
            functions: 0,
            places: 0,
            natives: 0,
            plain_stacks: Vec::new(),
            stacks: 0,
            threads: 0,
            running: vec![],
            spaces: 0,
        }
    }

    pub(crate) fn entries(seed: u64, count: usize) -> Vec<Entry> {
        let mut course = Self::seeded(seed);
        let mut entries = vec![course.names(), course.began()];
        entries.extend((2..count).map(|_| course.entry()));
        entries
    }

    fn entry(&mut self) -> Entry {
        if self.running.is_empty() {
            return self.began();
        }
        match self.random.below(19) {
            0..=2 => self.names(),
            3 => self.began(),
            4 => {
                let space = self.some_space();
                let python = self.random.one_in(2).then(|| "3.12.1".to_owned());
                let (command, notes) = (self.random.texts(), self.random.texts());
                Entry::Known(Known { space, python, command, notes })
            }
            5 => {
                let (space, file) = (self.some_space(), TextId(self.id(self.texts)));
                let lines = self.random.texts();
                let changed = self.random.one_in(2);
                let unreadable = self.random.one_in(2).then(|| self.random.text());
                let first_line = self.random.next() as u32;
                Entry::Source(Source { space, file, first_line, lines, changed, unreadable })
            }
            6 => self.ended(),
            16 => self.allocations(),
            17 => self.live(),
            18 => {
                let counted =
                    if self.random.one_in(2) { Counted::Lines } else { Counted::Functions };
                let count = self.random.below(5);
                let (space, at) = (self.some_space(), Nanos(self.random.below(1 << 40)));
                let mut counts = Vec::new();
                for _ in 0..count {
                    counts.push((PlaceId(self.id(self.places)), self.random.below(1 << 40)));
                }
                Entry::Ran(Ran { space, at, counted, counts })
            }
            _ => self.window(),
        }
    }

    fn id(&mut self, table: u32) -> u32 {
        self.random.below(u64::from(table)) as u32
    }

    fn some_space(&mut self) -> SpaceId {
        let at = self.random.below(self.running.len() as u64) as usize;
        self.running[at].0
    }

    fn names(&mut self) -> Entry {
        let mut names = Names::default();
        for _ in 0..=self.random.below(5) {
            names.texts.push(self.random.text());
            self.texts += 1;
        }
        for _ in 0..=self.random.below(4) {
            let first_line = self.random.below(5000) as u32;
            names.functions.push(Function {
                file: TextId(self.id(self.texts)),
                name: TextId(self.id(self.texts)),
                first_line,
                last_line: if self.random.one_in(9) { 0 } else { first_line + 7 },
            });
            self.functions += 1;
        }
        for _ in 0..=self.random.below(9) {
            let function = FunctionId(self.id(self.functions));
            let line = if self.random.one_in(20) { u32::MAX } else { self.id(5000) };
            names.places.push(PlaceName { function, line });
            self.places += 1;
        }
        for _ in 0..=self.random.below(3) {
            names.natives.push(NativeName {
                function: TextId(self.id(self.texts)),
                library: TextId(self.id(self.texts)),
                file: TextId(self.id(self.texts)),
                line: self.id(5000),
            });
            self.natives += 1;
        }
        for _ in 0..=self.random.below(9) {
            let stack = if self.random.one_in(4) && !self.plain_stacks.is_empty() {
                let below = self.random.below(self.plain_stacks.len() as u64) as usize;
                let depth = self.random.below(12);
                let frames = (0..=depth).map(|_| NativeId(self.id(self.natives))).collect();
                StackName::Native { frames, below: self.plain_stacks[below] }
            } else if self.random.one_in(4) {
                let reason = REASONS[self.random.below(REASONS.len() as u64) as usize];
                StackName::Unattributed { reason, name: TextId(self.id(self.texts)) }
            } else {
                let depth = self.random.below(12);
                let frames = (0..=depth).map(|_| PlaceId(self.id(self.places))).collect();
                StackName::Lines { frames, truncated: self.random.one_in(5) }
            };
            if !matches!(stack, StackName::Native { .. }) {
                self.plain_stacks.push(StackId(self.stacks));
            }
            names.stacks.push(stack);
            self.stacks += 1;
        }
        for _ in 0..=self.random.below(2) {
            let (tid, name) = (self.random.next() as u32, TextId(self.id(self.texts)));
            names.threads.push(ThreadName { space: SpaceId(self.id(3)), tid, name });
            self.threads += 1;
        }
        Entry::Names(names)
    }

    fn began(&mut self) -> Entry {
        let space = SpaceId(self.spaces);
        self.spaces += 1;
        let (at, before) = (self.random.below(1 << 40), self.random.memory(true));
        self.running.push((space, at, before));
        let parent = self.random.one_in(2).then(|| self.random.next() as u32);
        let (pid, command) = (self.random.next() as u32, self.random.texts());
        Entry::Began(Began { space, at: Nanos(at), pid, parent, before, command })
    }

    fn change(&mut self, in_pages: bool) -> Change {
        Change {
            stack: StackId(self.id(self.stacks)),
            thread: ThreadId(self.id(self.threads)),
            grown: self.random.memory(in_pages),
            returned: self.random.memory(in_pages),
            copied: self.random.bytes(in_pages),
            released: self.random.bytes(in_pages),
            events: self.random.below(1 << 20),
            peak_rss: self.random.bytes(in_pages),
            unseen: self.unseen(in_pages),
        }
    }

    fn unseen(&mut self, in_pages: bool) -> Unseen {
        if !self.random.one_in(4) {
            return Unseen::default();
        }
        Unseen {
            grown: self.random.bytes(in_pages),
            returned: self.random.bytes(in_pages),
            grown_variance: self.random.below(1 << 30),
            returned_variance: self.random.below(1 << 20),
        }
    }

    fn window(&mut self) -> Entry {
        let running = self.random.below(self.running.len() as u64) as usize;
        let in_pages = !self.random.one_in(10);
        let mut changes: Vec<_> =
            (0..self.random.below(30)).map(|_| self.change(in_pages)).collect();
        let mut pairs = HashSet::new();
        changes.retain(|change| pairs.insert((change.stack, change.thread)));
        let (space, at, rss) = self.running[running];
        let at = at + self.random.below(2_000_000_000);
        let rss = if self.random.one_in(10) {
            self.random.memory(in_pages)
        } else {
            rss + changes.iter().map(Change::net).sum()
        };
        self.running[running] = (space, at, rss);
        Entry::Window(Window {
            space,
            at: Nanos(at),
            rss,
            peak: rss.total() + self.random.bytes(in_pages),
            events: self.random.below(1 << 30),
            lost_events: self.random.below(3),
            lost: self.random.bytes(in_pages),
            probe: Nanos(self.random.below(1 << 30)),
            userspace_cpu: Nanos(self.random.below(1 << 30)),
            changes,
        })
    }

    fn blocks(&mut self) -> Blocks {
        Blocks {
            count: self.random.below(1 << 30),
            bytes: Bytes(self.random.below(1 << 45).cast_signed()),
        }
    }

    fn allocations(&mut self) -> Entry {
        let running = self.random.below(self.running.len() as u64) as usize;
        let (space, at, _) = self.running[running];
        let time = self.random.below(1 << 40);
        let changes = (0..self.random.below(20)).map(|_| AllocationChange {
            stack: StackId(self.id(self.stacks)),
            thread: ThreadId(self.id(self.threads)),
            all: self.blocks(),
            freed: self.blocks(),
            temporary: self.blocks(),
        });
        let changes = changes.collect();
        Entry::Allocations(Allocations {
            space,
            at: Nanos(at),
            time: Nanos(time),
            recorded: Nanos(self.random.below(time + 1)),
            slowed: Nanos(self.random.below(1 << 30)),
            frees_seen: Nanos(self.random.below(time + 1)),
            lost: self.random.below(3),
            lost_bytes: Bytes(self.random.below(9).cast_signed()),
            unknown_frees: self.random.below(1 << 20),
            hits: self.random.below(1 << 40),
            cost: Nanos(self.random.below(1 << 40)),
            measured: (0..self.random.below(3))
                .map(|at| (format!("function {at}"), Nanos(self.random.below(1 << 30))))
                .collect(),
            changes,
        })
    }

    fn live(&mut self) -> Entry {
        let running = self.random.below(self.running.len() as u64) as usize;
        let (space, at, _) = self.running[running];
        let blocks = (0..self.random.below(20)).map(|_| {
            let (stack, thread) = (StackId(self.id(self.stacks)), ThreadId(self.id(self.threads)));
            (stack, thread, self.random.below(1 << 40), self.blocks())
        });
        let blocks = blocks.collect();
        Entry::Live(Live { space, at: Nanos(at), blocks })
    }

    fn ended(&mut self) -> Entry {
        let running = self.random.below(self.running.len() as u64) as usize;
        let (space, at, _) = self.running.swap_remove(running);
        let ending = if self.random.one_in(2) { Ending::Exited } else { Ending::Execed };
        let present = (0..self.random.below(9)).map(|_| {
            let (stack, thread) = (StackId(self.id(self.stacks)), ThreadId(self.id(self.threads)));
            (stack, thread, self.random.bytes(true))
        });
        let present = present.collect();
        Entry::Ended(Ended { space, at: Nanos(at), ending, present })
    }
}
