//! Any bytes as memory with thread states and frames in it.

#![no_main]

#[path = "../../tests/parsing/replay.rs"]
#[expect(dead_code, reason = "what the other targets use")]
mod replay;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    replay::frames(bytes);
});
