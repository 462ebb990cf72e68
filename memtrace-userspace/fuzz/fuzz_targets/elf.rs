//! Any bytes as an ELF file.

#![no_main]

#[path = "../../tests/parsing/replay.rs"]
#[expect(dead_code, reason = "what the other targets use")]
mod replay;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = replay::elf(bytes);
});
