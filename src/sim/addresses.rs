//! The addresses of hosts: they follow from a host's number, and it from them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::host::HostId;

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
