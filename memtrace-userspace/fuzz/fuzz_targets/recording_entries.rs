//! Any bytes as the entries of a file that is right otherwise.

#![no_main]

#[path = "../../tests/recording/replay.rs"]
#[expect(dead_code, reason = "what the other targets use")]
mod replay;

libfuzzer_sys::fuzz_target!(|stream: &[u8]| {
    replay::entries(stream);
});
