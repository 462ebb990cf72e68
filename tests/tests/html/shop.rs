//! A believable service, traced for twenty minutes: a leak among what looks like one.
//!
//! What it must come to, worked out from the story and not from any output:
//!
//! - `QUOTES[key] = …` grows 240 pages in each of 200 windows and gives nothing back:
//!   48,000 pages = 187.5 MiB, of which 1 MiB was swapped out: 186.5 MiB resident.
//! - `raw_decode` grows 10,240 pages in windows 5 and 105; the first 10,240 are returned in window
//!   106: 40 MiB net.
//! - the sessions grow 64 pages in each of the first 100 windows: 25 MiB, of which 5 MiB were
//!   swapped out: 20 MiB resident.
//! - the index grows 3,072 pages in windows 5 and 105, returned as above: 12 MiB net.
//! - the export grows 3,584 pages in each of windows 130 to 136 and gives back all but 256 in 137:
//!   1 MiB net, 98 MiB grown.
//! - the canvas grows and returns 8,448 pages in each window: nothing net.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use memtrace::profile::{
    Allocated, Ending, Estimate, FunctionSpan, Memory, Moment, Overhead, Place, ProcessProfile,
    Profile, Reason, StackFigures, Thread, Unattributed, lines_of,
};
use memtrace::report::{SourceText, SourceTexts};
use memtrace::units::{Bytes, Nanos};

const WINDOWS: usize = 200;
const WINDOW: Nanos = Nanos(6_000_000_000);

/// The files of the service, with their texts.
const FILES: [(&str, &str); 6] = [
    ("/srv/shop/pricing.py", include_str!("shop/pricing.py")),
    ("/srv/shop/views.py", include_str!("shop/views.py")),
    ("/srv/shop/catalogue.py", include_str!("shop/catalogue.py")),
    ("/srv/shop/images.py", include_str!("shop/images.py")),
    ("/srv/shop/sessions.py", include_str!("shop/sessions.py")),
    ("/srv/shop/worker.py", include_str!("shop/worker.py")),
];
const LIBRARY: &str = "/usr/lib/python3.12";

/// What a stack does in a window: pages grown, pages returned.
type Course = fn(usize) -> (i64, i64);

/// A stack and its course.
struct Story {
    /// Leaf first.
    frames: Vec<Arc<Place>>,
    thread: usize,
    course: Course,
    /// Pages that are not in RSS any more, though nobody returned them.
    away: i64,
}

/// The line of a file that holds `text`, in `function`, whose first line holds `head`.
fn at(file: &str, function: &str, head: &str, text: &str) -> Arc<Place> {
    let (path, source) = FILES.iter().find(|(path, _)| path.ends_with(file)).unwrap();
    let line = |text| 1 + source.lines().position(|line| line.contains(text)).unwrap() as u32;
    Arc::new(Place {
        file: (*path).to_owned(),
        line: line(text),
        function: function.to_owned(),
        function_line: line(head),
    })
}

fn library(file: &str, function: &str, first: u32, line: u32) -> Arc<Place> {
    let file = format!("{LIBRARY}/{file}");
    Arc::new(Place { file, line, function: function.to_owned(), function_line: first })
}

