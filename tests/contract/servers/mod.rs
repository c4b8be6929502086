//! Servers and accepting: section J of the guarantees.

mod accepting;
mod closing;
mod draining;
mod errors;
mod ownership;
mod serve_forever;
mod shutdown;
mod sockets;
mod unix;

use std::io::Read;
use std::net::TcpStream;
use std::path::Path;

use wharf::{EventLoop, Result, Transport};

use crate::serving::{LIMIT, Seen, until};

const MUCH: usize = 1_000_000;

/// Connects, and gives what reading to the end brings.
fn read_to_end(mut client: TcpStream) -> std::io::Result<Vec<u8>> {
    client.set_read_timeout(Some(LIMIT))?;
    let mut all = Vec::new();
    client.read_to_end(&mut all).map(|_| all)
}

/// Checks that `path` leads to a server that echoes.
async fn check_echo(event_loop: &EventLoop, path: &Path) -> Result {
    let seen = Seen::new();
    let client = event_loop.create_unix_connection(seen.watcher(), path).await?;
    client.with(|_, transport| transport.write(b"hello"))?;
    until(event_loop, "the echo", || *seen.received.borrow() == b"hello").await;
    client.handle().close();
    Ok(())
}
