//! A proxy with wharf's `relay`.

use std::net::SocketAddr;

use wharf::{EventLoop, PausedProtocol, Splicing, Transport, TransportHandle, relay};

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
        let joining = move || {
            PausedProtocol::calling(move |client| {
                client.event_loop().create_task(join(client.handle(), options)).detach();
                Ok(())
            })
        };
        let server = event_loop.create_server(joining, options.listen).await?;
        serve_until_told(&event_loop, &server).await
    })
}

/// Joins a client with a connection of its own.
async fn join(client: TransportHandle, options: Options) {
    match client.event_loop().create_connection(PausedProtocol::new, options.connect).await {
        Ok(upstream) => {
            drop(relay(&client, &upstream).splicing(options.splicing).await);
        }
        Err(_) => client.abort(),
    }
}
