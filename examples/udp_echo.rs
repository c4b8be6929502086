//! The smallest UDP server: it sends every datagram back to where it came from.
//!
//! ```text
//! cargo run --release --example udp_echo -- --listen 127.0.0.1:7000
//! ```
//!
//! Then, in a second terminal, `nc -u 127.0.0.1 7000`, and type.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lexopt::Arg;
use wharf::{Address, DatagramProtocol, DatagramTransport, Result};

use wharf_examples::command_line::{missing, run, set_once};
use wharf_examples::endpoint::run_until_signal;
use wharf_examples::serving::Listen;

const USAGE: &str = "
Sends every datagram back to where it came from, until SIGINT or SIGTERM.

usage: udp_echo --listen ADDRESS    such as 127.0.0.1:7000, or :7000 for all interfaces
       udp_echo --unix PATH         a Unix datagram socket
";

/// One value of this type serves everybody: datagrams come without connections.
struct Echo;

impl DatagramProtocol for Echo {
    /// The loop calls this for every datagram. The answers to all datagrams that came in at the same
    /// time go out together.
    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result {
        transport.send_to(data, from)?;
        Ok(())
    }
}

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let mut listen = None;
        while let Some(argument) = arguments.next()? {
            let place = match argument {
                Arg::Long("listen") => Listen::address(&mut arguments)?,
                Arg::Long("unix") => Listen::unix(&mut arguments)?,
                other => return Err(other.unexpected().into()),
            };
            set_once(&mut listen, place)?;
        }
        let listen = listen.ok_or_else(|| missing("--listen ADDRESS or --unix PATH"))?;
        wharf::run(async |event_loop| {
            let endpoint = event_loop.create_datagram_endpoint(|| Echo);
            let endpoint = match listen {
                Listen::Address(address) => endpoint.local_address(address).await?,
                Listen::Unix(path) => endpoint.local_unix_address(path).await?,
            };
            run_until_signal(endpoint.handle()).await
        })
    })
}
