//! How the servers among the examples begin and end.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Parser, ValueExt as _};
use wharf::{Result, Server};

use crate::command_line::{listen_address, path, program_name};
use crate::stopping::stop_signal;

/// Where to listen.
#[derive(Debug)]
pub enum Listen {
    /// On TCP, at `HOST:PORT`.
    Address(String),
    /// On a Unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// What follows `--listen`.
    pub fn address(arguments: &mut Parser) -> Result<Self> {
        Ok(Self::Address(arguments.value()?.parse_with(listen_address)?))
    }

    /// What follows `--unix`.
    pub fn unix(arguments: &mut Parser) -> Result<Self> {
        Ok(Self::Unix(arguments.value()?.parse_with(path)?))
    }
}

/// How long connections have to come to an end after the signal.
pub const GRACE: Duration = Duration::from_secs(5);

/// Says where the server listens, serves until SIGINT or SIGTERM, then drains: nobody new is
/// accepted, what is written is sent, and what is still open after [`GRACE`] is aborted.
///
/// # Errors
/// Some had to be aborted.
pub async fn serve_until_signal(server: Server) -> Result {
    let closed = server.clone();
    let stopped = stop_signal(&server.event_loop())?;
    stopped.add_done_callback(move |_| closed.close());
    announce(&server);
    server.serve_forever().await?;
    drain(&server, GRACE).await
}

/// Says where the server listens: whoever waits for this line may connect, or send a signal.
pub fn announce(server: &Server) {
    for address in server.addresses() {
        // Nobody may be reading: that is no failure.
        let _ = writeln!(io::stdout(), "listening on {address}");
    }
}

/// Waits for the connections to end, and aborts those that are left after `grace`.
///
/// # Errors
/// Some had to be aborted.
pub async fn drain(server: &Server, grace: Duration) -> Result {
    let waiting = server.clone();
    let notice = server.event_loop().call_later(SILENCE, move || {
        let (name, open) = (program_name(), waiting.connections());
        let text = format!(
            "{name}: waiting for {open} connections to end, {grace:?} at most; another signal ends \
             them at once"
        );
        let _ = writeln!(io::stderr(), "{text}");
    });
    let left = server.shutdown(grace).await?;
    notice.cancel();
    match left {
        0 => Ok(()),
        left => Err(format!("{left} connections had to be cut off").into()),
    }
}

/// After this time it says what it is waiting for.
const SILENCE: Duration = Duration::from_millis(500);
