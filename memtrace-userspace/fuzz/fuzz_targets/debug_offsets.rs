//! Any bytes as what an interpreter says of its own offsets and version.

#![no_main]

#[path = "../../tests/parsing/replay.rs"]
#[expect(dead_code, reason = "what the other targets use")]
mod replay;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    replay::debug_offsets(bytes);
});
