//! The ten-line echo of wharf's README, with the options that measuring needs.

use std::net::SocketAddr;

use signal_hook::consts::SIGTERM;
use wharf::{EventLoop, Protocol, Server, Transport};

use super::{announce, prepare};
use crate::Result;
use crate::arguments::Arguments;

/// What the server can be told.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// How often to poll without sleeping before a poll that sleeps.
    pub spin: u32,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let options = Self {
            listen: arguments.required("--listen")?,
            spin: arguments.option_or("--spin", 0)?,
        };
        arguments.finish()?;
        Ok(options)
    }
}

/// Serves until SIGTERM.
///
/// # Errors
/// The address cannot be bound, or polling is impossible.
pub fn run(options: Options) -> Result {
    prepare()?;
    EventLoop::builder().spin(options.spin).build()?.run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, options.listen).await?;
        serve_until_told(&event_loop, &server).await
    })
}

/// Says where a server listens, and serves until SIGTERM.
pub(crate) async fn serve_until_told(event_loop: &EventLoop, server: &Server) -> Result {
    for address in server.addresses() {
        announce(address)?;
    }
    let closing = server.clone();
    event_loop.add_signal_handler(SIGTERM, move || closing.close())?;
    server.serve_forever().await?;
    Ok(())
}

/// The ten lines.
#[derive(Debug)]
pub(super) struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> wharf::Result {
        transport.write(data);
        Ok(())
    }
}
