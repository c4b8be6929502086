//! The proxy as tokio's documentation writes it.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::TcpStream;

use crate::Result;
use crate::arguments::Arguments;
use crate::servers::on_tokio;

/// What `copy_bidirectional` uses unless told otherwise, in bytes.
const BUFFER: usize = 8 * 1024;

/// What the relay can be told.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where to connect to.
    pub connect: SocketAddr,
    /// The size of the buffer of each direction, in bytes.
    pub buffer: usize,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let options = Self {
            listen: arguments.required("--listen")?,
            connect: arguments.required("--connect")?,
            buffer: arguments.option_or("--buffer", BUFFER)?,
        };
        arguments.finish()?;
        Ok(options)
    }
}

/// Relays until SIGTERM.
///
/// # Errors
/// Listening or accepting fails.
pub fn run(options: Options) -> Result {
    on_tokio::serve(options.listen, move |client| relay(client, options))
}

async fn relay(mut client: TcpStream, options: Options) -> std::io::Result<()> {
    let mut upstream = TcpStream::connect(options.connect).await?;
    client.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let size = options.buffer;
    copy_bidirectional_with_sizes(&mut client, &mut upstream, size, size).await?;
    Ok(())
}
