//! The echo server as smol's documentation writes it: a task per connection on one thread, sockets
//! of async-io.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use async_executor::LocalExecutor;
use async_io::{Async, block_on};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{READ_BUFFER_SIZE, announce, prepare, termination};
use crate::Result;
use crate::arguments::Arguments;

/// What the server can be told.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let options = Self { listen: arguments.required("--listen")? };
        arguments.finish()?;
        Ok(options)
    }
}

/// Serves until SIGTERM.
///
/// # Errors
/// Listening or accepting fails.
pub fn run(options: Options) -> Result {
    prepare()?;
    let termination = Async::new(termination()?)?;
    let listener = Async::<TcpListener>::bind(options.listen)?;
    announce(listener.get_ref().local_addr()?)?;
    let executor = Rc::new(LocalExecutor::new());
    executor.spawn(exit_when_told(termination)).detach();
    block_on(executor.run(async {
        loop {
            let (stream, _) = listener.accept().await?;
            executor.spawn(echo(stream)).detach();
        }
    }))
}

async fn exit_when_told(termination: Async<UnixStream>) {
    if termination.readable().await.is_ok() {
        std::process::exit(0);
    }
}

async fn echo(mut stream: Async<TcpStream>) -> io::Result<()> {
    stream.get_ref().set_nodelay(true)?;
    let mut buffer = vec![0; READ_BUFFER_SIZE];
    loop {
        let received = stream.read(&mut buffer).await?;
        if received == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..received]).await?;
    }
}
