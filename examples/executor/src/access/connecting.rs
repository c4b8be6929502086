//! The side that connects.

use wharf::{ConnectionBuilder, Protocol, TlsClient};
use wharf_protocols::reconnect::Attempt;

/// A connection under TLS, unless it is that of a Unix socket: those do not leave the machine.
pub(crate) fn under_tls<P: Protocol>(
    builder: ConnectionBuilder<P>,
    attempt: &Attempt,
    tls: Option<&TlsClient>,
) -> ConnectionBuilder<P> {
    match tls {
        Some(tls) if attempt.unix_address().is_none() => builder.tls(tls),
        _ => builder,
    }
}
