//! Packets as bytes: IP, and TCP, UDP or ICMP in it.

use std::net::{IpAddr, SocketAddr};

/// A packet as bytes.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// The headers, and the contents if they are known.
    pub(super) bytes: Vec<u8>,
    /// How long it is with its contents.
    pub(super) length: usize,
}

/// What is in a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contents<'a> {
    pub(super) length: usize,
    /// `None`: they were not recorded.
    pub(super) bytes: Option<&'a [u8]>,
}

/// The header of a TCP segment, but for its ports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) sequence: u32,
    pub(super) acknowledged: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
    /// It has the options of a handshake.
    pub(super) has_options: bool,
}

pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
pub(super) const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;

/// A window is told in units of so many bytes, as a power of two.
pub(super) const WINDOW_SHIFT: u8 = 4;
/// The most contents that a packet takes: what is left of 64 KiB, of either family.
pub(super) const LARGEST: usize = 65_535 - 40 - 20;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const TTL: u8 = 64;

/// A segment of TCP. `None`: the addresses are of different families.
pub(super) fn tcp(
    from: SocketAddr,
    to: SocketAddr,
    segment: Segment,
    contents: Contents<'_>,
) -> Option<Frame> {
    let options: &[u8] = if segment.has_options { &options() } else { &[] };
    let mut header = Vec::with_capacity(28);
    header.extend(from.port().to_be_bytes());
    header.extend(to.port().to_be_bytes());
    header.extend(segment.sequence.to_be_bytes());
    header.extend(segment.acknowledged.to_be_bytes());
    let words = 5 + options.len() / 4;
    header.extend([(words as u8) << 4, segment.flags]);
    header.extend(segment.window.to_be_bytes());
    header.extend([0; 4]);
    header.extend(options);
    packet(from.ip(), to.ip(), TCP, header, 16, contents)
}

/// A datagram of UDP.
pub(super) fn udp(from: SocketAddr, to: SocketAddr, contents: Contents<'_>) -> Option<Frame> {
    let mut header = Vec::with_capacity(8);
    header.extend(from.port().to_be_bytes());
    header.extend(to.port().to_be_bytes());
    header.extend(sixteen_bits(8 + contents.length).to_be_bytes());
    header.extend([0; 2]);
    packet(from.ip(), to.ip(), UDP, header, 6, contents)
}

/// The answer to a datagram that nobody is there for: "port unreachable", with the beginning of the datagram.
pub(super) fn unreachable(from: IpAddr, to: IpAddr, datagram: &Frame) -> Option<Frame> {
    let (protocol, kind, code, headers) = match to {
        IpAddr::V4(_) => (ICMP, 3, 3, 20 + 8),
        IpAddr::V6(_) => (ICMPV6, 1, 4, 40 + 8),
    };
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend(datagram.bytes.iter().take(headers));
    packet(from, to, protocol, message, 2, Contents { length: 0, bytes: Some(&[]) })
}

/// The largest segment, and in which units windows are.
fn options() -> [u8; 8] {
    let [high, low] = sixteen_bits(LARGEST).to_be_bytes();
    let no_operation = 1;
    [2, 4, high, low, no_operation, 3, 3, WINDOW_SHIFT]
}

/// A packet of IP, with its checksum and that of what is in it, which is at `checksum`.
fn packet(
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    mut header: Vec<u8>,
    checksum: usize,
    contents: Contents<'_>,
) -> Option<Frame> {
    let length = header.len() + contents.length;
    let known = contents.bytes.unwrap_or_default();
    let mut pseudo = Vec::with_capacity(40);
    let mut bytes = Vec::with_capacity(40 + header.len() + known.len());
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            bytes.extend([0x45, 0]);
            bytes.extend(sixteen_bits(20 + length).to_be_bytes());
            let dont_fragment = 0x40;
            bytes.extend([0, 0, dont_fragment, 0, TTL, protocol, 0, 0]);
            bytes.extend(from.octets());
            bytes.extend(to.octets());
            let sum = checksum_of(&[&bytes]);
            bytes[10..12].copy_from_slice(&sum.to_be_bytes());
            pseudo.extend(from.octets());
            pseudo.extend(to.octets());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            bytes.extend([0x60, 0, 0, 0]);
            bytes.extend(sixteen_bits(length).to_be_bytes());
            bytes.extend([protocol, TTL]);
            bytes.extend(from.octets());
            bytes.extend(to.octets());
            pseudo.extend(from.octets());
            pseudo.extend(to.octets());
        }
        _ => return None,
    }
    pseudo.extend((length as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, protocol]);
    // ICMP of IPv4 alone has no part in the addresses.
    let pseudo: &[u8] = if protocol == ICMP { &[] } else { &pseudo };
    let sum = match checksum_of(&[pseudo, &header, known]) {
        // Zero would say that there is none.
        0 if protocol == UDP => u16::MAX,
        sum => sum,
    };
    header[checksum..checksum + 2].copy_from_slice(&sum.to_be_bytes());
    let whole = bytes.len() + length;
    bytes.extend(header);
    bytes.extend(known);
    Some(Frame { bytes, length: whole })
}

/// The checksum of the Internet. All parts but the last are of even length.
fn checksum_of(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

fn sixteen_bits(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}
