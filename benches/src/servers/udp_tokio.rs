//! The echo of datagrams as tokio's documentation writes it.

use std::net::SocketAddr;

use tokio::net::{UdpSocket, UnixStream};

use super::{announce, prepare, termination};
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
/// Binding or receiving fails.
pub fn run(options: Options) -> Result {
    prepare()?;
    let termination = termination()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let socket = UdpSocket::bind(options.listen).await?;
        announce(socket.local_addr()?)?;
        let termination = UnixStream::from_std(termination)?;
        tokio::spawn(async move {
            if termination.readable().await.is_ok() {
                std::process::exit(0);
            }
        });
        let mut buffer = vec![0; 65_536];
        loop {
            let (received, from) = socket.recv_from(&mut buffer).await?;
            socket.send_to(&buffer[..received], from).await?;
        }
    })
}
