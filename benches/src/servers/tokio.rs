//! The echo server as tokio's documentation writes it: a task per connection on one thread.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{READ_BUFFER_SIZE, on_tokio};
use crate::Result;
use crate::arguments::Arguments;

/// What the server can be told.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The size of each connection's read buffer, in bytes.
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
            buffer: arguments.option_or("--buffer", READ_BUFFER_SIZE)?,
        };
        arguments.finish()?;
        Ok(options)
    }
}

/// Serves until SIGTERM.
///
/// # Errors
/// Listening or accepting fails.
pub fn run(options: Options) -> Result {
    on_tokio::serve(options.listen, move |stream| echo(stream, options.buffer))
}

async fn echo(mut stream: TcpStream, buffer: usize) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; buffer];
    loop {
        let received = stream.read(&mut buffer).await?;
        if received == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..received]).await?;
    }
}
