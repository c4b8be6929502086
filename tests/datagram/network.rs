//! A network namespace for a test, whose routes and errors are nobody else's.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use socket2::{Domain, Protocol, Socket, Type};

use crate::needs::{self, missing};

const ROLE: &str = "WHARF_DATAGRAM_TEST_ROLE";

/// How the process of a test says that it has passed.
const PASSED: i32 = 42;

/// Runs `body` in a process and a network of its own: the test `name` starts itself again.
///
/// Without the right to make a network namespace the test says that it did nothing.
pub(crate) fn in_network_of_its_own(name: &str, body: impl FnOnce()) {
    if std::env::var_os(ROLE).is_some() {
        ip("link set lo up");
        body();
        // Not to be taken for a process that found no such test.
        std::process::exit(PASSED);
    }
    if !needs::program("ip") {
        return;
    }
    let flags = if rustix::process::geteuid().is_root() { "-n" } else { "-rn" };
    let status = Command::new("unshare")
        .arg(flags)
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(ROLE, "inside")
        .status();
    match status.map(|status| status.code()) {
        Ok(Some(PASSED)) => {}
        // What unshare says when it may not.
        Ok(Some(1)) | Err(_) => missing("unshare(1), and the right to make a network namespace"),
        Ok(code) => panic!("the process of {name} failed: {code:?}"),
    }
}

/// Runs ip(8).
#[track_caller]
pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("ip(8)");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An ICMP message: its type and code, and what follows the checksum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Icmp {
    pub(crate) kind: u8,
    pub(crate) code: u8,
    pub(crate) info: u32,
}

impl Icmp {
    pub(crate) const fn new(kind: u8, code: u8) -> Self {
        Self { kind, code, info: 0 }
    }

    /// Sends it to the host at `from`, as if about a UDP datagram from there to `to`.
    pub(crate) fn send(self, from: SocketAddr, to: SocketAddr) {
        let mut packet = vec![self.kind, self.code, 0, 0];
        packet.extend(self.info.to_be_bytes());
        let (domain, protocol) = match (from.ip(), to.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                packet.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
                packet.extend(source.octets());
                packet.extend(destination.octets());
                (Domain::IPV4, Protocol::ICMPV4)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                packet.extend([0x60, 0, 0, 0, 0, 8, 17, 64]);
                packet.extend(source.octets());
                packet.extend(destination.octets());
                (Domain::IPV6, Protocol::ICMPV6)
            }
            _ => panic!("two families"),
        };
        packet.extend(from.port().to_be_bytes());
        packet.extend(to.port().to_be_bytes());
        packet.extend([0, 8, 0, 0]);
        if from.is_ipv4() {
            // The kernel does that for ICMPv6 only.
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        let socket = Socket::new(domain, Type::RAW, Some(protocol)).expect("a raw socket");
        socket.send_to(&packet, &SocketAddr::new(from.ip(), 0).into()).expect("an ICMP message");
    }
}

/// RFC 1071.
fn checksum(packet: &[u8]) -> u16 {
    let words = packet.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let mut sum: u32 = words.sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}
