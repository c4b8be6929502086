//! A proxy with wharf's `relay`.

use std::net::SocketAddr;

use wharf::{EventLoop, Protocol, Splicing, Transport, relay};

use crate::Result;
use crate::arguments::Arguments;
use crate::servers::prepare;
use crate::servers::wharf::serve_until_told;

/// What the relay can be told.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where to connect to.
    pub connect: SocketAddr,
    /// Whether the kernel moves the bytes.
    pub splicing: Splicing,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let splicing = arguments.option_or("--splicing", "automatic".to_owned())?;
        let options = Self {
            listen: arguments.required("--listen")?,
            connect: arguments.required("--connect")?,
            splicing: match splicing.as_str() {
                "automatic" => Splicing::Automatic,
                "never" => Splicing::Never,
                "always" => Splicing::Always,
                other => return Err(format!("--splicing cannot be {other}").into()),
            },
        };
        arguments.finish()?;
        Ok(options)
    }
}

/// Relays until SIGTERM.
///
/// # Errors
/// The address cannot be bound, or polling is impossible.
pub fn run(options: Options) -> Result {
    prepare()?;
    EventLoop::new()?.run(async |event_loop| {
        let server = event_loop.create_server(move || Joining(options), options.listen).await?;
        serve_until_told(&event_loop, &server).await
    })
}

/// What a client's connection has until the other one is there.
#[derive(Debug)]
struct Joining(Options);

impl Protocol for Joining {
    fn connection_made(&mut self, transport: &dyn Transport) -> wharf::Result {
        transport.pause_reading();
        let (client, Options { connect, splicing, .. }) = (transport.handle(), self.0);
        let event_loop = transport.event_loop();
        let connecting = event_loop.clone();
        event_loop
            .create_task(async move {
                match connecting.create_connection(|| Waiting, connect).await {
                    Ok(upstream) => {
                        drop(relay(&client, &upstream).splicing(splicing).await);
                    }
                    Err(_) => client.abort(),
                }
            })
            .detach();
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> wharf::Result {
        Ok(())
    }
}

/// What the other connection has for a moment.
#[derive(Debug)]
struct Waiting;

impl Protocol for Waiting {
    fn connection_made(&mut self, transport: &dyn Transport) -> wharf::Result {
        transport.pause_reading();
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> wharf::Result {
        Ok(())
    }
}
