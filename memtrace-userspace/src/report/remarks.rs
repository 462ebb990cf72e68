//! What to know of figures that are not the whole of what was counted, for formats that have no room for
//! intervals: the table, JSON and CSV have those. Two hyphens in a row would end a comment of XML.

use super::figures::mib_unit;
use super::measure::Measure;
use crate::profile::{ProcessProfile, Profile, Reason};

/// Sentences about a process; none where its figures are whole.
pub(crate) fn of(process: &ProcessProfile) -> Vec<String> {
    of_walks(process).into_iter().chain(of_blocks(process)).collect()
}

/// Of its RSS, where not every stack was walked.
pub(crate) fn of_walks(process: &ProcessProfile) -> Option<String> {
    let thinned = process.thinned()?;
    Some(format!(
        "the stacks of {:.1} % of its changes of RSS were walked. Lines have what was measured there, which is \
         less than they grew; {} of what the others came to is in the row `{}`. The table \
         report estimates each line's whole",
        100.0 * thinned.walked(),
        mib_unit(thinned.net),
        Reason::NotWalked.as_str()
    ))
}

/// The same of all processes of a side of a comparison.
pub(crate) fn of_side(profile: &Profile) -> Vec<String> {
    let of = |process: &ProcessProfile| {
        of_walks(process).map(|remark| format!("process {}: {remark}", process.pid))
    };
    profile.processes.iter().filter_map(of).collect()
}

/// Of its blocks, where the allocator lens did not look all the time.
fn of_blocks(process: &ProcessProfile) -> Option<String> {
    let lens = process.lens.as_ref().filter(|lens| !lens.is_exact())?;
    Some(format!(
        "allocations were recorded in {:.1} % of its time: what was allocated, and what is live, is estimated. \
         The table report has the intervals",
        100.0 * lens.part()
    ))
}

/// Whether lines of RSS are less than what they grew, in any process.
pub(crate) fn are_thinned(profile: &Profile) -> bool {
    profile.processes.iter().any(|process| process.thinned().is_some())
}

/// Whether figures of blocks are estimates, in any process.
pub(crate) fn are_estimated(profile: &Profile) -> bool {
    profile.processes.iter().any(|process| of_blocks(process).is_some())
}

/// The same in a word or two, for the title of a figure.
pub(crate) fn in_brief(profile: &Profile, measure: Measure) -> &'static str {
    match measure {
        Measure::Grown | Measure::Net | Measure::Resident if are_thinned(profile) => {
            " (as measured: not every stack was walked)"
        }
        Measure::Allocated | Measure::Allocations | Measure::Live if are_estimated(profile) => {
            " (estimated)"
        }
        // Events are counted, each in a line or in the row of those that were not walked.
        _ => "",
    }
}
