//! Who answers for which part of a process's address space.
//!
//! Pure. Allocators, stacks and libraries claim ranges inside of mappings (the kernel merges
//! neighbours, so one mapping may hold an arena, a stack and a block of `malloc`); what nobody
//! claims of a mapping is of the mapping's own kind. The rows that come of it add up to the
//! kernel's figures by construction.

use std::collections::BTreeMap;
use std::ops::Range;

use super::picture::{Kind, Row};
use super::residence::Residence;
use crate::units::Bytes;

/// A range, and what is resident of it by kind.
#[derive(Debug, Clone)]
struct Claim {
    range: Range<u64>,
    parts: Vec<(Kind, u64)>,
}

/// Disjoint claims.
#[derive(Debug, Default)]
pub(super) struct Claims {
    by_start: BTreeMap<u64, Claim>,
}

impl Claims {
    /// Takes a range for kinds, whose bytes are what is resident of it; `false`, and nothing
    /// done, when part of it is taken.
    pub(super) fn add(&mut self, range: Range<u64>, parts: Vec<(Kind, u64)>) -> bool {
        if range.is_empty() || self.overlaps(&range) {
            return false;
        }
        self.by_start.insert(range.start, Claim { range, parts });
        true
    }

    /// Takes a range for one kind.
    pub(super) fn add_whole(
        &mut self,
        range: Range<u64>,
        kind: Kind,
        residence: &Residence,
    ) -> bool {
        let resident = residence.ram.within(&range);
        self.add(range, vec![(kind, resident)])
    }

    /// Whether part of a range is taken.
    #[must_use]
    pub(super) fn overlaps(&self, range: &Range<u64>) -> bool {
        let before = self.by_start.range(..range.end).next_back();
        before.is_some_and(|(_, claim)| claim.range.end > range.start)
    }

    /// Parts of a range that nobody has claimed.
    #[must_use]
    pub(super) fn gaps(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        for claim in self.within(range) {
            if claim.start > at {
                gaps.push(at..claim.start);
            }
            at = at.max(claim.end);
        }
        if at < range.end {
            gaps.push(at..range.end);
        }
        gaps
    }

    /// Claimed parts of a range, by address.
    fn within(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let before = self.by_start.range(..=range.start).next_back();
        let rest =
            self.by_start.range(range.start.saturating_add(1)..range.end.max(range.start + 1));
        let touching = before.into_iter().chain(rest).map(|(_, claim)| &claim.range);
        let cut = touching.map(|it| it.start.max(range.start)..it.end.min(range.end));
        cut.filter(|it| !it.is_empty()).collect()
    }

    /// One row a kind: claims with what they state, mappings with what is left of them.
    #[must_use]
    pub(super) fn rows(&self, mappings: &[Unclaimed], residence: &Residence) -> Rows {
        let mut rows: BTreeMap<Kind, Amount> = BTreeMap::new();
        for claim in self.by_start.values() {
            // Swap and address space of a range go to the first of its kinds.
            if let Some((kind, _)) = claim.parts.first() {
                let amount = rows.entry(*kind).or_default();
                amount.swap += residence.swap.within(&claim.range);
                amount.mapped += claim.range.end - claim.range.start;
            }
            for (kind, resident) in &claim.parts {
                rows.entry(*kind).or_default().rss += resident;
            }
        }
        for mapping in mappings {
            let claimed = self.within(&mapping.range);
            let sum = |of: &dyn Fn(&Range<u64>) -> u64| claimed.iter().map(of).sum::<u64>();
            let amount = rows.entry(mapping.kind).or_default();
            amount.rss += mapping.rss.saturating_sub(sum(&|it| residence.ram.within(it)));
            amount.swap += mapping.swap.saturating_sub(sum(&|it| residence.swap.within(it)));
            let whole = mapping.range.end - mapping.range.start;
            amount.mapped += whole.saturating_sub(sum(&|it| it.end - it.start));
        }
        Rows(rows)
    }
}

