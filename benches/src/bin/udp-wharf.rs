//! Contender for datagrams: wharf.
//!
//! `udp-wharf --listen 127.0.0.1:0 [--offload] [--batches]`
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;
use wharf_benches::servers::udp_wharf;

fn main() -> ExitCode {
    wharf_benches::exit_code(
        Arguments::from_environment()
            .and_then(udp_wharf::Options::from_arguments)
            .and_then(udp_wharf::run),
    )
}
