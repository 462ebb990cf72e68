//! What changed from one snapshot to another.
//!
//! Pure. Rows and types are matched by name; what is in one only counts as nothing in the other.

use std::collections::BTreeMap;

use serde::Serialize;

use super::picture::{Kind, Snapshot};
use crate::units::Bytes;

/// The name of this form.
pub const SCHEMA: &str = "memtrace.explain-diff/1";

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// [`SCHEMA`]
    pub schema: &'static str,
    /// The earlier one.
    pub before: Moment,
    /// The later one.
    pub after: Moment,
    /// RSS after less RSS before: what the rows add up to.
    pub rss_change_bytes: Bytes,
    /// Kinds of memory, those that grew most first.
    pub rows: Vec<RowChange>,
    /// Types of objects, those whose bytes grew most first; those that did not change are left
    /// out.
    pub types: Vec<TypeChange>,
    /// Sentences about what limits the comparison.
    pub notes: Vec<String>,
}

/// Which snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// Of which process.
    pub pid: u32,
    /// Its arguments.
    pub command: Vec<String>,
    /// RFC 3339.
    pub taken_at: String,
    /// RSS.
    pub rss_bytes: Bytes,
    /// Tracked objects.
    pub objects: Option<u64>,
}

/// A kind of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RowChange {
    /// Which.
    pub kind: Kind,
    /// Resident, before.
    pub before_bytes: Bytes,
    /// Resident, after.
    pub after_bytes: Bytes,
    /// The difference.
    pub change_bytes: Bytes,
}

/// A type of objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TypeChange {
    /// `module.qualified.Name`
    pub name: String,
    /// Objects before.
    pub before_count: u64,
    /// Objects after.
    pub after_count: u64,
    /// The difference.
    pub change_count: i64,
    /// The difference of their bytes.
    pub change_bytes: Bytes,
}

/// Compares two snapshots.
#[must_use]
pub fn between(before: &Snapshot, after: &Snapshot) -> Difference {
    let mut notes = Vec::new();
    if before.pid != after.pid || before.command != after.command {
        notes.push("The two are of different processes.".to_owned());
    }
    if before.python != after.python {
        notes.push(format!(
            "The first runs CPython {}, the second {}.",
            before.python, after.python
        ));
    }
    if before.census.is_none() || after.census.is_none() {
        notes.push("One of the two has no census of objects.".to_owned());
    }
    Difference {
        schema: SCHEMA,
        before: moment(before),
        after: moment(after),
        rss_change_bytes: after.rss_bytes - before.rss_bytes,
        rows: rows(before, after),
        types: types(before, after),
        notes,
    }
}

fn moment(snapshot: &Snapshot) -> Moment {
    Moment {
        pid: snapshot.pid,
        command: snapshot.command.clone(),
        taken_at: snapshot.taken_at.clone(),
        rss_bytes: snapshot.rss_bytes,
        objects: snapshot.census.as_ref().map(|census| census.objects),
    }
}

fn rows(before: &Snapshot, after: &Snapshot) -> Vec<RowChange> {
    let mut kinds: BTreeMap<Kind, (Bytes, Bytes)> = BTreeMap::new();
    for row in &before.rows {
        kinds.entry(row.kind).or_default().0 += row.rss_bytes;
    }
    for row in &after.rows {
        kinds.entry(row.kind).or_default().1 += row.rss_bytes;
    }
    let mut rows: Vec<RowChange> = kinds
        .into_iter()
        .map(|(kind, (before, after))| RowChange {
            kind,
            before_bytes: before,
            after_bytes: after,
            change_bytes: after - before,
        })
        .collect();
    rows.sort_by_key(|row| (-row.change_bytes, row.kind));
    rows
}

fn types(before: &Snapshot, after: &Snapshot) -> Vec<TypeChange> {
    let (Some(earlier), Some(later)) = (&before.census, &after.census) else {
        return Vec::new();
    };
    let mut names: BTreeMap<&str, [(u64, Bytes); 2]> = BTreeMap::new();
    for (at, census) in [earlier, later].into_iter().enumerate() {
        for row in &census.types {
            let known = &mut names.entry(&row.name).or_default()[at];
            *known = (known.0 + row.count, known.1 + row.size_bytes);
        }
    }
    let mut types: Vec<TypeChange> = names
        .into_iter()
        .filter(|(_, [before, after])| before != after)
        .map(|(name, [before, after])| TypeChange {
            name: name.to_owned(),
            before_count: before.0,
            after_count: after.0,
            change_count: after.0.cast_signed().saturating_sub(before.0.cast_signed()),
            change_bytes: after.1 - before.1,
        })
        .collect();
    types.sort_by(|a, b| {
        let by = |it: &TypeChange| (-it.change_bytes, -i128::from(it.change_count));
        by(a).cmp(&by(b)).then_with(|| a.name.cmp(&b.name))
    });
    types
}
