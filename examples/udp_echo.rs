//! The smallest UDP server: it sends every datagram back to where it came from.
//!
//! ```text
//! cargo run --release --example udp_echo -- --listen 127.0.0.1:7000
//! ```
//!
//! Then, in a second terminal, `nc -u 127.0.0.1 7000`, and type.
#![forbid(unsafe_code)]

#[path = "support/command_line.rs"]
mod command_line;
#[path = "support/endpoint.rs"]
mod endpoint;

use std::process::ExitCode;

use lexopt::ValueExt;
use wharf::{Address, DatagramProtocol, DatagramTransport, EventLoop, Result};

use self::endpoint::run_until_signal;

const USAGE: &str = "
Sends every datagram back to where it came from, until SIGINT or SIGTERM.

usage: udp_echo --listen ADDRESS    such as 127.0.0.1:7000, or :7000 for all interfaces
       udp_echo --unix PATH         a Unix datagram socket
";

/// One value of this type serves everybody: datagrams come without connections.
struct Echo;

impl DatagramProtocol for Echo {
    /// The loop calls this for every datagram. What is sent here goes out together with the answers
    /// to all other datagrams that came in at the same time.
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
    command_line::run(USAGE, |mut arguments| {
        let event_loop = EventLoop::new()?;
        let mut builder = None;
        while let Some(argument) = arguments.next()? {
            let endpoint = event_loop.create_datagram_endpoint(|| Echo);
            builder = Some(match argument {
                lexopt::Arg::Long("listen") => endpoint.local_address(arguments.value()?.string()?),
                lexopt::Arg::Long("unix") => {
                    endpoint.local_unix_address(arguments.value()?.string()?)
                }
                other => return Err(other.unexpected().into()),
            });
        }
        let missing = lexopt::Error::from("--listen ADDRESS or --unix PATH is missing");
        let builder = builder.ok_or(missing)?;
        event_loop.run(async |_| run_until_signal(builder.await?.handle()).await)
    })
}
