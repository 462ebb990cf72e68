//! Whether to colour what is printed: on terminals, unless told not to.
//!
//! It knows no colours.

/// Whether to. `NO_COLOR` (set, to anything but nothing) and `TERM=dumb` say no.
#[must_use]
pub fn wanted(on_terminal: bool) -> bool {
    let says_no = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    on_terminal && !says_no && !is_dumb
}