fn stories() -> Vec<Story> {
    let serve = at("worker.py", "serve", "def serve", "application(request)");
    let run = library("threading.py", "Thread.run", 1005, 1012);
    let bootstrap = library("threading.py", "Thread._bootstrap_inner", 1054, 1075);
    let main = library("runpy.py", "_run_code", 65, 88);
    let product = |text| at("views.py", "product", "def product", text);
    let export = at("views.py", "export", "def export", "rows = [");
    let refresh = |text| at("catalogue.py", "refresh", "def refresh", text);
    let quote = at("pricing.py", "quote", "def quote", "QUOTES[key] = ");
    let story = |thread: usize, own: &[&Arc<Place>], course: Course, away: i64| {
        let below: &[&Arc<Place>] =
            if thread == 0 { &[&main] } else { &[&serve, &run, &bootstrap] };
        let frames = own.iter().chain(below).map(|place| Arc::clone(place)).collect();
        Story { frames, thread, course, away }
    };
    let decode = library("json/decoder.py", "JSONDecoder.raw_decode", 343, 353);
    let decoder = library("json/decoder.py", "JSONDecoder.decode", 332, 337);
    let loads = library("json/__init__.py", "loads", 299, 346);
    let load = library("json/__init__.py", "load", 274, 293);
    let search = at("views.py", "search", "def search", "return page(\"search");
    let index = at("catalogue.py", "Index.__init__", "def __init__", "self.words.setdefault");
    let sessions = at("sessions.py", "of", "def of", "session = SESSIONS[token]");
    let canvas = at("images.py", "thumbnail", "def thumbnail", "canvas = bytearray");
    let render = at("pricing.py", "render", "def render", "lines = [");
    let emit = library("logging/__init__.py", "StreamHandler.emit", 1144, 1150);
    let header = library("email/feedparser.py", "FeedParser._parse_headers", 470, 478);
    let stat = library("tracemalloc.py", "_normalize_filename", 20, 25);
    vec![
        story(1, &[&quote, &product("quote = pricing")], |_| (160, 0), 256),
        story(2, &[&quote, &search], |_| (80, 0), 0),
        story(
            0,
            &[&decode, &decoder, &loads, &load, &refresh("raw = json")],
            |window| match window {
                5 | 105 => (10_240, 0),
                106 => (0, 10_240),
                _ => (0, 0),
            },
            0,
        ),
        story(
            1,
            &[&sessions, &product("session = sessions")],
            |window| (if window < 100 { 64 } else { 0 }, 0),
            1280,
        ),
        story(
            0,
            &[&index, &refresh("INDEX = Index")],
            |window| match window {
                5 | 105 => (3072, 0),
                106 => (0, 3072),
                _ => (0, 0),
            },
            0,
        ),
        story(2, &[&canvas, &product("picture = images")], |_| (8448, 8448), 0),
        story(
            2,
            &[&export],
            |window| match window {
                130..=136 => (3584, 0),
                137 => (0, 7 * 3584 - 256),
                _ => (0, 0),
            },
            0,
        ),
        story(
            1,
            &[&render, &quote, &product("quote = pricing")],
            |window| (8, window as i64 % 2 * 14),
            0,
        ),
        story(1, &[&emit, &product("return page")], |window| (i64::from(window % 3 == 0), 0), 0),
        story(
            2,
            &[&header, &product("session = sessions")],
            |window| (i64::from(window < 40), 0),
            0,
        ),
        story(0, &[&stat, &refresh("raw = json")], |window| (i64::from(window < 9), 0), 0),
    ]
}

/// The profile.
pub(crate) fn profile() -> Profile {
    Profile {
        started_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_898_800),
        duration: Nanos(WINDOW.0 * WINDOWS as u64),
        kernel: "6.18.0".to_owned(),
        exact: true,
        processes: vec![process()],
    }
}

/// The texts of the service's own files; the library's were not to be had.
pub(crate) fn sources() -> SourceTexts {
    let mut sources = SourceTexts::new();
    for (path, text) in FILES {
        sources.insert(0, path, SourceText::new(text, false));
    }
    for file in ["json/decoder.py", "json/__init__.py", "threading.py", "logging/__init__.py"] {
        let why = SourceText::Unreadable("permission denied".to_owned());
        sources.insert(0, &format!("{LIBRARY}/{file}"), why);
    }
    sources
}

fn anon(pages: i64) -> Memory {
    Memory { anon: Bytes::from_pages(pages), ..Memory::ZERO }
}

