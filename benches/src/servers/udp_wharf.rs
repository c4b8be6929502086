//! The echo of datagrams as wharf's README has it.

use std::net::SocketAddr;

use signal_hook::consts::SIGTERM;
use wharf::{Address, DatagramProtocol, DatagramTransport, EventLoop};

use super::{announce, prepare};
use crate::Result;
use crate::arguments::Arguments;

/// What the server can be told.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Whether the kernel may join datagrams (GRO).
    pub offload: bool,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let options =
            Self { offload: arguments.flag("--offload"), listen: arguments.required("--listen")? };
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
    let event_loop = EventLoop::new()?;
    event_loop.run(async |event_loop| {
        let endpoint = event_loop
            .create_datagram_endpoint(|| Echo)
            .local(options.listen)
            .offload(options.offload)
            .await?;
        let stopping = event_loop.clone();
        event_loop.add_signal_handler(SIGTERM, move || stopping.stop())?;
        announce(endpoint.handle().local_address().ok_or("no address")?)?;
        Ok(())
    })?;
    Ok(event_loop.run_forever()?)
}

#[derive(Debug)]
struct Echo;

impl DatagramProtocol for Echo {
    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> wharf::Result {
        transport.send_to(data, from)?;
        Ok(())
    }
}
