//! How often a space's lines ran and its functions were evaluated, summed up over the range.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry::{Counted, PlaceId, Ran};
use super::tables::Tables;
use crate::profile::{Counts, Place};

/// Sums by place; `None` until somebody has counted.
#[derive(Debug, Default)]
pub(super) struct Runs {
    executions: Option<HashMap<PlaceId, u64>>,
    evaluations: Option<HashMap<PlaceId, u64>>,
}

impl Runs {
    /// Adds counts, whose names were checked.
    pub(super) fn add(&mut self, ran: &Ran) {
        let sums = match ran.counted {
            Counted::Lines => &mut self.executions,
            Counted::Functions => &mut self.evaluations,
        };
        let sums = sums.get_or_insert_default();
        for (place, count) in &ran.counts {
            let sum = sums.entry(*place).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// The functions that lines were counted of, by their positions.
    pub(super) fn functions<'a>(&'a self, tables: &'a Tables) -> impl Iterator<Item = usize> + 'a {
        let places = self.executions.iter().flat_map(HashMap::keys);
        places.map(|place| tables.place(*place).function)
    }

    pub(super) fn counts(&self, tables: &Tables) -> Counts {
        let named = |sums: &HashMap<PlaceId, u64>| {
            let mut named = std::collections::BTreeMap::<Arc<Place>, u64>::new();
            for (place, count) in sums {
                // Two functions that differ in nothing that is shown are one.
                let sum = named.entry(Arc::clone(&tables.place(*place).place)).or_default();
                *sum = sum.saturating_add(*count);
            }
            named
        };
        Counts {
            executions: self.executions.as_ref().map(named),
            evaluations: self.evaluations.as_ref().map(named),
        }
    }
}
