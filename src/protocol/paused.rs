//! A protocol for connections that wait for another one.

use std::fmt;

use super::Protocol;
use crate::error::Result;
use crate::transport::Transport;

/// A protocol that reads nothing: what a connection has until it is known what is to become of it.
///
/// Reading is paused before the first byte. What the peer sends waits in the operating system, so that
/// the peer is slowed down and nothing is lost. Then another protocol takes its place: the one of
/// [`relay`](crate::relay), or one of yours by [`Transport::set_protocol`] (call
/// [`Transport::resume_reading`] after it).
///
/// This is a whole proxy. The client is not read before there is a connection to pass its bytes to:
///
/// ```
/// use wharf::{EventLoop, PausedProtocol, Result, Transport as _, TransportHandle, relay};
///
/// async fn serve(event_loop: EventLoop) -> Result {
///     let server = event_loop.create_server(
///         || PausedProtocol::calling(|client| {
///             client.event_loop().create_task(join(client.handle())).detach();
///             Ok(())
///         }),
///         "127.0.0.1:0",
///     );
///     server.await?.serve_forever().await?;
///     Ok(())
/// }
///
/// async fn join(client: TransportHandle) {
///     let event_loop = client.event_loop();
///     match event_loop.create_connection(PausedProtocol::new, "127.0.0.1:80").await {
///         Ok(upstream) => drop(relay(&client, &upstream).await),
///         Err(_) => client.close(),
///     }
/// }
/// # let _ = serve;
/// ```
///
/// While reading is paused an end of the peer's side is not noticed; a reset is, and closes the
/// connection, as [`Transport::is_closing`] of a handle tells.
#[derive(Default)]
pub struct PausedProtocol {
    action: Option<Action>,
}

/// What is called inside `connection_made`.
type Action = Box<dyn FnOnce(&dyn Transport) -> Result>;

impl PausedProtocol {
    /// Pauses reading, and nothing else.
    pub fn new() -> Self {
        Self::default()
    }

    /// Pauses reading, then calls `action` inside `connection_made`: to keep the handle, and to begin
    /// what the connection waits for. An `Err` of it aborts the connection.
    pub fn calling(action: impl FnOnce(&dyn Transport) -> Result + 'static) -> Self {
        Self { action: Some(Box::new(action)) }
    }
}

impl Protocol for PausedProtocol {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.pause_reading();
        match self.action.take() {
            Some(action) => action(transport),
            None => Ok(()),
        }
    }

    /// Somebody resumed reading before another protocol was there: gives the bytes back, and pauses again.
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.pause_reading();
        transport.unread(data.len());
        Ok(())
    }
}

impl fmt::Debug for PausedProtocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PausedProtocol").finish_non_exhaustive()
    }
}
