//! How often lines ran and functions were evaluated, where somebody counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{LineFigures, Place, lines::untouched};

/// Counts of one process, which have nothing to do with growth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Executions by line, of the code that was counted; `None` where no one counted.
    pub executions: Option<BTreeMap<Arc<Place>, u64>>,
    /// Evaluations by function, each named by its first line; `None` where no one counted.
    pub evaluations: Option<BTreeMap<Arc<Place>, u64>>,
}

impl Counts {
    /// How often a line ran; `None` when it was not counted.
    #[must_use]
    pub fn executions_of(&self, place: &Place) -> Option<u64> {
        self.executions.as_ref()?.get(place).copied()
    }

    /// The lines that ran and are not among `lines`: they changed nothing.
    #[must_use]
    pub fn quiet_lines(&self, lines: &[LineFigures]) -> Vec<LineFigures> {
        let Some(executions) = &self.executions else { return Vec::new() };
        let known: std::collections::HashSet<_> = lines.iter().map(|line| &line.place).collect();
        executions.keys().filter(|place| !known.contains(place)).map(untouched).collect()
    }
}
