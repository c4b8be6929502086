//! What `create_datagram_endpoint` gives: a protocol that can be reached from outside.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

use super::access::Access;
use super::deliver::Failed;
use super::handle::DatagramHandle;
use super::transport::DatagramTransport;
use crate::error::{Error, Kind};
use crate::fence;
use crate::protocol::DatagramProtocol;
use crate::task::Share;

/// A datagram endpoint whose protocol is a `P`: a way in from outside its callbacks.
///
/// Cheap to clone. It also gives the endpoint's [`handle`](Self::handle), to send from it or to close
/// it.
///
/// Dropping it closes nothing: the loop keeps the endpoint. Only one that nobody ever had, since it
/// still was in the result of a [future](crate::LoopFuture) or a task that was dropped, is closed, as
/// by [`close`](DatagramTransport::close), unless a clone of it is elsewhere.
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
    /// [`post`](Self::post)), [`is_closed`](Error::is_closed) once the endpoint is gone.
    ///
    /// # Panics
    /// A panic in `action` goes on in the caller; the endpoint goes on, too.
    pub fn with<R>(
        &self,
        action: impl FnOnce(&mut P, &dyn DatagramTransport) -> R,
    ) -> Result<R, Error> {
        let core = self.handle.core();
        let endpoint = core.datagram_endpoint(self.handle.key());
        let endpoint = endpoint.filter(|endpoint| !endpoint.is_lost());
        let endpoint = endpoint.ok_or_else(|| Error::bare(Kind::Closed))?;
        let outcome = endpoint.run_callback(core, "with", |protocol, transport| {
            let protocol: &mut dyn Any = protocol;
            let Some(protocol) = protocol.downcast_mut::<P>() else {
                return Err(Error::bare(Kind::Replaced).into());
            };
            Ok(fence::run(|| action(protocol, transport)))
        });
        // The caller's code still runs: what there is to tell is told at the end of the round.
        endpoint.settle_after_with(core);
        core.close_if_wanted();
        match outcome {
            Ok(result) => Ok(result.unwrap_or_else(|panic| panic.resume())),
            Err(Failed::Busy) => Err(Error::bare(Kind::Busy)),
            Err(Failed::With(error)) => Err(error),
        }
    }

    /// Calls `action` with the protocol and its transport in the loop's next round.
    ///
    /// From anywhere on the loop, this protocol's own callbacks included. If the endpoint is gone by
    /// then, `action` is dropped.
    pub fn post(&self, action: impl FnOnce(&mut P, &dyn DatagramTransport) + 'static) {
        let endpoint = self.clone();
        self.handle.event_loop().call_soon(move || {
            // Gone: there is nobody to tell.
            let _ = endpoint.with(action);
        });
    }

    /// The endpoint's handle.
    pub fn handle(&self) -> &DatagramHandle {
        &self.handle
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
