//! A believable service for plots: ten minutes, a leak, a report that needs much for a while, a
//! child, which forks and ends.
//!
//! Every figure is the sum of its moments, which come from simple functions of time.

use std::time::Duration;

use memtrace::profile::{
    Ending, FunctionSpan, LineFigures, Memory, Moment, ProcessProfile, Profile, Reason,
};
use memtrace::units::{Bytes, Nanos};

use super::build::{line, process, profile, unattributed};

const SERVICE: &str = "/srv/shop/service.py";
const REPORT: &str = "/srv/shop/report.py";
const DECODER: &str = "/usr/lib/python3.13/json/decoder.py";

/// A line and what it holds (KiB) at a second of its process's life.
type Holds = (&'static str, &'static str, u32, u32, fn(u64) -> u64);

/// Grows by the clock, without an end.
fn ramp(second: u64, from: u64, kib_a_second: u64) -> u64 {
    second.saturating_sub(from) * kib_a_second
}

/// Rises within `rise` seconds, holds, and is given back within ten.
fn hill(second: u64, from: u64, to: u64, rise: u64, height: u64) -> u64 {
    let up = second.saturating_sub(from).min(rise) * height / rise;
    let down = second.saturating_sub(to).min(10) * height / 10;
    up - down.min(up)
}

/// Noise that is the same on every run.
fn jitter(second: u64, most: u64) -> u64 {
    (second.wrapping_mul(0x9e37_79b9) >> 7) % most
}

/// Of the service itself.
const LINES: [Holds; 13] = [
    (SERVICE, "Sessions.remember", 88, 93, |s| ramp(s, 20, 300)),
    (SERVICE, "Catalogue.load", 31, 44, |s| ramp(s.min(26), 2, 3_600)),
    (REPORT, "build", 12, 29, |s| hill(s, 250, 330, 40, 212_000)),
    (REPORT, "as_csv", 52, 57, |s| hill(s, 285, 335, 20, 61_000)),
    (DECODER, "JSONDecoder.raw_decode", 343, 353, |s| 9_000 + jitter(s, 4_096) / 4 * 4),
    (SERVICE, "Thumbnails.render", 120, 131, |s| {
        [0, 18_000, 26_000, 4_000, 22_000][(s / 11 % 5) as usize]
    }),
    (SERVICE, "handle", 201, 214, |s| 6_400 + jitter(s * 3, 2_048) / 4 * 4),
    (SERVICE, "Metrics.sample", 160, 166, |s| ramp(s, 0, 24)),
    ("/usr/lib/python3.13/ssl.py", "SSLContext.wrap_socket", 440, 455, |s| 5_200.min(s * 120)),
    ("/usr/lib/python3.13/asyncio/sslproto.py", "SSLProtocol.__init__", 260, 277, |s| {
        3_000.min(s * 90)
    }),
    ("/usr/lib/python3.13/logging/__init__.py", "Logger.makeRecord", 1640, 1656, |s| {
        1_200 + jitter(s, 512) / 4 * 4
    }),
    ("/usr/lib/python3.13/email/parser.py", "BytesParser.parse", 40, 57, |_| 800),
    ("/usr/lib/python3.13/http/client.py", "HTTPResponse.begin", 320, 331, |_| 400),
];

/// Of the worker that it forks after 380 s.
const WORKER_LINES: [Holds; 2] = [
    ("/srv/shop/export.py", "rows", 18, 24, |s| ramp(s.min(100), 5, 900)),
    (REPORT, "as_csv", 52, 57, |s| hill(s, 60, 120, 20, 61_000)),
];

/// The service and its worker.
pub(crate) fn service() -> Profile {
    let main = Life {
        command: &["python3", "-m", "shop.service", "--port", "8080"],
        pid: 1729,
        before_kib: 41_200,
        began: 0,
        lived: 600,
        lines: &LINES,
        // At 315 s all of it is needed at once, for less than a window.
        spike: Some((315, 40_960)),
    };
    let worker = Life {
        command: &["python3", "-m", "shop.service", "--port", "8080"],
        pid: 1812,
        before_kib: 28_000,
        began: 380,
        lived: 150,
        lines: &WORKER_LINES,
        spike: None,
    };
    let mut worker = worker.profile();
    worker.parent = Some(1729);
    (worker.ending, worker.ended) = (Ending::Exited, Some(seconds(530)));
    Profile { duration: seconds(600), ..profile(vec![main.profile(), worker]) }
}

fn seconds(seconds: u64) -> Nanos {
    Nanos(Duration::from_secs(seconds).as_nanos() as u64)
}

fn kib(kib: i64) -> Bytes {
    Bytes(kib * 1024)
}

struct Life {
    command: &'static [&'static str],
    pid: u32,
    before_kib: i64,
    began: u64,
    lived: u64,
    lines: &'static [Holds],
    /// When, and how far above the end of its window.
    spike: Option<(u64, i64)>,
}

impl Life {
    /// A moment every five seconds; a native thread takes 4 KiB a second.
    fn profile(&self) -> ProcessProfile {
        let anon = |bytes| Memory { anon: bytes, ..Memory::ZERO };
        let held = |second: u64| -> Vec<i64> {
            self.lines
                .iter()
                .map(|line| if second == 0 { 0 } else { (line.4)(second) as i64 })
                .collect()
        };
        let rss =
            |second: u64| self.before_kib + held(second).iter().sum::<i64>() + 4 * second as i64;
        let mut moments = Vec::new();
        for second in (5..=self.lived).step_by(5) {
            let changes = held(second).into_iter().zip(held(second - 5)).enumerate();
            let changes = changes.map(|(line, (now, then))| (line, kib(now - then)));
            let above = self.spike.filter(|(at, _)| *at == second).map_or(0, |(_, above)| above);
            moments.push(Moment {
                at: seconds(self.began + second),
                rss: anon(kib(rss(second))),
                peak: kib(rss(second).max(rss(second - 5)) + above),
                changes: changes.filter(|(_, change)| *change != Bytes::ZERO).collect(),
            });
        }
        let lines: Vec<LineFigures> = self
            .lines
            .iter()
            .zip(held(self.lived))
            .map(|((file, function, first, number, _), held)| {
                line(file, function, *first, *number, anon(kib(held)))
            })
            .collect();
        let spans = self.lines.iter().map(|(file, function, first, number, _)| FunctionSpan {
            file: (*file).to_owned(),
            first_line: *first,
            last_line: number + 3,
            function: (*function).to_owned(),
        });
        let thread = anon(kib(4 * self.lived as i64));
        ProcessProfile {
            python: Some("3.13.0".to_owned()),
            began: seconds(self.began),
            after: anon(kib(rss(self.lived))),
            peak: moments.iter().map(|moment| moment.peak).max().unwrap_or_default(),
            moments,
            lines,
            functions: spans.collect(),
            unattributed: vec![unattributed(Reason::NativeThread, "grpc_global_tim", thread, 9)],
            ..process(self.pid, self.command, anon(kib(self.before_kib)))
        }
    }
}
