//! The law in one line, for formats that have room for a sentence only.
//!
//! The table writes it out at length ([`table`](super::table)); this uses its words and its rounding.

use super::figures::mib_of;
use super::figures::thousandths;
use super::table::law::{rounded, when};
use crate::profile::{Ending, Memory, ProcessProfile, Profile};
use crate::units::Bytes;

/// `before attach 12582912 + lines 40370176 + unattributed 1310720 = RSS now 54263808 bytes`
pub(super) fn in_bytes(process: &ProcessProfile) -> String {
    let terms = terms(std::slice::from_ref(process));
    let sum: Vec<_> = terms.iter().map(|(name, bytes)| format!("{name} {}", bytes.0)).collect();
    format!("{} = {} {} bytes", sum.join(" + "), when(process.ending), process.after.total().0)
}

/// The same in MiB for all processes together:
/// `before attach 12.000 + lines 38.500 + unattributed 1.250 = RSS now 51.750 MiB`
pub(super) fn in_mib(profile: &Profile) -> String {
    let terms = terms(&profile.processes);
    let sizes = rounded(&terms.iter().map(|(_, bytes)| *bytes).collect::<Vec<_>>());
    let names = terms.iter().zip(sizes);
    let sum: Vec<_> = names.map(|((name, _), size)| format!("{name} {}", mib_of(size))).collect();
    let now = profile.processes.iter().map(|process| process.after.total()).sum();
    let when = match profile.processes.as_slice() {
        [process] => when(process.ending),
        many if many.iter().all(|process| process.ending == Ending::Running) => "RSS now",
        _ => "RSS in the end",
    };
    format!("{} = {when} {} MiB", sum.join(" + "), mib_of(thousandths(now)))
}

/// The terms of the law's left side, the gap among them where there is one.
fn terms(processes: &[ProcessProfile]) -> Vec<(&'static str, Bytes)> {
    let sum = |figure: fn(&ProcessProfile) -> Bytes| processes.iter().map(figure).sum();
    let mut terms = vec![
        ("before attach", sum(|process| process.before.total())),
        ("lines", sum(|process| process.attributed().total())),
        ("unattributed", sum(|process| process.unattributed_net().total())),
    ];
    // Gaps of two kinds of memory may cancel out; the law is broken all the same.
    if processes.iter().any(|process| process.law_gap() != Memory::ZERO) {
        terms.push(("UNEXPLAINED", sum(|process| process.law_gap().total())));
    }
    terms
}
