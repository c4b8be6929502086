//! An echo server that is replaced while it serves: start it again with the same control path, and
//! the new process takes the place of the old one. No client is refused, and none is cut off.
//!
//! ```text
//! cargo run --release --example hot_restart -- --listen 127.0.0.1:7000 --control /tmp/hot_restart
//! ```
//!
//! Then the same in a second terminal, as often as you like, with clients at work meanwhile.
#![forbid(unsafe_code)]

#[path = "support/command_line.rs"]
mod command_line;
#[path = "support/serving.rs"]
#[allow(dead_code, reason = "every example uses a part of it")]
mod serving;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::ValueExt;
use wharf::{EventLoop, Protocol, Result, Server, Transport};

use self::serving::serve_until_signal;

const USAGE: &str = "
Sends back whatever it receives, until SIGINT or SIGTERM, or until it is started again.

usage: hot_restart --listen ADDRESS --control PATH

  --listen   where the first one listens; its successors go on there
  --control  the Unix socket over which one hands over to the next
";

/// By this name one process tells the next what its listeners are for.
const NAME: &str = "echo";

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }

    /// Whoever is connected may finish what it has begun, as long as the server waits for it.
    fn shutting_down(&mut self, _: &dyn Transport) -> Result {
        Ok(())
    }
}

fn main() -> ExitCode {
    command_line::run(USAGE, |mut arguments| {
        let (mut listen, mut control) = (None, None);
        while let Some(argument) = arguments.next()? {
            match argument {
                lexopt::Arg::Long("listen") => listen = Some(arguments.value()?.string()?),
                lexopt::Arg::Long("control") => control = Some(arguments.value()?.into()),
                other => return Err(other.unexpected().into()),
            }
        }
        let missing = |what: &str| lexopt::Error::from(format!("{what} is missing"));
        serve(
            listen.ok_or_else(|| missing("--listen ADDRESS"))?,
            control.ok_or_else(|| missing("--control PATH"))?,
        )
    })
}

fn serve(listen: String, control: PathBuf) -> Result {
    let event_loop = EventLoop::new()?;
    event_loop.run(async |event_loop| {
        let server = begin(&event_loop, listen, control).await?;
        // It ends with a signal, or when a successor serves; either way those who are connected have
        // some seconds to finish.
        serve_until_signal(server).await
    })
}

/// In the place of a running process, or as the first.
async fn begin(event_loop: &EventLoop, listen: String, control: PathBuf) -> Result<Server> {
    if let Some(mut inherited) = event_loop.take_over(&control).await? {
        let listeners = inherited.take_listeners(NAME);
        let server = event_loop.create_server_on(|| Echo, listeners).await?;
        inherited.serving([(NAME, &server)]).await?;
        writeln!(io::stdout(), "taken over")?;
        return Ok(server);
    }
    let server = event_loop.create_server(|| Echo, listen).await?;
    event_loop.offer_handover(&control, [(NAME, &server)]).await?;
    Ok(server)
}
