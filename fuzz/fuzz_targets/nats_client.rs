//! What a client of NATS reads: see `wharf_fuzz::nats`.
#![forbid(unsafe_code)]
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wharf_fuzz::nats::client(data));

#[cfg(not(fuzzing))]
fn main() {
    wharf_fuzz::run_files(wharf_fuzz::nats::client);
}
