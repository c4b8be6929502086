//! The load generator.
//!
//! ```text
//! load echo    --connect ADDRESS [--connections 50] [--size 64] [--in-flight 1] [--messages 100000] [--warm-up 5000] [--tls] [--timed]
//! load churn   --connect ADDRESS [--concurrent 50] [--connections 10000] [--size 64] [--warm-up 500] [--tls] [--resume]
//! load idle    --connect ADDRESS [--connections 10000] [--first 100] [--size 64] [--tls] [--speech bytes]
//! load udp     --connect ADDRESS [--size 64] [--in-flight 64] [--messages 100000] [--warm-up 5000]
//! load http    --connect ADDRESS [--connections 50] [--in-flight 1] [--requests 100000] [--warm-up 5000]
//! load websocket --connect ADDRESS [--connections 50] [--size 64] [--in-flight 1] [--messages 100000] [--warm-up 5000] [--deflate]
//! load latency --connect ADDRESS [--messages 50000] [--size 64] [--warm-up 2000]
//! load receive --connect ADDRESS [--mib 1024]
//! load storm   --connect ADDRESS [--connections 50] [--handshakes 2000] [--size 64]
//! ```
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;

fn main() -> ExitCode {
    wharf_benches::exit_code(Arguments::from_environment().and_then(wharf_benches::load::run))
}
