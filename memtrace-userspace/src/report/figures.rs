//! Numbers as tables print them.
//!
//! Bytes become MiB with three decimals, in whole numbers throughout, so that what is printed can be
//! added up again. Knows nothing of columns or of what the numbers mean.

use crate::units::{Bytes, Nanos};

/// `bytes` in thousandths of a MiB, halves to the even neighbour as `{:.3}` does.
pub(crate) fn thousandths(bytes: Bytes) -> i128 {
    let scaled = i128::from(bytes.0) * 1000;
    let below = scaled >> 20;
    let rest = scaled - (below << 20);
    let half = 1 << 19;
    if rest > half || (rest == half && below % 2 != 0) { below + 1 } else { below }
}

/// Thousandths of a MiB as `12.345`.
pub(crate) fn mib_of(thousandths: i128) -> String {
    let sign = if thousandths < 0 { "-" } else { "" };
    let size = thousandths.unsigned_abs();
    format!("{sign}{}.{:03}", size / 1000, size % 1000)
}

/// `12.345`: for columns whose heading names the unit.
pub(crate) fn mib(bytes: Bytes) -> String {
    mib_of(thousandths(bytes))
}

/// `12.345 MiB`
pub(crate) fn mib_unit(bytes: Bytes) -> String {
    format!("{} MiB", mib(bytes))
}

/// `12.345 s`, below a second `12.345 ms`.
pub(crate) fn duration(time: Nanos) -> String {
    if time.0 >= 1_000_000_000 {
        format!("{:.3} s", time.seconds())
    } else {
        format!("{:.3} ms", time.seconds() * 1e3)
    }
}

/// `1 line`, `2 lines`
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_printed_as_mib_with_three_decimals() {
        let check = |bytes: i64, text: &str| assert_eq!(mib(Bytes(bytes)), text);
        check(0, "0.000");
        check(1 << 20, "1.000");
        check(-(1 << 20), "-1.000");
        check(4096, "0.004"); // 1/256 = 0.00390625
        check(-4096, "-0.004");
        check(100, "0.000"); // 0.0000954: nothing to see, and so no sign either
        check(-100, "0.000");
        check(16 * 4096, "0.062"); // 0.0625, to the even neighbour
        check((2 << 40) + (1 << 19), "2097152.500"); // 2 TiB and half a MiB
        check(-(2 << 40), "-2097152.000");
        check(i64::MIN, "-8796093022208.000"); // 2^63 / 2^20 = 2^43
    }

    #[test]
    fn whole_number_rounding_agrees_with_the_float_of_units() {
        for pages in -5000..5000 {
            let bytes = Bytes::from_pages(pages);
            assert_eq!(mib_unit(bytes), bytes.to_string());
        }
    }
}
