//! Profiles made by hand, and random ones that obey the law.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use memtrace::profile::{
    Allocated, Blocks, Ending, Estimate, FunctionSpan, Lens, LineFigures, Memory, Moment, Overhead,
    Place, ProcessProfile, Profile, Reason, StackFigures, Thread, Unattributed, lines_of,
};
use memtrace::units::{Bytes, Nanos};

/// So many MiB; quarters are exact.
pub(crate) fn mib(size: f64) -> Bytes {
    Bytes((size * f64::from(1 << 20)) as i64)
}

pub(crate) fn memory(anon: f64, file: f64, shmem: f64) -> Memory {
    Memory { anon: mib(anon), file: mib(file), shmem: mib(shmem) }
}

/// A minute on the morning of 2026-08-05.
pub(crate) fn profile(processes: Vec<ProcessProfile>) -> Profile {
    Profile {
        started_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_924_000),
        duration: Nanos(60_000_000_000),
        kernel: "6.18.0".to_owned(),
        exact: true,
        processes,
    }
}

/// A process in which nothing has happened yet.
pub(crate) fn process(pid: u32, command: &[&str], before: Memory) -> ProcessProfile {
    ProcessProfile {
        pid,
        parent: None,
        command: command.iter().map(ToString::to_string).collect(),
        python: Some("3.12.1".to_owned()),
        ending: Ending::Running,
        began: Nanos(0),
        ended: None,
        before,
        after: before,
        peak: before.total(),
        threads: Vec::new(),
        stacks: Vec::new(),
        lines: Vec::new(),
        functions: Vec::new(),
        unattributed: Vec::new(),
        moments: Vec::new(),
        events: 0,
        lost_events: 0,
        lost_bytes: Bytes::ZERO,
        overhead: Overhead::default(),
        lens: None,
        notes: Vec::new(),
        counts: Default::default(),
    }
}

/// A line that grew `net` and gave nothing back; everything else is set by the test.
pub(crate) fn line(file: &str, function: &str, first: u32, line: u32, net: Memory) -> LineFigures {
    let place =
        Place { file: file.to_owned(), line, function: function.to_owned(), function_line: first };
    LineFigures {
        place: Arc::new(place),
        self_grown: net.total(),
        self_returned: Bytes::ZERO,
        self_net: net,
        self_resident: net.total(),
        cumulative_net: net.total(),
        cumulative_resident: net.total(),
        copied: Bytes::ZERO,
        released: Bytes::ZERO,
        peak_rss: Bytes::ZERO,
        self_estimate: Estimate::default(),
        cumulative_estimate: Estimate::default(),
        events: 1,
        self_events: 1,
        self_allocated: Allocated::default(),
        cumulative_allocated: Allocated::default(),
    }
}

/// A stack that grew `grown` and gave nothing back; everything else is set by the test.
pub(crate) fn stack(thread: usize, frames: &[&LineFigures], grown: Memory) -> StackFigures {
    StackFigures {
        thread,
        frames: frames.iter().map(|line| Arc::clone(&line.place)).collect(),
        native: Vec::new(),
        grown,
        returned: Memory::ZERO,
        resident: grown.total(),
        copied: Bytes::ZERO,
        released: Bytes::ZERO,
        events: 1,
        peak_rss: Bytes::ZERO,
        estimate: Estimate::default(),
        allocated: Allocated::default(),
    }
}

/// The state at `seconds`, with the lines' net growth (MiB) since the moment before.
pub(crate) fn moment(seconds: u64, rss: Memory, peak: f64, changes: &[(usize, f64)]) -> Moment {
    Moment {
        at: Nanos(seconds * 1_000_000_000),
        rss,
        peak: mib(peak),
        changes: changes.iter().map(|(line, net)| (*line, mib(*net))).collect(),
    }
}

pub(crate) fn span(file: &str, function: &str, first_line: u32, last_line: u32) -> FunctionSpan {
    FunctionSpan { file: file.to_owned(), first_line, last_line, function: function.to_owned() }
}

