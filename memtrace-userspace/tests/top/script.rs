//! A service whose growth is known for every second, told as one profile a window.
//!
//! What it does, in MiB (so that every figure on a screen can be worked out on paper):
//!
//! | place | grown | returned |
//! | --- | --- | --- |
//! | `render` :25, called by `do_GET` | 1 a second | |
//! | `render` :25, called by `prefetch` | 0.25 a second | |
//! | `keep_history` :39, of thread `history` | 0.25 a second | |
//! | `checksum` :31, called by `do_GET` | 660 a second | all but 1.5 |
//! | `raw_decode` :353, called by `do_GET` | 0.5 in each of the first 4 seconds | |
//! | native thread `gc` | 0.5 at once | |
//! | kernel (swap) | | 0.25 at 20 s |
//!
//! before: anon 14 + file 6 = 20. After 30 s: 20 + (30 + 7.5 + 7.5 + 1.5 + 2) + 0.5 - 0.25 = 68.75.

use std::sync::Arc;

use memtrace::profile::{
    Estimate, Memory, Overhead, Place, ProcessProfile, Profile, Reason, StackFigures, Thread,
    lines_of,
};
use memtrace::units::Nanos;

use super::build::{memory, mib, process, profile, unattributed};

pub(crate) const SERVICE: &str = "/srv/service.py";

/// What `/srv/service.py` holds.
pub(crate) fn service_text() -> String {
    let mut lines = vec![String::new(); 60];
    let mut set = |number: usize, text: &str| lines[number - 1] = text.to_owned();
    set(1, "\"\"\"A small web service.\"\"\"");
    set(22, "def render(number):");
    set(23, "    \"\"\"A page, and a cache whose key never repeats.\"\"\"");
    set(24, "    page = b\"%d \" % number * 8192");
    set(25, "    CACHE[number] = bytes(64 * 1024) + page[:8]");
    set(26, "    return page[:1024]");
    set(29, "def checksum(page):");
    set(30, "    \"\"\"Needs a large buffer for a moment.\"\"\"");
    set(31, "    scratch = bytearray(33 * 1024 * 1024)");
    set(36, "def keep_history(stop):");
    set(38, "    while not stop.wait(1.0):");
    set(39, "        HISTORY.append(bytearray(256 * 1024))");
    set(45, "\tdef do_GET(self):");
    set(46, "\t\tpage = render(self.number)");
    set(47, "\t\tchecksum(page)");
    lines.join("\n") + "\n"
}

fn place(file: &str, line: u32, function: &str, function_line: u32) -> Arc<Place> {
    Arc::new(Place { file: file.to_owned(), line, function: function.to_owned(), function_line })
}

/// A stack that has grown and returned so much (MiB, anonymous) in so many events.
fn stack(
    thread: usize,
    frames: &[&Arc<Place>],
    grown: f64,
    returned: f64,
    events: u64,
) -> StackFigures {
    StackFigures {
        thread,
        frames: frames.iter().map(|place| Arc::clone(place)).collect(),
        native: Vec::new(),
        grown: memory(grown, 0.0, 0.0),
        returned: memory(returned, 0.0, 0.0),
        resident: mib(grown - returned),
        copied: mib(0.0),
        released: mib(returned),
        events,
        peak_rss: mib(20.0 + grown - returned),
        estimate: Estimate::default(),
        allocated: memtrace::profile::Allocated::default(),
    }
}

/// The service after so many seconds.
pub(crate) fn service(seconds: u64) -> ProcessProfile {
    let python = "/usr/lib/python3.12";
    let run = place(&format!("{python}/threading.py"), 1010, "Thread.run", 1001);
    let serve =
        place(&format!("{python}/socketserver.py"), 761, "BaseRequestHandler.__init__", 756);
    let get = place(SERVICE, 46, "Handler.do_GET", 45);
    let sum = place(SERVICE, 47, "Handler.do_GET", 45);
    let loads = place(SERVICE, 48, "Handler.do_GET", 45);
    let prefetch = place(SERVICE, 57, "prefetch", 55);
    let render = place(SERVICE, 25, "render", 22);
    let checksum = place(SERVICE, 31, "checksum", 29);
    let history = place(SERVICE, 39, "keep_history", 36);
    let decode = place(&format!("{python}/json/decoder.py"), 353, "JSONDecoder.raw_decode", 343);

    let time = seconds as f64;
    let early = time.min(4.0);
    let started = if seconds > 0 { 1.0 } else { 0.0 };
    let scratch = 660.0 * time;
    let stacks = vec![
        stack(0, &[&render, &get, &serve], time, 0.0, 16 * seconds),
        stack(1, &[&render, &prefetch, &run], 0.25 * time, 0.0, 4 * seconds),
        stack(1, &[&history, &run], 0.25 * time, 0.0, seconds),
        stack(0, &[&checksum, &sum, &serve], scratch, scratch - 1.5 * started, 168_960 * seconds),
        stack(0, &[&decode, &loads, &serve], 0.5 * early, 0.0, 128 * seconds.min(4)),
    ];
    let mut rows =
        vec![unattributed(Reason::NativeThread, "gc", memory(0.5 * started, 0.0, 0.0), 3)];
    if seconds >= 20 {
        rows.push(unattributed(Reason::Kernel, "kswapd0", memory(-0.25, 0.0, 0.0), 1));
    }
    let before = memory(14.0, 6.0, 0.0);
    let lines = lines_of(&stacks);
    let net: Memory = lines.iter().map(|line| line.self_net).sum();
    let after = before + net + rows.iter().map(|row| row.net).sum();
    let thread = |tid, name: &str| Thread { tid, name: name.to_owned() };
    ProcessProfile {
        after,
        peak: after.total() + mib(33.0),
        threads: vec![thread(4242, "python3"), thread(4250, "history")],
        events: stacks.iter().map(|stack| stack.events).sum::<u64>() + 4,
        stacks,
        lines,
        unattributed: rows,
        overhead: Overhead {
            // Ninety and thirty milliseconds a second: 9 % and 3 % of one CPU.
            probe: Nanos(90_000_000 * seconds),
            userspace_cpu: Nanos(30_000_000 * seconds),
        },
        ..process(4242, &["python3", "service.py", "--port", "80"], before)
    }
}

/// A worker that was forked at the start and grows by a page a second.
pub(crate) fn worker(seconds: u64) -> ProcessProfile {
    let job = place("/srv/worker.py", 7, "job", 5);
    let stacks = vec![stack(0, &[&job], seconds as f64 / 256.0, 0.0, seconds)];
    let before = memory(10.0, 6.0, 0.0);
    let lines = lines_of(&stacks);
    ProcessProfile {
        parent: Some(4242),
        after: before + lines.iter().map(|line| line.self_net).sum(),
        threads: vec![Thread { tid: 4243, name: "worker".to_owned() }],
        events: seconds,
        stacks,
        lines,
        ..process(4243, &["python3", "worker.py"], before)
    }
}

/// All of it at the end of a window.
pub(crate) fn at(seconds: u64, processes: Vec<ProcessProfile>) -> Arc<Profile> {
    let duration = Nanos(seconds * 1_000_000_000);
    Arc::new(Profile { duration, ..profile(processes) })
}
