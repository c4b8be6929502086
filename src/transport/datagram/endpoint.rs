//! What `create_datagram_endpoint` gives: a protocol that can be reached from outside.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use super::access::Access;
use super::callback::Failed;
use super::handle::DatagramHandle;
use super::transport::DatagramTransport;
use super::{DatagramEndpoint, Ended};
use crate::driver::Key;
use crate::error::{Error, Kind, Result};
use crate::event_loop::Core;
use crate::fence;
use crate::protocol::DatagramProtocol;
use crate::task::Share;

/// A datagram endpoint whose protocol is a `P`: a way in from outside its callbacks.
///
/// It implements [`DatagramTransport`], so that datagrams can be sent from it and it can be closed as
/// it is; [`with`](Self::with) reaches the protocol. Cheap to clone.
///
/// Dropping it closes nothing: the loop keeps the endpoint. Only one that nobody ever had, since it
/// still was in the result of a [future](crate::LoopFuture) or a task that was dropped, is closed, as
/// by [`close`](DatagramTransport::close), unless a clone of it is elsewhere.
///
/// ```
/// use wharf::DatagramTransport as _;
/// use wharf::testing::{MemoryNetwork, Record};
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let record = Record::new();
///     let endpoint =
///         event_loop.create_datagram_endpoint(record.factory()).local_address("10.0.0.1:7").await?;
///     let own = endpoint.local_address()?;
///     endpoint.send_to(b"to myself", &own)?;
///     record.until(|record| record.datagrams().len() == 1).await;
///     endpoint.with(|protocol, _| assert_eq!(protocol.record().datagrams(), [b"to myself"]))?;
///     Ok(())
/// })
/// # }
/// ```
pub struct Endpoint<P> {
    handle: DatagramHandle,
    share: Share,
    protocol: PhantomData<fn() -> P>,
}

impl<P: DatagramProtocol> Endpoint<P> {
    pub(crate) fn new(handle: DatagramHandle) -> Self {
        Self { handle, share: Share::default(), protocol: PhantomData }
    }

    /// Calls `action` with the protocol and its transport, now, and gives back what it returns.
    ///
    /// Datagrams sent in it are gathered as in a callback (queued, when it runs inside another
    /// one's callback).
    ///
    /// # Errors
    /// [`is_busy`](Error::is_busy) inside one of this protocol's own callbacks (use
    /// [`post`](Self::post)), [`is_closed`](Error::is_closed) once the endpoint is closed, with the error that
    /// ended it, if one did, as the source.
    ///
    /// # Panics
    /// A panic in `action` goes on in the caller; the endpoint goes on, too.
    pub fn with<R>(
        &self,
        action: impl FnOnce(&mut P, &dyn DatagramTransport) -> R,
    ) -> Result<R, Error> {
        let core = self.handle.core();
        let endpoint = core.datagram_endpoint(self.handle.key());
        let endpoint = endpoint.filter(|endpoint| !endpoint.is_closed());
        let endpoint = endpoint.ok_or_else(|| self.ended().closed())?;
        let outcome = endpoint.run_callback(core, "with", |protocol, transport| {
            let protocol: &mut dyn Any = protocol;
            let Some(protocol) = protocol.downcast_mut::<P>() else {
                return Err(Error::bare(Kind::Replaced).into());
            };
            Ok(fence::run(|| action(protocol, transport)))
        });
        // The caller's code still runs: what there is to tell is told at the end of the round.
        endpoint.update_after_with(core);
        core.close_if_wanted();
        match outcome {
            Ok(result) => Ok(result.unwrap_or_else(|panic| panic.resume())),
            Err(Failed::Busy) => Err(Error::bare(Kind::Busy)),
            Err(Failed::With(error)) => Err(error),
        }
    }

    /// As [`with`](Self::with), for an `action` that can fail: its error is converted, so that there is
    /// one result to look at.
    ///
    /// # Errors
    /// Those of [`with`](Self::with), and what `action` returns.
    pub fn try_with<R>(
        &self,
        action: impl FnOnce(&mut P, &dyn DatagramTransport) -> Result<R>,
    ) -> Result<R, Error> {
        self.with(action)?.map_err(Error::from)
    }

    /// Calls `action` with the protocol and its transport in the loop's next round.
    ///
    /// From anywhere on the loop, this protocol's own callbacks included. If the endpoint is closed by
    /// then, `action` is dropped.
    pub fn post(&self, action: impl FnOnce(&mut P, &dyn DatagramTransport) + 'static) {
        let endpoint = self.clone();
        self.handle.event_loop().call_soon(move || {
            // Gone: there is nobody to tell.
            let _ = endpoint.with(action);
        });
    }

    /// The endpoint's handle: the same without the type of the protocol.
    pub fn handle(&self) -> &DatagramHandle {
        &self.handle
    }
}

impl<P> Access for Endpoint<P> {
    fn core(&self) -> &Rc<Core> {
        self.handle.core()
    }

    fn key(&self) -> Key {
        self.handle.key()
    }

    fn ended(&self) -> &Rc<Ended> {
        self.handle.ended()
    }

    fn with<R>(&self, act: impl FnOnce(&Rc<DatagramEndpoint>) -> R) -> Option<R> {
        self.handle.with(act)
    }
}

impl<P> Clone for Endpoint<P> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), share: self.share.clone(), protocol: PhantomData }
    }
}

impl<P> Drop for Endpoint<P> {
    fn drop(&mut self) {
        self.share.close_if_untaken(|| self.handle.close());
    }
}

impl<P> fmt::Debug for Endpoint<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Endpoint").field(&self.handle).finish()
    }
}
