//! The rows of the table of processes.

use super::Picture;
use super::choice::{Choice, Order};
use super::recent::{Cost, Life};
use crate::profile::{Ending, ProcessProfile};
use crate::units::Bytes;

/// A process that is not traced, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// As the host sees it.
    pub pid: u32,
    /// Its arguments.
    pub command: Vec<String>,
    /// Why.
    pub why: String,
}

/// A row.
#[derive(Debug, Clone)]
pub struct ProcessRow<'a> {
    /// Whose.
    pub life: Life,
    /// Its figures since the start.
    pub process: &'a ProcessProfile,
    /// Growth since the start.
    pub growth: Bytes,
    /// Growth a minute, lately.
    pub per_minute: Bytes,
    /// What tracing it costs, lately.
    pub cost: Cost,
}

/// Those that run, then those that ended.
#[must_use]
pub fn process_rows<'a>(picture: &'a Picture, choice: &Choice) -> Vec<ProcessRow<'a>> {
    let row = |process: &'a ProcessProfile| {
        let life = Life::of(process);
        ProcessRow {
            life,
            process,
            growth: (process.after - process.before).total(),
            per_minute: picture.recent.rss_per_minute(life, choice.span),
            cost: picture.recent.cost(life, choice.span),
        }
    };
    let mut rows: Vec<_> = picture.profile.processes.iter().map(row).collect();
    rows.sort_by(|a, b| {
        let runs = |row: &ProcessRow<'_>| row.process.ending == Ending::Running;
        let by_size = || b.growth.cmp(&a.growth);
        let by_order = || match choice.order {
            Order::Size => by_size(),
            Order::Rate => b.per_minute.cmp(&a.per_minute).then_with(by_size),
            Order::Events => b.process.events.cmp(&a.process.events).then_with(by_size),
            Order::Place => std::cmp::Ordering::Equal,
        };
        runs(b).cmp(&runs(a)).then_with(by_order).then_with(|| a.life.cmp(&b.life))
    });
    rows
}
