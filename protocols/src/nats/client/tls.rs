//! TLS of a connection.

use std::net::IpAddr;

use wharf::{TlsClient, TlsUpgrade};

use super::address::host;

/// What a server's certificate has to name: the host of its address, or of the first one, if that of its own is only a
/// number that it has told.
pub(super) fn server_name(address: &str, first: &str) -> String {
    let own = host(address);
    let is_number = own.parse::<IpAddr>().is_ok();
    if is_number { host(first).to_owned() } else { own.to_owned() }
}

pub(super) fn upgrade(tls: TlsClient, server_name: Option<&str>) -> TlsUpgrade {
    match server_name {
        Some(name) => TlsUpgrade::from(tls.default_server_name(name)),
        None => TlsUpgrade::from(tls),
    }
}
