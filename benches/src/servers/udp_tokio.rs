//! The echo of datagrams as tokio's documentation writes it.

use std::net::SocketAddr;

use tokio::net::UdpSocket;

use super::{announce, on_tokio};
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
    on_tokio::run(async {
        let socket = UdpSocket::bind(options.listen).await?;
        announce(socket.local_addr()?)?;
        let mut buffer = vec![0; 65_536];
        loop {
            let (received, from) = socket.recv_from(&mut buffer).await?;
            socket.send_to(&buffer[..received], from).await?;
        }
    })
}
