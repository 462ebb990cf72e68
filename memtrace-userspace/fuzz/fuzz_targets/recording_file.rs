//! Any bytes as a file. Checksums stop most of it early; `recording_entries` goes behind them.

#![no_main]

#[path = "../../tests/recording/replay.rs"]
#[expect(dead_code, reason = "what the other targets use")]
mod replay;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    replay::file(bytes);
});
