//! What bytes through a pipe cost: wharf beside tokio, and by hand.
//!
//! ```text
//! cargo run --profile release-lto -p wharf-benches --bin pipes -- [--rounds 15] [--writes 4096]
//! strace -fc target/release-lto/pipes --only wharf
//! ```
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;

fn main() -> ExitCode {
    wharf_benches::exit_code(Arguments::from_environment().and_then(wharf_benches::pipes::run))
}
