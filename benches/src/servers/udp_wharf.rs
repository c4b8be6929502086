//! The echo of datagrams as wharf's README has it.

use std::net::SocketAddr;

use signal_hook::consts::SIGTERM;
use wharf::{Address, Datagram, DatagramProtocol, DatagramTransport, Datagrams, EventLoop};

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
    /// Whether the protocol takes them in batches, and answers in runs.
    pub batches: bool,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let options = Self {
            offload: arguments.flag("--offload"),
            batches: arguments.flag("--batches"),
            listen: arguments.required("--listen")?,
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
    let event_loop = EventLoop::new()?;
    match options.batches {
        false => open(&event_loop, options, Echo)?,
        true => open(&event_loop, options, BatchEcho::default())?,
    }
    Ok(event_loop.run_forever()?)
}

fn open(event_loop: &EventLoop, options: Options, echo: impl DatagramProtocol) -> Result {
    event_loop.run(async |event_loop| {
        let endpoint = event_loop
            .create_datagram_endpoint(|| echo)
            .local_address(options.listen)
            .offload(options.offload)
            .await?;
        let stopping = event_loop.clone();
        event_loop.add_signal_handler(SIGTERM, move || stopping.stop())?;
        announce(endpoint.local_address()?)?;
        Ok(())
    })?;
    Ok(())
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

/// Sends what came from one client in datagrams of one size back as one run.
#[derive(Debug, Default)]
struct BatchEcho {
    run: Vec<u8>,
}

impl DatagramProtocol for BatchEcho {
    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> wharf::Result {
        transport.send_to(data, from)?;
        Ok(())
    }

    fn datagrams_received(
        &mut self,
        transport: &dyn DatagramTransport,
        batch: &mut Datagrams<'_>,
    ) -> wharf::Result {
        let mut last = None;
        for Datagram { data, from, .. } in batch {
            if let Some((size, to)) = last
                && (size != data.len() || to != from)
            {
                transport.send_segments(&self.run, size, Some(to))?;
                self.run.clear();
            }
            self.run.extend_from_slice(data);
            last = Some((data.len(), from));
        }
        if let Some((size, to)) = last {
            transport.send_segments(&self.run, size, Some(to))?;
            self.run.clear();
        }
        Ok(())
    }
}
