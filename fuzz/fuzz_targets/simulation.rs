//! Simulated networks: see `wharf_fuzz::simulation`.
#![forbid(unsafe_code)]
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wharf_fuzz::simulation::run(data));

#[cfg(not(fuzzing))]
fn main() {
    wharf_fuzz::run_files(wharf_fuzz::simulation::run);
}
