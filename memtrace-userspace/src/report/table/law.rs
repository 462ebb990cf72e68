//! The reconciliation law, written out as a sum.
//!
//! Once in MiB, rounded so that what is printed does add up, and once in bytes, exactly. A remainder
//! is never hidden: if the law is broken, the sum holds the gap as a term and a line of its own
//! says by how much.

use std::io::{self, Write};

use crate::profile::{Ending, Memory, ProcessProfile};
use crate::report::figures::{mib_of, thousandths};
use crate::units::Bytes;

/// Writes the two or three lines of the sum, each behind `label` or as many blanks.
pub(super) fn write(out: &mut dyn Write, label: &str, process: &ProcessProfile) -> io::Result<()> {
    let gap = process.law_gap();
    let now = process.after.total();
    let mut terms = vec![
        ("before attach", process.before.total()),
        ("lines", process.attributed().total()),
        ("unattributed", process.unattributed_net().total()),
    ];
    if gap.total() != Bytes::ZERO {
        terms.push(("UNEXPLAINED", gap.total()));
    }
    let when = when(process.ending);
    let rounded = rounded(&terms.iter().map(|(_, bytes)| *bytes).collect::<Vec<_>>());
    let names = terms.iter().zip(rounded);
    let sum: Vec<_> =
        names.map(|((name, _), size)| format!("{name} {} MiB", mib_of(size))).collect();
    let total = mib_of(thousandths(now));
    writeln!(out, "{label}{} = {when} {total} MiB", sum.join(" + "))?;

    let exact: Vec<_> = terms.iter().map(|(_, bytes)| bytes.0.to_string()).collect();
    let indent = " ".repeat(label.len());
    writeln!(out, "{indent}in bytes: {} = {}", exact.join(" + "), now.0)?;

    if gap != Memory::ZERO {
        writeln!(
            out,
            "\n  !! THE SUM DOES NOT ADD UP: rows and RSS differ by {} bytes (anon {:+}, file {:+}, \
             shmem {:+}).\n  !! The figures below are wrong by as much. This is a fault of memtrace: \
             please report it.\n",
            gap.total().0,
            gap.anon.0,
            gap.file.0,
            gap.shmem.0,
        )?;
    }
    Ok(())
}

/// What the law's right side is called.
pub(in crate::report) fn when(ending: Ending) -> &'static str {
    match ending {
        Ending::Running => "RSS now",
        Ending::Exited => "RSS at its end",
        Ending::Execed => "RSS at its exec",
    }
}

/// Terms in thousandths of a MiB that add up to their rounded total.
///
/// The first (what the lines above show too) is rounded on its own; the largest of the others takes
/// what rounding leaves, at most two thousandths: nothing at its size.
pub(crate) fn rounded(terms: &[Bytes]) -> Vec<i128> {
    let mut sizes: Vec<_> = terms.iter().map(|bytes| thousandths(*bytes)).collect();
    let total = thousandths(terms.iter().copied().sum());
    let left: i128 = total - sizes.iter().sum::<i128>();
    let largest = sizes.iter_mut().skip(1).max_by_key(|size| size.unsigned_abs());
    if let Some(size) = largest {
        *size += left;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounded_terms_add_up_and_stay_close() {
        // Pages of 1/256 MiB: 3.90625 thousandths each, so rounding leaves something nearly always.
        for seed in 0_i64..4000 {
            let terms = [seed * 7 % 509, seed * 31 % 97 - 20, seed * 13 % 61 - 30, seed % 3];
            let terms = terms.map(Bytes::from_pages);
            let sizes = rounded(&terms);
            let total = terms.iter().copied().sum();
            assert_eq!(sizes.iter().sum::<i128>(), thousandths(total));
            assert_eq!(sizes[0], thousandths(terms[0]));
            for (size, bytes) in sizes.iter().zip(terms) {
                assert!((size - thousandths(bytes)).abs() <= 2, "{terms:?} became {sizes:?}");
            }
        }
    }
}
