//! A client of the executor that submits tasks that do nothing.
//!
//! ```text
//! executor-load --connect ADDRESS [--tasks 100000] [--in-flight 2000] [--together 100] [--kind nothing]
//!     [--warm-up 1000] [--controlled]
//! ```
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;

fn main() -> ExitCode {
    wharf_benches::exit_code(Arguments::from_environment().and_then(wharf_benches::executor::run))
}
