//! What a line did lately: its figures now, and its changes in each of the last windows.
//!
//! Fed with one profile a window. What it keeps is bounded: the last windows, of each line only those
//! in which something changed, and no line that the newest profile doesn't have.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::choice::{Measure, Scope};
use super::totals::{self, Totals};
use crate::profile::{Place, ProcessProfile, Profile, Reason};
use crate::units::{Bytes, Nanos};

/// So many windows are remembered.
pub const WINDOWS: usize = 60;

/// A process between two calls of `exec`: its pid, and when its ledger began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Life {
    /// As the host sees it.
    pub pid: u32,
    /// [`ProcessProfile::began`]
    pub began: Nanos,
}

impl Life {
    /// Whose profile this is.
    #[must_use]
    pub fn of(process: &ProcessProfile) -> Self {
        Self { pid: process.pid, began: process.began }
    }
}

/// What has figures: a line, or a reason why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A line.
    Line(Arc<Place>),
    /// No line answers.
    Unattributed {
        /// Why.
        reason: Reason,
        /// Whose, where that has a name.
        name: String,
    },
}

/// The last windows of all processes.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    /// Windows so far.
    count: u64,
    /// When the last windows began, oldest first, and when the newest ended.
    bounds: VecDeque<Nanos>,
    lives: HashMap<Life, RecentLife>,
}

#[derive(Debug, Clone, Default)]
struct RecentLife {
    trails: HashMap<Subject, Trail>,
    /// At the end of each window, oldest first, the newest last.
    states: VecDeque<State>,
}

/// Of one subject.
#[derive(Debug, Clone, Default)]
struct Trail {
    now: Totals,
    /// Windows with a change, by their number, oldest first.
    changes: VecDeque<(u64, Totals)>,
}

/// Of one process.
#[derive(Debug, Clone, Copy)]
struct State {
    rss: Bytes,
    probe: Nanos,
    userspace_cpu: Nanos,
}

/// Shares of one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// In probes, in the target's threads.
    pub probe: f64,
    /// memtrace's own.
    pub userspace: f64,
}

impl Recent {
    /// Takes in the profile at the end of a window. One without time since the last is part of it.
    pub fn take(&mut self, profile: &Profile) {
        if self.bounds.is_empty() {
            self.bounds.push_back(Nanos(0));
        }
        let fresh = self.bounds.back().is_none_or(|end| *end < profile.duration);
        if fresh {
            self.count += 1;
            self.bounds.push_back(profile.duration);
            if self.bounds.len() > WINDOWS + 1 {
                self.bounds.pop_front();
            }
        }
        let mut lives = std::mem::take(&mut self.lives);
        for process in &profile.processes {
            let life = Life::of(process);
            let mut recent = lives.remove(&life).unwrap_or_default();
            recent.take(process, self.count, fresh);
            self.lives.insert(life, recent);
        }
    }

    /// How much time the last `span` windows cover, or as many as there are.
    #[must_use]
    pub fn covered(&self, span: usize) -> Nanos {
        let oldest = self.bounds.len().saturating_sub(span + 1);
        let (start, end) = (self.bounds.get(oldest), self.bounds.back());
        start.zip(end).map_or(Nanos(0), |(start, end)| Nanos(end.0 - start.0))
    }

    /// A subject's figures now.
    #[must_use]
    pub fn now(&self, life: Life, subject: &Subject) -> Totals {
        self.trail(life, subject).map_or_else(Totals::default, |trail| trail.now)
    }

    /// Growth a minute, over the last `span` windows or as many as there are.
    #[must_use]
    pub fn per_minute(
        &self,
        life: Life,
        subject: &Subject,
        scope: Scope,
        measure: Measure,
        span: usize,
    ) -> Bytes {
        let Some(trail) = self.trail(life, subject) else { return Bytes::ZERO };
        let first = (self.count + 1).saturating_sub(span as u64);
        let changes = trail.changes.iter().rev().take_while(|(window, _)| *window >= first);
        let sum = changes.map(|(_, change)| change.get(scope, measure)).sum();
        a_minute(sum, self.time(life, span))
    }

    /// Growth in each of the last `cells` windows, oldest first; `None` before the process's first.
    #[must_use]
    pub fn growth(
        &self,
        life: Life,
        subject: &Subject,
        scope: Scope,
        measure: Measure,
        cells: usize,
    ) -> Vec<Option<Bytes>> {
        let Some(trail) = self.trail(life, subject) else { return vec![None; cells] };
        let known = self.lives.get(&life).map_or(0, |recent| recent.states.len() - 1);
        let mut growth = vec![None; cells];
        for (age, cell) in growth.iter_mut().rev().enumerate().take(known) {
            let window = self.count - age as u64;
            let change = trail.changes.iter().find(|(number, _)| *number == window);
            *cell = Some(change.map_or(Bytes::ZERO, |(_, change)| change.get(scope, measure)));
        }
        growth
    }

