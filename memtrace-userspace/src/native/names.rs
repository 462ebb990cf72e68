//! Names of native functions as their source has them.
//!
//! A mangled name can say in a hundred bytes what takes gigabytes to write down (parts that are named again and again), so
//! no more is written than a name may have.

use std::fmt::{self, Write};

use super::limits::MAX_NAME;

/// Additions by which gcc tells parts and copies of one function apart.
const PARTS: [&str; 5] = [".cold", ".part.", ".constprop.", ".isra.", ".lto_priv."];

/// A symbol as its source has it; as it is when that is too long.
pub(super) fn readable(symbol: &str) -> String {
    let first = PARTS.iter().filter_map(|part| symbol.find(part)).min();
    let symbol = first.filter(|at| *at > 0).map_or(symbol, |at| &symbol[..at]);
    let end = symbol.floor_char_boundary(MAX_NAME);
    let symbol = &symbol[..end];
    demangled(symbol).unwrap_or_else(|| symbol.to_owned())
}

fn demangled(symbol: &str) -> Option<String> {
    let mut name = Short::default();
    if let Ok(rust) = rustc_demangle::try_demangle(symbol) {
        return write!(name, "{rust:#}").is_ok().then_some(name.text);
    }
    let symbol = cpp_demangle::Symbol::new(symbol).ok()?;
    let written = symbol.structured_demangle(&mut name, &cpp_demangle::DemangleOptions::default());
    written.is_ok().then_some(name.text)
}

/// Takes a name, and refuses what is longer.
#[derive(Default)]
struct Short {
    text: String,
    parts: usize,
}

impl fmt::Write for Short {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        // Empty parts are counted, too: they take time.
        self.parts += 1;
        if self.text.len() + part.len() > MAX_NAME || self.parts > MAX_NAME {
            return Err(fmt::Error);
        }
        self.text.push_str(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_read_as_their_source_has_them() {
        assert_eq!(readable("_int_malloc"), "_int_malloc");
        assert_eq!(readable("list_resize.part.0.cold"), "list_resize");
        assert_eq!(
            readable("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"),
            "core::fmt::Write::write_fmt"
        );
        assert_eq!(
            readable("_ZNSt6vectorIiSaIiEE7reserveEm"),
            "std::vector<int, std::allocator<int> >::reserve(unsigned long)"
        );
        assert_eq!(readable(".cold"), ".cold");
    }

    /// Each argument has the one before it twice: the last of them would have 2 to the 35th names.
    #[test]
    fn a_name_that_doubles_itself_stays_as_it_is() {
        let doubled = |times: usize| {
            let digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".chars();
            let again = digits.take(times).map(|last| format!("S_IS{last}_S{last}_E"));
            format!("_Z1f1AIiiE{}", again.collect::<String>())
        };
        assert_eq!(readable(&doubled(1)), "f(A<int, int>, A<A<int, int>, A<int, int> >)");
        assert_eq!(readable(&doubled(34)), doubled(34));
    }
}
