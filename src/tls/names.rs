//! Names of servers.

use std::net::IpAddr;

use rustls::pki_types::{DnsName, ServerName};

use crate::error::Error;

/// The name under which a server is asked for and checked, from a host as users write it.
///
/// A final dot and brackets are not part of a name in a certificate, and neither is an IPv6 zone.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, Error> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let without_zone = bare.split_once('%').map_or(bare, |(address, _zone)| address);
    if let Ok(address) = without_zone.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(address.into()));
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    DnsName::try_from(name.to_owned()).map(ServerName::DnsName).map_err(|_| bad_name(host))
}

fn bad_name(host: &str) -> Error {
    if host.is_empty() {
        return Error::invalid("the TLS server name is empty");
    }
    let hint = if host.is_ascii() { "" } else { " (international names must be in punycode)" };
    Error::invalid(format!("`{}` is no TLS server name{hint}", host.escape_debug()))
}