    /// Growth of a process's RSS a minute.
    #[must_use]
    pub fn rss_per_minute(&self, life: Life, span: usize) -> Bytes {
        let Some((then, now)) = self.states(life, span) else { return Bytes::ZERO };
        a_minute(now.rss - then.rss, self.time(life, span))
    }

    /// Growth of a process's RSS in each of the last windows, as [`Recent::growth`].
    #[must_use]
    pub fn rss_growth(&self, life: Life, cells: usize) -> Vec<Option<Bytes>> {
        let mut growth = vec![None; cells];
        let Some(recent) = self.lives.get(&life) else { return growth };
        let states: Vec<_> = recent.states.iter().rev().collect();
        for (cell, pair) in growth.iter_mut().rev().zip(states.windows(2)) {
            *cell = Some(pair[0].rss - pair[1].rss);
        }
        growth
    }

    /// What tracing a process cost lately.
    #[must_use]
    pub fn cost(&self, life: Life, span: usize) -> Cost {
        let time = self.time(life, span).0;
        let Some((then, now)) = self.states(life, span).filter(|_| time > 0) else {
            return Cost::default();
        };
        let share = |then: Nanos, now: Nanos| now.0.saturating_sub(then.0) as f64 / time as f64;
        Cost {
            probe: share(then.probe, now.probe),
            userspace: share(then.userspace_cpu, now.userspace_cpu),
        }
    }

    fn trail(&self, life: Life, subject: &Subject) -> Option<&Trail> {
        self.lives.get(&life)?.trails.get(subject)
    }

    /// State before the last `span` windows (or at the process's beginning), and now.
    fn states(&self, life: Life, span: usize) -> Option<(State, State)> {
        let states = &self.lives.get(&life)?.states;
        let then = states.get(states.len().saturating_sub(span + 1))?;
        Some((*then, *states.back()?))
    }

    /// How long the last `span` windows took, of a process that was there by then.
    fn time(&self, life: Life, span: usize) -> Nanos {
        let oldest = self.bounds.len().saturating_sub(span + 1);
        let (Some(start), Some(end)) = (self.bounds.get(oldest), self.bounds.back()) else {
            return Nanos(0);
        };
        Nanos(end.0.saturating_sub(start.0.max(life.began.0)))
    }
}

impl RecentLife {
    fn take(&mut self, process: &ProcessProfile, window: u64, fresh: bool) {
        if self.states.is_empty() {
            let rss = process.before.total();
            self.states.push_back(State { rss, probe: Nanos(0), userspace_cpu: Nanos(0) });
        }
        if !fresh && self.states.len() > 1 {
            self.states.pop_back();
        }
        let overhead = process.overhead;
        self.states.push_back(State {
            rss: process.after.total(),
            probe: overhead.probe,
            userspace_cpu: overhead.userspace_cpu,
        });
        if self.states.len() > WINDOWS + 1 {
            self.states.pop_front();
        }

        let mut trails = std::mem::take(&mut self.trails);
        let mut step = |subject: Subject, now: Totals| {
            let mut trail = trails.remove(&subject).unwrap_or_default();
            trail.step(window, now);
            self.trails.insert(subject, trail);
        };
        for (line, totals) in process.lines.iter().zip(totals::of_lines(process)) {
            step(Subject::Line(Arc::clone(&line.place)), totals);
        }
        for row in &process.unattributed {
            let name = row.name.clone();
            step(Subject::Unattributed { reason: row.reason, name }, Totals::of_row(row));
        }
    }
}

impl Trail {
    fn step(&mut self, window: u64, now: Totals) {
        let change = now - self.now;
        self.now = now;
        if !change.is_zero() {
            match self.changes.back_mut() {
                Some((newest, sum)) if *newest == window => *sum = *sum + change,
                _ => self.changes.push_back((window, change)),
            }
        }
        let oldest = (window + 1).saturating_sub(WINDOWS as u64);
        while self.changes.front().is_some_and(|(number, _)| *number < oldest) {
            self.changes.pop_front();
        }
    }
}

fn a_minute(bytes: Bytes, time: Nanos) -> Bytes {
    const MINUTE: i128 = 60_000_000_000;
    let rate = i128::from(bytes.0) * MINUTE / i128::from(time.0.max(1));
    let bounds = (i128::from(i64::MIN), i128::from(i64::MAX));
    Bytes(if time.0 == 0 { 0 } else { rate.clamp(bounds.0, bounds.1) as i64 })
}
