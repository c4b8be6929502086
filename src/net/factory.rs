//! What makes a server's protocols.

use std::fmt;

use crate::error::Result;
use crate::protocol::Protocol;
use crate::transport::Info;

/// What makes a protocol for each connection of a server: a closure `|| protocol`, or
/// [`with_info`]`(|info| Ok(protocol))`, which is told who connects and may refuse.
///
/// The trait is sealed: wharf implements it.
///
/// A function of your own that takes one, and adds options that all its servers have:
///
/// ```
/// use wharf::testing::MemoryNetwork;
/// use wharf::{EventLoop, ProtocolFactory, Result, ServerBuilder, with_info};
/// # #[derive(Default)]
/// # struct Session;
/// # impl wharf::Protocol for Session {
/// #     fn data_received(&mut self, _: &dyn wharf::Transport, _: &[u8]) -> Result { Ok(()) }
/// # }
///
/// fn small_server(
///     event_loop: &EventLoop,
///     factory: impl ProtocolFactory,
///     address: &str,
/// ) -> ServerBuilder {
///     event_loop.create_server(factory, address).max_connections(100).write_buffer_cap(64 * 1024)
/// }
///
/// fn main() -> Result {
///     MemoryNetwork::new().event_loop().run(async |event_loop| {
///         small_server(&event_loop, Session::default, "10.0.0.1:7").await?;
///         small_server(&event_loop, with_info(|_| Ok(Session)), "10.0.0.1:8").await?;
///         Ok(())
///     })
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not make protocols",
    label = "a server wants a factory of protocols",
    note = "every connection has a protocol of its own: pass a closure that makes one, `|| MyProtocol::new()`",
    note = "a closure that is told who connects is passed as `with_info(|info| Ok(protocol))`"
)]
pub trait ProtocolFactory: 'static {
    #[doc(hidden)]
    fn into_factory(self) -> Factory;
}

impl<F, P> ProtocolFactory for F
where
    F: FnMut() -> P + 'static,
    P: Protocol,
{
    fn into_factory(mut self) -> Factory {
        Factory(Make::Plain(Box::new(move || Box::new(self()))))
    }
}

/// A factory for [`EventLoop::create_server`](crate::EventLoop::create_server) and similar methods that
/// is told who connects, and may refuse.
///
/// On Linux the [`Info`] of a Unix socket names the peer's user and process; under TLS, it has what the
/// handshake has agreed on. A connection that is refused with an `Err` is closed, and the error goes to
/// the accept error handler ([`on_accept_error`](crate::ServerBuilder::on_accept_error)).
///
/// ```
/// use wharf::{EventLoop, Protocol, Result, Transport, with_info};
///
/// struct Session {
///     peer: String,
/// }
///
/// impl Protocol for Session {
///     fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Result {
///         transport.write(self.peer.as_bytes());
///         Ok(())
///     }
/// }
///
/// fn main() -> Result {
///     EventLoop::new()?.run(async |event_loop| {
///         let factory = with_info(|info| {
///             let peer = info.peer_address().ok_or("no address")?;
///             if !peer.ip().is_some_and(|ip| ip.is_loopback()) {
///                 return Err("only for this machine".into());
///             }
///             Ok(Session { peer: peer.to_string() })
///         });
///         let server = event_loop.create_server(factory, "127.0.0.1:0").await?;
///         server.close();
///         Ok(())
///     })
/// }
/// ```
#[doc(alias("buildProtocol", "Factory"))]
pub fn with_info<F, P>(factory: F) -> WithInfo<F>
where
    F: FnMut(&Info) -> Result<P> + 'static,
    P: Protocol,
{
    WithInfo(factory)
}

/// What [`with_info`] returns, with an example.
#[derive(Clone, Copy)]
pub struct WithInfo<F>(F);

impl<F, P> ProtocolFactory for WithInfo<F>
where
    F: FnMut(&Info) -> Result<P> + 'static,
    P: Protocol,
{
    fn into_factory(self) -> Factory {
        let mut make = self.0;
        Factory(Make::WithInfo(Box::new(move |info| Ok(Box::new(make(info)?)))))
    }
}

impl<F> fmt::Debug for WithInfo<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WithInfo").finish_non_exhaustive()
    }
}

/// A factory of any kind. It is public because a method of a public trait returns it; no other crate
/// can name it.
#[allow(unnameable_types)]
pub struct Factory(pub(super) Make);

pub(super) enum Make {
    Plain(Box<dyn FnMut() -> Box<dyn Protocol>>),
    WithInfo(MakeWithInfo),
}

type MakeWithInfo = Box<dyn FnMut(&Info) -> Result<Box<dyn Protocol>>>;

impl fmt::Debug for Factory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Factory").finish_non_exhaustive()
    }
}
