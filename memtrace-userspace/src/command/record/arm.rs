//! Waiting for a condition before anything is attached: the processes are only looked at, from
//! outside, ten times a second.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cli::{Growth, RecordArgs};
use crate::session::SessionError;
use crate::units::Bytes;

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Growth is judged over this time at least, or a buffer that comes and goes would be a leak.
const SHORTEST: Duration = Duration::from_secs(10);

/// What is waited for: any of the two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition {
    rss: Option<Bytes>,
    growth: Option<Growth>,
}

/// Why the condition holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Armed {
    Rss { pid: u32, rss: Bytes },
    Growth { pid: u32, by: Bytes, over: Duration },
}

impl fmt::Display for Armed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rss { pid, rss } => write!(f, "process {pid} has an RSS of {rss}"),
            Self::Growth { pid, by, over } => {
                write!(f, "process {pid} has grown by {by} in {} s", over.as_secs())
            }
        }
    }
}

impl Condition {
    /// What was typed, if anything.
    pub(super) fn of(args: &RecordArgs) -> Option<Self> {
        let condition = Self { rss: args.start_at_rss, growth: args.start_at_growth };
        (condition.rss.is_some() || condition.growth.is_some()).then_some(condition)
    }

    /// Ready when it holds for one of the processes.
    ///
    /// # Errors
    ///
    /// One of the processes has ended.
    pub(super) async fn holds(self, pids: &[u32]) -> Result<Armed> {
        let mut courses: Vec<(u32, Course)> =
            pids.iter().map(|pid| (*pid, Course::default())).collect();
        loop {
            for (pid, course) in &mut courses {
                let rss = rss(*pid).ok_or(SessionError::Gone(*pid))?;
                if let Some(armed) = self.judge(*pid, course, Instant::now(), rss) {
                    return Ok(armed);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn judge(self, pid: u32, course: &mut Course, now: Instant, rss: Bytes) -> Option<Armed> {
        if self.rss.is_some_and(|bound| rss >= bound) {
            return Some(Armed::Rss { pid, rss });
        }
        let growth = self.growth?;
        let over = growth.time.max(SHORTEST);
        let (by, over) = course.growth(now, rss, over)?;
        let wanted = growth.bytes.0 as f64 * over.as_secs_f64() / growth.time.as_secs_f64();
        (by.0 as f64 >= wanted).then_some(Armed::Growth { pid, by, over })
    }
}

/// RSS of late.
#[derive(Debug, Default)]
struct Course {
    points: VecDeque<(Instant, Bytes)>,
}

impl Course {
    /// Takes the newest point; growth over the last `over`, once it is known for so long.
    fn growth(&mut self, now: Instant, rss: Bytes, over: Duration) -> Option<(Bytes, Duration)> {
        self.points.push_back((now, rss));
        while self.points.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= over) {
            self.points.pop_front();
        }
        let (at, first) = self.points.front()?;
        let known = now.duration_since(*at);
        (known >= over).then(|| (rss - *first, known))
    }
}

/// A process's RSS as `/proc/PID/statm` has it, which is exact enough for a beginning.
fn rss(pid: u32) -> Option<Bytes> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages = statm.split(' ').nth(1)?.parse().ok()?;
    Some(Bytes::from_pages(pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: i64 = 1 << 20;

    /// Judges an RSS in MiB each second; the second at which the condition holds.
    fn armed_at(condition: Condition, course: impl Fn(u64) -> i64) -> Option<u64> {
        let (start, mut known) = (Instant::now(), Course::default());
        (0..300).find(|second| {
            let now = start + Duration::from_secs(*second);
            condition.judge(7, &mut known, now, Bytes(course(*second) * MIB)).is_some()
        })
    }

    #[test]
    fn it_holds_when_rss_is_as_large() {
        let condition = Condition { rss: Some(Bytes(100 * MIB)), growth: None };
        assert_eq!(armed_at(condition, |second| 50 + second as i64), Some(50));
        assert_eq!(armed_at(condition, |_| 99), None);
    }

    #[test]
    fn it_holds_when_growth_lasts_and_not_for_a_buffer_that_comes_and_goes() {
        let minute = Duration::from_secs(60);
        let growth = Some(Growth { bytes: Bytes(60 * MIB), time: minute });
        let condition = Condition { rss: None, growth };
        // 30 MiB a minute at first, 120 from second 100 on: 60 in a minute at 100 + 20.
        let course = |s: u64| if s < 100 { s as i64 / 2 } else { 50 + 2 * (s as i64 - 100) };
        assert_eq!(armed_at(condition, course), Some(120));
        assert_eq!(armed_at(condition, |second| (second as i64 % 30) / 29 * 50), None);
        let second = Some(Growth { bytes: Bytes(MIB), time: Duration::from_secs(1) });
        let condition = Condition { rss: None, growth: second };
        assert_eq!(armed_at(condition, |second| second as i64), Some(10));
    }
}
