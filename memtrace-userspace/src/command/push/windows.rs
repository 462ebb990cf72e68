//! A recording, cut into stretches of time, in one reading.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::command::read::{Reading, add, entries};
use crate::history::History;
use crate::units::Nanos;

/// Processes' windows of one second end at not quite the same moment: those that end so soon after a
/// stretch belong to it.
const LATE: Nanos = Nanos(100_000_000);

/// How to cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) from: Nanos,
    pub(super) until: Nanos,
    pub(super) every: Duration,
}

/// A reading under way.
struct Stretches {
    history: History,
    /// Where the stretch should end.
    end: u64,
    every: u64,
    /// Something happened in it.
    any: bool,
    last: ControlFlow<()>,
}

impl Cut {
    /// Gives each stretch to `take`, which may break off. Stretches follow one another without a gap:
    /// each ends with the last of what was recorded in it.
    pub(super) fn each(
        self,
        path: &Path,
        reading: Reading,
        mut take: impl FnMut(&History) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let every = u64::try_from(self.every.as_nanos()).unwrap_or(u64::MAX);
        let begin = |head: &crate::history::Head| Stretches {
            history: History::new(head.clone(), self.from..=self.until),
            end: self.from.0.saturating_add(every),
            every,
            any: false,
            last: ControlFlow::Continue(()),
        };
        let mut stretches = entries(path, reading, begin, |stretches, entry| {
            if let Some(at) = entry.at() {
                if at > self.until {
                    // Later names and ends say nothing of this time.
                    return Ok(ControlFlow::Break(()));
                }
                stretches.to(at, &mut take);
                stretches.any |= at >= self.from;
            }
            add(&mut stretches.history, entry, path)?;
            Ok(stretches.last)
        })?;
        if stretches.last.is_continue() {
            if !stretches.any && stretches.history.last() < self.from {
                let seconds = Duration::from_secs(stretches.history.last().0 / 1_000_000_000);
                let end = humantime::format_duration(seconds);
                bail!("{} ends {end} after its start, before --from", path.display());
            }
            if stretches.any {
                stretches.last = take(&stretches.history);
            }
        }
        Ok(stretches.last)
    }
}

impl Stretches {
    /// Something is about to happen at `at`: ends the stretch if that is beyond it.
    fn to(&mut self, at: Nanos, take: &mut impl FnMut(&History) -> ControlFlow<()>) {
        if at.0 <= self.end.saturating_add(LATE.0) {
            return;
        }
        if self.any {
            self.last = take(&self.history);
            self.history.begin_anew(self.history.last());
            self.any = false;
        }
        let behind = at.0.saturating_sub(self.end).div_ceil(self.every.max(1));
        self.end = self.end.saturating_add(behind.max(1).saturating_mul(self.every));
    }
}
