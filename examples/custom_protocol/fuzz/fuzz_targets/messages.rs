//! The fuzz target: see `../messages.rs`.
#![no_main]

#[path = "../messages.rs"]
mod messages;

libfuzzer_sys::fuzz_target!(|data: &[u8]| messages::run(data));