pub(crate) fn unattributed(reason: Reason, name: &str, net: Memory, events: u64) -> Unattributed {
    let (name, allocated) = (name.to_owned(), Allocated::default());
    Unattributed { reason, name, net, events, allocated, native: Vec::new() }
}

pub(crate) const APP: &str = "/srv/app.py";
pub(crate) const DECODER: &str = "/usr/lib/python3.12/json/decoder.py";

/// What `/srv/app.py` holds.
pub(crate) const APP_TEXT: &str = "\
import json, mmap, sys

CACHE = []


def handle(request):
    # one block for each request
\tblock = bytearray(request.size)

    shared = mmap.mmap(-1, 4 << 20)
    CACHE.append((block, shared))


def main():
    for request in serve():
        handle(request)
        json.loads(request.text)
";

/// A server that is traced for a minute.
///
/// before: anon 8 + file 4                                   = 12 MiB
/// lines: `block` 40 grown - 8 returned = 32 anon; `shared` 4 shmem;
///        the decoder 2 anon + 0.5 file; `main`'s lines 0 themselves = 38.5 MiB
/// unattributed: thread `gc` 1.5 anon, remainder -0.25 file  = 1.25 MiB
/// now: anon 8 + 32 + 2 + 1.5 = 43.5, file 4 + 0.5 - 0.25 = 4.25, shmem 4; 51.75 MiB
///
/// Over time (thread `gc` 0.5 MiB each): after 20 s 12 + 20 + 1 + 0.5 = 33.5 MiB, after 40 s
/// 33.5 + 16 + 4 + 1 + 0.5 = 55 MiB, in the end 55 - 4 + 0.5 + 0.5 - 0.25 = 51.75 MiB.
pub(crate) fn server() -> ProcessProfile {
    let mut block = line(APP, "handle", 6, 8, memory(32.0, 0.0, 0.0));
    block.self_grown = mib(40.0);
    block.self_returned = mib(8.0);
    block.self_resident = mib(31.5);
    block.cumulative_resident = mib(31.5);
    block.copied = mib(0.75);
    block.peak_rss = mib(56.0);
    (block.events, block.self_events) = (900, 900);

    let mut shared = line(APP, "handle", 6, 10, memory(0.0, 0.0, 4.0));
    shared.peak_rss = mib(55.5);
    shared.released = mib(8.0);
    (shared.events, shared.self_events) = (64, 64);

    let mut decode = line(DECODER, "JSONDecoder.raw_decode", 343, 353, memory(2.0, 0.5, 0.0));
    decode.peak_rss = mib(52.0);
    (decode.events, decode.self_events) = (40, 40);

    let mut call = line(APP, "main", 14, 16, Memory::ZERO);
    call.cumulative_net = mib(32.0) + mib(4.0);
    call.cumulative_resident = mib(31.5) + mib(4.0);
    call.peak_rss = mib(56.0);
    (call.events, call.self_events) = (964, 0); // 900 + 64

    let mut loads = line(APP, "main", 14, 17, Memory::ZERO);
    loads.cumulative_net = mib(2.5);
    loads.cumulative_resident = mib(2.5);
    loads.peak_rss = mib(52.0);
    (loads.events, loads.self_events) = (40, 0);

    let mut of_block = stack(0, &[&block, &call], memory(40.0, 0.0, 0.0));
    of_block.returned = memory(8.0, 0.0, 0.0);
    of_block.resident = mib(31.5);
    of_block.copied = mib(0.75);
    (of_block.events, of_block.peak_rss) = (900, mib(56.0));
    let mut of_shared = stack(1, &[&shared, &call], memory(0.0, 0.0, 4.0));
    of_shared.released = mib(8.0);
    (of_shared.events, of_shared.peak_rss) = (64, mib(55.5));
    let mut of_decode = stack(0, &[&decode, &loads], memory(2.0, 0.5, 0.0));
    (of_decode.events, of_decode.peak_rss) = (40, mib(52.0));

    ProcessProfile {
        threads: vec![
            Thread { tid: 4242, name: "python".to_owned() },
            Thread { tid: 4250, name: "worker-1".to_owned() },
        ],
        stacks: vec![of_block, of_shared, of_decode],
        moments: vec![
            moment(20, memory(29.25, 4.25, 0.0), 33.5, &[(0, 20.0), (2, 1.0)]),
            moment(40, memory(46.5, 4.5, 4.0), 56.0, &[(0, 16.0), (1, 4.0), (2, 1.0)]),
            moment(60, memory(43.5, 4.25, 4.0), 55.0, &[(0, -4.0), (2, 0.5)]),
        ],
        after: memory(43.5, 4.25, 4.0),
        peak: mib(56.0),
        lines: vec![block, shared, decode, call, loads],
        functions: vec![
            span(APP, "handle", 6, 11),
            span(APP, "main", 14, 17),
            span(DECODER, "JSONDecoder.raw_decode", 343, 356),
        ],
        unattributed: vec![
            unattributed(Reason::Remainder, "", memory(0.0, -0.25, 0.0), 0),
            unattributed(Reason::NativeThread, "gc", memory(1.5, 0.0, 0.0), 12),
        ],
        events: 1016, // 900 + 64 + 40 + 12
        overhead: Overhead { probe: Nanos(1_250_000), userspace_cpu: Nanos(20_500_000) },
        ..process(4242, &["python", "app.py", "--port", "80"], memory(8.0, 4.0, 0.0))
    }
}

