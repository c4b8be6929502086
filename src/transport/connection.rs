//! What `create_connection` gives: a protocol that can be reached from outside.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use super::stream::{Access, Failed, closed, flush, wait_closed};
use super::{Facts, Stream, Transport, TransportHandle};
use crate::driver::Key;
use crate::error::{Error, Kind, Result};
use crate::event_loop::Core;
use crate::fence;
use crate::protocol::Protocol;
use crate::task::Share;

/// A connection whose protocol is a `P`: a way in from outside its callbacks.
///
/// It implements [`Transport`], so that it can be written to and closed as it is; [`with`](Self::with)
/// reaches the protocol. Cheap to clone.
///
/// ```
/// use wharf::testing::MemoryNetwork;
/// use wharf::{EventLoop, Protocol, Result, Transport};
///
/// #[derive(Default)]
/// struct Counter {
///     received: usize,
/// }
///
/// impl Protocol for Counter {
///     fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
///         self.received += data.len();
///         Ok(())
///     }
/// }
///
/// fn main() -> Result {
///     MemoryNetwork::new().event_loop().run(async |event_loop| {
///         let _server = event_loop.create_server(Counter::default, "10.0.0.1:7").await?;
///         let connection = event_loop.create_connection(Counter::default, "10.0.0.1:7").await?;
///         connection.write(b"hello");
///         connection.write_eof();
///         assert_eq!(connection.with(|counter, _| counter.received)?, 0);
///         Ok(())
///     })
/// }
/// ```
///
/// Dropping it closes nothing: the loop keeps the connection. Only one that nobody ever had, since it
/// still was in the result of a [future](crate::LoopFuture) or a task that was dropped, is closed, as
/// by [`close`](Transport::close), unless a clone of it is elsewhere.
pub struct Connection<P> {
    handle: TransportHandle,
    share: Share,
    protocol: PhantomData<fn() -> P>,
}

impl<P: Protocol> Connection<P> {
    pub(crate) fn new(handle: TransportHandle) -> Self {
        Self { handle, share: Share::default(), protocol: PhantomData }
    }

    /// Calls `action` with the protocol and its transport, now, and gives back what it returns.
    ///
    /// Writes made in it are gathered as in a callback (queued, when it runs inside another
    /// connection's callback).
    ///
    /// # Errors
    /// [`is_busy`](Error::is_busy) inside one of this protocol's own callbacks (use
    /// [`post`](Self::post)), [`is_closed`](Error::is_closed) once the connection is closed, with what ended
    /// it as the source, [`is_replaced`](Error::is_replaced) when another protocol was installed.
    ///
    /// # Panics
    /// A panic in `action` aborts the connection and goes on in the caller.
    pub fn with<R>(&self, action: impl FnOnce(&mut P, &dyn Transport) -> R) -> Result<R, Error> {
        let core = self.handle.core();
        let stream = core.stream(self.handle.key()).filter(|stream| !stream.is_closed());
        let stream = stream.ok_or_else(|| closed(&self.handle))?;
        let outcome = stream.run_callback(core, "with", |protocol, transport| {
            let protocol: &mut dyn Any = protocol;
            let Some(protocol) = protocol.downcast_mut::<P>() else {
                return Err(Error::bare(Kind::Replaced).into());
            };
            Ok(fence::run(|| action(protocol, transport)))
        });
        let result = match outcome {
            Err(Failed::Busy) => Err(Error::bare(Kind::Busy)),
            Err(Failed::With(failure)) => Err(failure.into_error()),
            Ok(Ok(result)) => {
                stream.update_after_with(core);
                Ok(Ok(result))
            }
            Ok(Err(panic)) => {
                stream.end(core, Some(panic.error()));
                Ok(Err(panic))
            }
        };
        core.close_if_wanted();
        result.map(|outcome| outcome.unwrap_or_else(|panic| panic.resume()))
    }

    /// As [`with`](Self::with), for an `action` that can fail: its error is converted, so that there is
    /// one result to look at.
    ///
    /// # Errors
    /// Those of [`with`](Self::with), and what `action` returns.
    pub fn try_with<R>(
        &self,
        action: impl FnOnce(&mut P, &dyn Transport) -> Result<R>,
    ) -> Result<R, Error> {
        self.with(action)?.map_err(Error::from)
    }

    /// Calls `action` with the protocol and its transport in the loop's next round.
    ///
    /// From anywhere on the loop, this protocol's own callbacks included. If the connection is
    /// gone, or the protocol was replaced by then, `action` is dropped.
    pub fn post(&self, action: impl FnOnce(&mut P, &dyn Transport) + 'static) {
        let connection = self.clone();
        self.handle.event_loop().call_soon(move || {
            // Gone or replaced: there is nobody to tell.
            let _ = connection.with(action);
        });
    }

    /// Waits until everything that was written is handed to the operating system.
    ///
    /// # Errors
    /// Those of [`TransportHandle::flush`].
    pub async fn flush(&self) -> Result<(), Error> {
        flush(self).await
    }

    /// Waits until the connection is gone. It does not close it.
    ///
    /// # Errors
    /// Those of [`TransportHandle::wait_closed`], which has an example.
    pub async fn wait_closed(&self) -> Result<(), Error> {
        wait_closed(self).await
    }

    /// The connection's handle: the same without the type of the protocol.
    pub fn handle(&self) -> &TransportHandle {
        &self.handle
    }
}

impl<P> Access for Connection<P> {
    fn core(&self) -> &Rc<Core> {
        self.handle.core()
    }

    fn key(&self) -> Key {
        self.handle.key()
    }

    fn facts(&self) -> Rc<Facts> {
        self.handle.facts()
    }

    fn with<R>(&self, act: impl FnOnce(&Rc<Stream>) -> R) -> Option<R> {
        self.handle.with(act)
    }
}

impl<P> From<Connection<P>> for TransportHandle {
    fn from(connection: Connection<P>) -> Self {
        connection.handle.clone()
    }
}

impl<P> From<&Connection<P>> for TransportHandle {
    fn from(connection: &Connection<P>) -> Self {
        connection.handle.clone()
    }
}

impl<P> Clone for Connection<P> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), share: self.share.clone(), protocol: PhantomData }
    }
}

impl<P> Drop for Connection<P> {
    fn drop(&mut self) {
        self.share.close_if_untaken(|| self.handle.close());
    }
}

impl<P> fmt::Debug for Connection<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Connection").field(&self.handle).finish()
    }
}
