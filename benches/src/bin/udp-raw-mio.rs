//! Contender for datagrams: raw-mio.
//!
//! `udp-raw-mio --listen 127.0.0.1:0 [--segments]`
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;
use wharf_benches::servers::udp_raw_mio;

fn main() -> ExitCode {
    wharf_benches::exit_code(
        Arguments::from_environment()
            .and_then(udp_raw_mio::Options::from_arguments)
            .and_then(udp_raw_mio::run),
    )
}
