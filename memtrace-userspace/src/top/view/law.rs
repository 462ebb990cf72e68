//! The reconciliation law in one line, as long as fits, in figures that do add up.

use crate::profile::{Memory, ProcessProfile};
use crate::report::figures::{mib, mib_of};
use crate::report::law_terms;

/// The sum for a process within `columns`, and whether it holds.
pub(super) fn sum(process: &ProcessProfile, several: bool, columns: usize) -> (String, bool) {
    let gap = process.law_gap();
    if gap != Memory::ZERO {
        let bytes = gap.total().0;
        return (format!("!! rows and RSS differ by {bytes} bytes: please report it"), false);
    }
    let terms =
        [process.before.total(), process.attributed().total(), process.unattributed_net().total()];
    let sizes = law_terms(&terms);
    let [before, lines, unattributed] = std::array::from_fn(|at| mib_of(sizes[at]));
    let now = mib(process.after.total());
    let whose = if several { format!("{}: ", process.pid) } else { String::new() };
    let forms = [
        format!(
            "{whose}before attach {before} + lines {lines} + unattributed {unattributed} = RSS now \
             {now} MiB"
        ),
        format!("{whose}before {before} + lines {lines} + unattr. {unattributed} = RSS {now} MiB"),
        format!("{whose}{before} + {lines} + {unattributed} = {now} MiB"),
    ];
    let fits = |form: &String| form.chars().count() <= columns;
    let form = forms.iter().find(|form| fits(form)).unwrap_or(&forms[2]);
    (form.clone(), true)
}