/// A mapping as the kernel counts it.
#[derive(Debug, Clone)]
pub(super) struct Unclaimed {
    pub(super) range: Range<u64>,
    /// Of what nobody claims.
    pub(super) kind: Kind,
    pub(super) rss: u64,
    pub(super) swap: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    rss: u64,
    swap: u64,
    mapped: u64,
}

/// Bytes by kind.
#[derive(Debug)]
pub(super) struct Rows(BTreeMap<Kind, Amount>);

impl Rows {
    /// The rows that hold anything, the largest first, made to add up to `rss` and `swap` by a row
    /// that says by how much they don't.
    #[must_use]
    pub(super) fn finish(self, rss: u64, swap: u64) -> Vec<Row> {
        let bytes = |bytes: u64| Bytes(bytes.cast_signed());
        let mut rows: Vec<Row> = self
            .0
            .into_iter()
            .map(|(kind, amount)| Row {
                kind,
                rss_bytes: bytes(amount.rss),
                swap_bytes: bytes(amount.swap),
                mapped_bytes: bytes(amount.mapped),
            })
            .collect();
        let rest = Row {
            kind: Kind::Changed,
            rss_bytes: bytes(rss) - rows.iter().map(|row| row.rss_bytes).sum(),
            swap_bytes: bytes(swap) - rows.iter().map(|row| row.swap_bytes).sum(),
            mapped_bytes: Bytes::ZERO,
        };
        rows.push(rest);
        rows.retain(|row| row.rss_bytes != Bytes::ZERO || row.swap_bytes != Bytes::ZERO);
        rows.sort_by_key(|row| (-row.rss_bytes, row.kind));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_not_taken_twice() {
        let mut claims = Claims::default();
        assert!(claims.add(100..200, vec![(Kind::ArenaLive, 7)]));
        for range in [0..101, 199..300, 120..130, 50..250, 100..200, 5..5] {
            assert!(!claims.add(range.clone(), Vec::new()), "{range:?}");
        }
        assert!(claims.add(200..201, Vec::new()) && claims.add(99..100, Vec::new()));
        assert_eq!(claims.gaps(&(50..250)), [50..99, 201..250]);
        assert_eq!(claims.gaps(&(120..130)), []);
        assert_eq!(claims.gaps(&(300..301)), vec![300..301; 1]);
    }

    #[test]
    fn rows_add_up_to_what_the_kernel_counts() {
        let mut claims = Claims::default();
        // Nothing is known to be resident, so claims take nothing away from mappings here.
        claims.add(0x1000..0x3000, vec![(Kind::ArenaLive, 0), (Kind::ArenaOverhead, 0)]);
        let mapping = |range, kind, rss, swap| Unclaimed { range, kind, rss, swap };
        let mappings = [
            mapping(0x0..0x8000, Kind::UnknownAnonymous, 0x4000, 0x1000),
            mapping(0x10000..0x20000, Kind::Libraries, 0x5000, 0),
            mapping(0x20000..0x30000, Kind::Libraries, 0x1000, 0),
        ];
        let rows = claims.rows(&mappings, &Residence::default()).finish(0xb000, 0x1000);
        let found: Vec<_> =
            rows.iter().map(|row| (row.kind, row.rss_bytes.0, row.swap_bytes.0)).collect();
        let expected = [
            (Kind::Libraries, 0x6000, 0),
            (Kind::UnknownAnonymous, 0x4000, 0x1000),
            (Kind::Changed, 0x1000, 0),
        ];
        assert_eq!(found, expected);
        assert_eq!(rows[1].mapped_bytes, Bytes(0x6000));
        let shrunk = Claims::default().rows(&mappings, &Residence::default()).finish(0x9000, 0);
        let rest = shrunk.iter().find(|row| row.kind == Kind::Changed).unwrap();
        assert_eq!((rest.rss_bytes.0, rest.swap_bytes.0), (-0x1000, -0x1000));
    }
}