fn process() -> ProcessProfile {
    let before = Memory {
        anon: Bytes::from_pages(16_384),
        file: Bytes::from_pages(5_632),
        shmem: Bytes::ZERO,
    };
    let stories = stories();
    // A thread without Python, and old memory given back in window 40.
    let native = |window: usize| if window.is_multiple_of(2) { 3 } else { 0 };
    let given_back = |window: usize| if window == 40 { -640 } else { 0 };

    let mut stacks: Vec<StackFigures> = stories.iter().map(untouched).collect();
    let mut ends = Vec::new();
    let mut rss = before;
    let mut peak = before.total();
    for window in 0..WINDOWS {
        let (mut net, mut most) = (native(window) + given_back(window), 0);
        for story in &stories {
            let (grown, returned) = (story.course)(window);
            net += grown - returned;
            most = most.max(returned);
        }
        rss += anon(net);
        // What was returned in a window was there at some moment of it.
        let highest = rss.total() + Bytes::from_pages(most.min(8448));
        peak = peak.max(highest);
        for (story, stack) in stories.iter().zip(&mut stacks) {
            let (grown, returned) = (story.course)(window);
            stack.grown += anon(grown);
            stack.returned += anon(returned);
            stack.events += (grown + returned).unsigned_abs();
            if grown + returned > 0 {
                stack.peak_rss = stack.peak_rss.max(highest);
            }
        }
        ends.push((rss, highest));
    }
    for (story, stack) in stories.iter().zip(&mut stacks) {
        stack.resident = stack.net().total() - Bytes::from_pages(story.away);
    }
    let lines = lines_of(&stacks);
    let line_of = |place: &Arc<Place>| lines.iter().position(|line| line.place == *place).unwrap();
    let moments = ends.iter().enumerate().map(|(window, (rss, peak))| {
        let mut changes: Vec<(usize, Bytes)> = Vec::new();
        for story in &stories {
            let (grown, returned) = (story.course)(window);
            let (line, net) = (line_of(&story.frames[0]), Bytes::from_pages(grown - returned));
            match changes.iter_mut().find(|(each, _)| *each == line) {
                Some((_, sum)) => *sum += net,
                None if net != Bytes::ZERO => changes.push((line, net)),
                None => {}
            }
        }
        Moment { at: Nanos(WINDOW.0 * (window as u64 + 1)), rss: *rss, peak: *peak, changes }
    });
    let windows = 0..WINDOWS;
    let row = |reason, name: &str, pages: i64, events| Unattributed {
        reason,
        name: name.to_owned(),
        net: anon(pages),
        events,
        native: Vec::new(),
        allocated: Allocated::default(),
    };
    ProcessProfile {
        pid: 31_847,
        parent: None,
        command: ["/srv/venv/bin/python", "-m", "shop.worker", "--threads", "2"]
            .map(ToOwned::to_owned)
            .to_vec(),
        python: Some("3.12.11".to_owned()),
        ending: Ending::Running,
        began: Nanos(0),
        ended: None,
        before,
        after: rss,
        peak,
        threads: ["python", "worker-1", "worker-2"]
            .iter()
            .zip(31_847..)
            .map(|(name, tid)| Thread { tid, name: (*name).to_owned() })
            .collect(),
        events: stacks.iter().map(|stack| stack.events).sum::<u64>() + 101,
        functions: functions(),
        moments: moments.collect(),
        unattributed: vec![
            row(Reason::NativeThread, "grpc-poller", windows.clone().map(native).sum(), 100),
            row(Reason::BeforeAttachReturned, "", windows.map(given_back).sum(), 1),
        ],
        lost_events: 0,
        lost_bytes: Bytes::ZERO,
        overhead: Overhead { probe: Nanos(2_418_000_000), userspace_cpu: Nanos(1_106_000_000) },
        lens: None,
        notes: Vec::new(),
        counts: Default::default(),
        stacks,
        lines,
    }
}

fn untouched(story: &Story) -> StackFigures {
    StackFigures {
        thread: story.thread,
        frames: story.frames.clone(),
        native: Vec::new(),
        grown: Memory::ZERO,
        returned: Memory::ZERO,
        resident: Bytes::ZERO,
        copied: Bytes::ZERO,
        released: Bytes::ZERO,
        events: 0,
        peak_rss: Bytes::ZERO,
        estimate: Estimate::default(),
        allocated: Allocated::default(),
    }
}

/// The functions of the service's own files: from a `def` to the line before the next one.
fn functions() -> Vec<FunctionSpan> {
    let mut spans = Vec::new();
    for story in stories() {
        for place in story.frames {
            let Some((_, text)) = FILES.iter().find(|(path, _)| *path == place.file) else {
                continue;
            };
            let first = place.function_line as usize;
            let body = text.lines().skip(first).take_while(|line| {
                line.is_empty() || line.starts_with("    ") || line.starts_with('\t')
            });
            let body: Vec<_> = body.collect();
            let blank = body.iter().rev().take_while(|line| line.is_empty()).count();
            spans.push(FunctionSpan {
                file: place.file.clone(),
                first_line: place.function_line,
                last_line: (first + body.len() - blank) as u32,
                function: place.function.clone(),
            });
        }
    }
    spans.sort();
    spans.dedup();
    spans
}
