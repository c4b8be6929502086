//! Options of connections.

use std::time::Duration;

use wharf::{ConnectionBuilder, Keepalive, Protocol, TlsClient};
use wharf_protocols::reconnect::Attempt;

/// When the system probes a connection on which nothing is said, and when it takes it for dead: after half a minute.
///
/// A client may wait for days and hear nothing, and so may a coordinator of it. If the other machine is gone without a
/// word (no power, no way to it) nobody would ever learn of it otherwise. What was sent and not acknowledged is not probed
/// but sent again; the system gives that up by itself, on Linux after about a quarter of an hour.
///
/// Clients and workers have it set; it is for servers of a
/// [`CoordinatorServer`](crate::serve::CoordinatorServer) and of a [`Dashboard`](crate::dashboard::Dashboard).
pub const KEEPALIVE: Keepalive =
    Keepalive::new().time(Duration::from_secs(15)).interval(Duration::from_secs(5)).retries(3);

/// What each connection of a client or worker is made with. It is under TLS, unless it is that of a Unix socket: those do
/// not leave the machine.
pub(crate) fn prepare<P: Protocol>(
    builder: ConnectionBuilder<P>,
    attempt: &Attempt,
    tls: Option<&TlsClient>,
) -> ConnectionBuilder<P> {
    let builder = builder.keepalive(KEEPALIVE);
    match tls {
        Some(tls) if attempt.unix_address().is_none() => builder.tls(tls),
        _ => builder,
    }
}
