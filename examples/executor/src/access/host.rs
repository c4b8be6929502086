//! Hosts in addresses.

use std::net::IpAddr;

/// Whether only this machine reaches `host:port`. A name besides `localhost` is not looked up: it is taken for another's.
pub(crate) fn is_local(address: &str) -> bool {
    let host = host_of(address);
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// `name`, `name:port`, `[address]` or `[address]:port`, without the port.
pub(crate) fn host_of(authority: &str) -> &str {
    if let Some(bracketed) = authority.strip_prefix('[') {
        return bracketed.split(']').next().unwrap_or_default();
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}
