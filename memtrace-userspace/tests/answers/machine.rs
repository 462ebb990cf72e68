//! A machine with many workers of one program, each of which has grown at many lines, and a server that tells
//! of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use memtrace::daemon::board::{Board, Newcomer};
use memtrace::daemon::config::Http;
use memtrace::daemon::container::Names as Containers;
use memtrace::daemon::metrics::Bound;
use memtrace::daemon::store::{Bounds, Store};
use memtrace::daemon::web::Server;
use memtrace::history::entry::{
    Began, Change, Function, FunctionId, Names, PlaceId, PlaceName, SpaceId, StackId, StackName,
    TextId, ThreadId, ThreadName, Window,
};
use memtrace::history::{Entry, Head};
use memtrace::profile::Memory;
use memtrace::session::facts::Facts;
use memtrace::units::{Bytes, Nanos};

/// Workers.
pub(crate) const PROCESSES: u32 = 200;
/// Lines at which each grows.
pub(crate) const LINES: u32 = 260;
/// Frames of each stack: the line, and those that called it.
const DEPTH: u32 = 8;
/// Lines of a function.
const EXTENT: u32 = 20;

fn anon(bytes: i64) -> Memory {
    Memory { anon: Bytes(bytes), ..Memory::ZERO }
}

/// A worker's pid.
pub(crate) fn pid(number: u32) -> u32 {
    1000 + number
}

fn grown_at(number: u32, line: u32) -> i64 {
    4096 * i64::from(1 + (number + line) % 7)
}

/// What a worker grew in all.
pub(crate) fn grown(number: u32) -> i64 {
    (0..LINES).map(|line| grown_at(number, line)).sum()
}

fn names() -> Entry {
    let mut names = Names::default();
    for number in 0..LINES / EXTENT {
        names.texts.push(format!("/srv/shop/lib/python3.12/site-packages/shop/module_{number}.py"));
        names.texts.push(format!("Handler{number}.answers_a_request"));
        let first_line = 1 + number * EXTENT;
        names.functions.push(Function {
            file: TextId(2 * number),
            name: TextId(2 * number + 1),
            first_line,
            last_line: first_line + EXTENT - 1,
        });
    }
    names.texts.push("python".to_owned());
    for line in 0..LINES {
        names.places.push(PlaceName { function: FunctionId(line / EXTENT), line: line + 1 });
        // Each line is called by those that come before it, round and round.
        let frames = (0..DEPTH).map(|up| PlaceId((line + LINES - up) % LINES)).collect();
        names.stacks.push(StackName::Lines { frames, truncated: false });
    }
    names.threads.push(ThreadName {
        space: SpaceId(0),
        tid: 0,
        name: TextId(2 * (LINES / EXTENT)),
    });
    Entry::Names(names)
}

fn entries(number: u32) -> [Entry; 2] {
    let (space, command) = (SpaceId(number), command());
    let parent = (number > 0).then_some(pid(0));
    let before = anon(1 << 20);
    let began = Began { space, at: Nanos(0), pid: pid(number), parent, before, command };
    let change = |line| Change {
        grown: anon(grown_at(number, line)),
        events: 1,
        ..Change::none(StackId(line), ThreadId(0))
    };
    let rss = anon((1 << 20) + grown(number));
    let window = Window {
        space,
        at: Nanos(1_000_000_000),
        rss,
        peak: rss.total(),
        events: u64::from(LINES),
        lost_events: 0,
        lost: Bytes::ZERO,
        probe: Nanos(100),
        userspace_cpu: Nanos(100),
        changes: (0..LINES).map(change).collect(),
    };
    [Entry::Began(began), Entry::Window(window)]
}

fn command() -> Vec<String> {
    ["python3", "-m", "shop"].map(ToOwned::to_owned).to_vec()
}

fn board() -> Board {
    let started_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000);
    let head = Head { started_at, kernel: "6.18.0".to_owned(), exact: true };
    let bounds = Bounds { time: Duration::from_secs(3600), bytes: 1 << 30 };
    let mut board =
        Board::new(Store::new(head, bounds), Containers::below(Path::new("/nonexistent")));
    let mut window = vec![names()];
    for number in 0..PROCESSES {
        let facts = Facts { pid: pid(number), started: 1, ..Facts::default() };
        let labels = board.labels(&facts, &command(), "3.12.1");
        let parent = (number > 0).then_some(pid(0));
        let (space, command) = (SpaceId(number), command());
        board.welcome(Newcomer { space, facts, labels, files: None, command, parent });
        window.extend(entries(number));
    }
    board.add(Nanos(1_000_000_000), window);
    board
}

/// Where a server tells of it, until the process ends.
pub(crate) fn served() -> SocketAddr {
    let http = Http { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ..Http::default() };
    let server = Server::prepare(&http).unwrap();
    let address = server.address().unwrap();
    let board = Arc::new(Mutex::new(board()));
    server.start(board, Bound { lines: 10, groups: 10 }).unwrap();
    address
}
