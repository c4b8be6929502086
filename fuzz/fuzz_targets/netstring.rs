//! Netstrings: see `wharf_fuzz::netstring`.
#![forbid(unsafe_code)]
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wharf_fuzz::netstring::run(data));

#[cfg(not(fuzzing))]
fn main() {
    wharf_fuzz::run_files(wharf_fuzz::netstring::run);
}
