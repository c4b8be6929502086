//! The names of hosts, and their addresses: these follow from a host's number, and it from them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::host::HostId;

/// Each has an address of its own.
pub(super) const MOST_HOSTS: usize = 65_534;

/// 10.0.0.1 and fd00::1 for the first host, and so on.
pub(super) fn of_host(id: HostId) -> (Ipv4Addr, Ipv6Addr) {
    let number = u16::try_from(id + 1).unwrap_or(u16::MAX);
    let [high, low] = number.to_be_bytes();
    (Ipv4Addr::new(10, 0, high, low), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number))
}

/// Whose address it is, if there are so many hosts.
pub(super) fn host_at(address: IpAddr) -> Option<HostId> {
    let number = match address {
        IpAddr::V4(v4) => match v4.octets() {
            [10, 0, high, low] => u16::from_be_bytes([high, low]),
            _ => return None,
        },
        IpAddr::V6(v6) => match v6.segments() {
            [0xfd00, 0, 0, 0, 0, 0, 0, number] => number,
            _ => return None,
        },
    };
    usize::from(number).checked_sub(1)
}

/// A name without the dot at its end.
pub(super) fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Whether scripts, those who connect and resolvers can have it.
pub(super) fn is_name(name: &str) -> bool {
    let is_unfit =
        |letter: char| letter.is_whitespace() || letter.is_control() || ":;'".contains(letter);
    !name.is_empty()
        && !name.contains(is_unfit)
        && !name.eq_ignore_ascii_case("localhost")
        && name.parse::<IpAddr>().is_err()
}
