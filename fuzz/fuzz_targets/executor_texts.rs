//! What the task executor reads besides messages: see `wharf_fuzz::executor::texts`.
#![forbid(unsafe_code)]
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wharf_fuzz::executor::texts(data));

#[cfg(not(fuzzing))]
fn main() {
    wharf_fuzz::run_files(wharf_fuzz::executor::texts);
}
