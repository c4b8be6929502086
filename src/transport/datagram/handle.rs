//! What is kept of an endpoint beyond a callback.

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use super::access::Access;
use super::transport::DatagramTransport;
use super::{DatagramEndpoint, Ended};
use crate::driver::{Key, TransportId};
use crate::event_loop::Core;
use crate::thread_bound::{ThreadBound, UseRemoteAndTransportId};

/// A handle to one datagram endpoint, to keep and to use from anywhere on its loop.
///
/// It implements [`DatagramTransport`]. It is an index and a generation: cheap to clone, it keeps
/// nothing open, and once the endpoint is closed every send says `Closed`. It cannot leave the loop's
/// thread.
///
/// ```
/// use std::time::Duration;
/// use wharf::testing::{MemoryNetwork, Record};
/// use wharf::{DatagramHandle, DatagramTransport, EventLoop, Result};
///
/// /// Sends a heartbeat each second for as long as the endpoint is open.
/// async fn beat(event_loop: EventLoop, endpoint: DatagramHandle) {
///     while !endpoint.is_closing() {
///         if let Err(error) = endpoint.send(b"alive") {
///             eprintln!("{error}");
///         }
///         event_loop.sleep(Duration::from_secs(1)).await;
///     }
/// }
///
/// # fn main() -> Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let record = Record::new();
///     event_loop.create_datagram_endpoint(record.factory()).local_address("10.0.0.1:7").await?;
///     let client = event_loop
///         .create_datagram_endpoint(Record::new().factory())
///         .peer_address("10.0.0.1:7")
///         .await?;
///     event_loop.create_task(beat(event_loop.clone(), client.handle().clone())).detach();
///     record.until(|record| record.datagrams().len() == 3).await;
///     client.close();
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct DatagramHandle {
    core: Rc<Core>,
    key: Key,
    ended: Rc<Ended>,
    bound: ThreadBound<UseRemoteAndTransportId>,
}

impl DatagramHandle {
    pub(super) fn new(core: Rc<Core>, key: Key, ended: Rc<Ended>) -> Self {
        Self { core, key, ended, bound: PhantomData }
    }

    /// A handle to an endpoint that is there.
    pub(crate) fn of(core: &Rc<Core>, endpoint: &DatagramEndpoint) -> Self {
        Self::new(Rc::clone(core), endpoint.key, Rc::clone(&endpoint.ended))
    }
}

impl Access for DatagramHandle {
    fn core(&self) -> &Rc<Core> {
        &self.core
    }

    fn key(&self) -> Key {
        self.key
    }

    fn ended(&self) -> &Rc<Ended> {
        &self.ended
    }

    fn with<R>(&self, act: impl FnOnce(&Rc<DatagramEndpoint>) -> R) -> Option<R> {
        let endpoint = self.core.datagram_endpoint(self.key)?;
        Some(act(&endpoint))
    }
}

impl PartialEq for DatagramHandle {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && Rc::ptr_eq(&self.core, &other.core)
    }
}

impl Eq for DatagramHandle {}

impl fmt::Debug for DatagramHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DatagramHandle")
            .field("id", &TransportId(self.key))
            .field("is_closing", &self.is_closing())
            .finish()
    }
}