/// Numbers that look random and are the same on every run (xorshift64).
pub(crate) struct Random(u64);

impl Random {
    fn allocated(&mut self) -> Allocated {
        let mut blocks =
            |most| Blocks { count: self.below(most), bytes: Bytes(self.below(1 << 30) as i64) };
        Allocated { all: blocks(1000), freed: blocks(1000), ..Allocated::default() }
    }

    /// Another row of numbers for each seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn memory(&mut self) -> Memory {
        let mut pages = || Bytes::from_pages(self.below(2_000_001) as i64 - 1_000_000);
        Memory { anon: pages(), file: pages(), shmem: pages() }
    }

    /// A process with any lines and rows, whose RSS is what the law says.
    pub(crate) fn process(&mut self, pid: u32) -> ProcessProfile {
        let mut stacks = Vec::new();
        for number in 0..self.below(60) as u32 {
            let file = format!("/srv/f{}.py", self.below(4));
            let function = format!("f{}", self.below(6));
            let mut frames = vec![line(&file, &function, 1, number % 40 + 1, Memory::ZERO)];
            for _ in 0..self.below(4) {
                let number = self.below(5) as u32 + 2;
                frames.push(line("/srv/main.py", "main", 1, number, Memory::ZERO));
            }
            let frames: Vec<_> = frames.iter().collect();
            let mut stack = stack(self.below(2) as usize, &frames, self.memory());
            stack.returned = self.memory();
            stack.events = self.below(1000);
            stack.allocated = self.allocated();
            stacks.push(stack);
        }
        let lines = lines_of(&stacks);
        let mut rows = Vec::new();
        for number in 0..self.below(30) {
            let net = self.memory();
            let row = unattributed(Reason::NativeThread, &format!("t{number}"), net, number);
            rows.push(Unattributed { allocated: self.allocated(), ..row });
        }
        let before = self.memory();
        let lines_net: Memory = lines.iter().map(|line| line.self_net).sum();
        let rows_net: Memory = rows.iter().map(|row| row.net).sum();
        let after = before + lines_net + rows_net;
        let thread = |tid, name: &str| Thread { tid, name: name.to_owned() };
        let threads = vec![thread(pid, "python"), thread(pid + 1, "worker")];
        let process = process(pid, &["python"], before);
        ProcessProfile {
            after,
            threads,
            stacks,
            lines,
            unattributed: rows,
            events: self.below(1000),
            lens: Some(Lens {
                time: Nanos(7),
                recorded: Nanos(7),
                frees_seen: true,
                ..Lens::default()
            }),
            ..process
        }
    }
}
