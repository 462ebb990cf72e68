//! Any bytes as a record of the kernel side.

#![no_main]

#[path = "../../tests/parsing/replay.rs"]
#[expect(dead_code, reason = "what the other targets use")]
mod replay;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    replay::event(bytes);
});
