//! Any bytes as a code object's line table.

#![no_main]

#[path = "../../tests/parsing/replay.rs"]
#[expect(dead_code, reason = "what the other targets use")]
mod replay;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    replay::line_table(bytes);
});
