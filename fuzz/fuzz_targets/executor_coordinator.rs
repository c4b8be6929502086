//! What a coordinator of tasks hears: see `wharf_fuzz::executor::coordinator`.
#![forbid(unsafe_code)]
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wharf_fuzz::executor::coordinator(data));

#[cfg(not(fuzzing))]
fn main() {
    wharf_fuzz::run_files(wharf_fuzz::executor::coordinator);
}
