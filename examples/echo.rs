//! The smallest server: it sends back whatever it receives.
//!
//! ```text
//! cargo run --release --example echo -- --listen 127.0.0.1:7000
//! ```
//!
//! Then, in a second terminal, `nc 127.0.0.1 7000`, and type.
#![forbid(unsafe_code)]

#[path = "support/command_line.rs"]
mod command_line;
#[path = "support/serving.rs"]
mod serving;

use std::process::ExitCode;

use lexopt::ValueExt;
use wharf::{EventLoop, Protocol, Result, Transport};

use self::serving::{Listen, serve_until_signal};

const USAGE: &str = "
Sends back whatever it receives, until SIGINT or SIGTERM.

usage: echo --listen ADDRESS    such as 127.0.0.1:7000, or :7000 for all interfaces
       echo --unix PATH         a Unix socket
";

/// One value of this type is made for each connection. It needs to remember nothing.
struct Echo;

impl Protocol for Echo {
    /// The loop calls this whenever bytes have arrived. Writing never waits: what the peer does not
    /// take yet is queued, and the loop stops reading from a peer that takes nothing, so that the
    /// queue stays short.
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

fn main() -> ExitCode {
    command_line::run(USAGE, |mut arguments| {
        let mut listen = None;
        while let Some(argument) = arguments.next()? {
            listen = Some(match argument {
                lexopt::Arg::Long("listen") => Listen::Address(arguments.value()?.string()?),
                lexopt::Arg::Long("unix") => Listen::Unix(arguments.value()?.into()),
                other => return Err(other.unexpected().into()),
            });
        }
        serve(listen.ok_or(lexopt::Error::from("--listen ADDRESS or --unix PATH is missing"))?)
    })
}

fn serve(listen: Listen) -> Result {
    let event_loop = EventLoop::new()?;
    event_loop.run(async |event_loop| {
        let server = match listen {
            Listen::Address(address) => event_loop.create_server(|| Echo, address).await?,
            Listen::Unix(path) => event_loop.create_unix_server(|| Echo, path).await?,
        };
        serve_until_signal(server).await
    })
}
