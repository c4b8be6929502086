//! What a test needs of the machine that not every machine has.

use std::io::{Write, stderr};

/// Says on standard error that the running test is skipped, and what it needs.
///
/// # Panics
/// With `CI` set: `.ci/run` installs everything, so nothing may be missing there.
pub fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "this test needs {what}");
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Not `eprintln!`, whose text libtest keeps to itself when the test passes.
    let _ = writeln!(stderr(), "{test}: skipped, needs {what}");
}
