use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use wharf::{Error, Transport, TransportId};

use super::Tap;

/// Packets hold a raw IP packet each (`LINKTYPE_RAW`).
const RAW_IP: u32 = 101;

/// The most bytes of a connection in one packet, so that its length fits into 16 bits.
const SEGMENT: usize = 65_000;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// A [`Tap`] that writes a PCAP file, for Wireshark, tcpdump and the like: what the protocols of its connections see, as
/// TCP segments made up for it, with the connections' true addresses and the bytes as plaintext.
///
/// The file is as secret as the connections. The first error of the writer ends it; see [`error`](Self::error).
///
/// ```no_run
/// use std::fs::File;
/// use std::io::BufWriter;
/// use std::rc::Rc;
/// use wharf_protocols::wrap::Pcap;
///
/// # fn main() -> std::io::Result<()> {
/// // Every connection can share it.
/// let pcap = Rc::new(Pcap::new(BufWriter::new(File::create("plaintext.pcap")?))?);
/// # drop(pcap);
/// # Ok(())
/// # }
/// ```
pub struct Pcap<W> {
    output: RefCell<W>,
    connections: RefCell<HashMap<TransportId, Flow>>,
    /// The date at an instant of a loop's clock, which is taken from there on.
    begin: Cell<Option<(SystemTime, Instant)>>,
    date: SystemTime,
    error: RefCell<Option<io::Error>>,
    has_failed: Cell<bool>,
}

/// A connection in the file.
struct Flow {
    local: SocketAddr,
    peer: SocketAddr,
    /// The next sequence numbers of both sides.
    local_next: u32,
    peer_next: u32,
}

impl<W: Write + 'static> Pcap<W> {
    /// Writes the head of a file, and packets as they come. Give it a writer with a buffer: it writes on the loop's
    /// thread.
    ///
    /// # Errors
    /// The writer's.
    pub fn new(mut output: W) -> io::Result<Self> {
        let mut head = Vec::new();
        // Times in nanoseconds, version 2.4, no correction of times, no limit of a packet's length but this.
        head.extend(0xa1b2_3c4d_u32.to_le_bytes());
        head.extend(2_u16.to_le_bytes());
        head.extend(4_u16.to_le_bytes());
        head.extend([0; 8]);
        head.extend(262_144_u32.to_le_bytes());
        head.extend(RAW_IP.to_le_bytes());
        output.write_all(&head)?;
        Ok(Self {
            output: RefCell::new(output),
            connections: RefCell::default(),
            begin: Cell::new(None),
            date: SystemTime::now(),
            error: RefCell::new(None),
            has_failed: Cell::new(false),
        })
    }

    /// The date of the first packet, in place of today: for tests in virtual time.
    #[must_use]
    pub fn date(mut self, date: SystemTime) -> Self {
        self.date = date;
        self
    }

    /// The writer's first error, since which nothing is written. It is given once.
    pub fn error(&self) -> Option<io::Error> {
        self.error.borrow_mut().take()
    }

    /// Hands what is buffered to the operating system.
    ///
    /// # Errors
    /// The writer's.
    pub fn flush(&self) -> io::Result<()> {
        self.output.borrow_mut().flush()
    }

    fn part(&self, transport: &dyn Transport, is_sent: bool, flags: u8, data: &[u8]) {
        let time = self.time(transport);
        let mut connections = self.connections.borrow_mut();
        let Some(flow) = connections.get_mut(&transport.id()) else { return };
        let mut record = Vec::new();
        // A part without bytes is a packet of its own, too.
        let (first, rest) = data.split_at(data.len().min(SEGMENT));
        for segment in std::iter::once(first).chain(rest.chunks(SEGMENT)) {
            record.clear();
            flow.record(time, is_sent, flags, segment, &mut record);
            self.write(&record);
        }
    }

    fn write(&self, record: &[u8]) {
        // A part of a record may have been written: nothing behind it could be read.
        if self.has_failed.get() {
            return;
        }
        let written = self.output.borrow_mut().write_all(record);
        if let Err(error) = written {
            self.has_failed.set(true);
            self.error.replace(Some(error));
        }
    }

    fn time(&self, transport: &dyn Transport) -> Duration {
        let now = transport.event_loop().time();
        let (date, begin) = self.begin.get().unwrap_or((self.date, now));
        self.begin.set(Some((date, begin)));
        let date = date + now.saturating_duration_since(begin);
        date.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

impl<W: Write + 'static> Tap for Pcap<W> {
    fn opened(&self, transport: &dyn Transport) {
        let info = transport.info();
        let ip = |address: Option<&wharf::Address>| address.and_then(wharf::Address::as_ip);
        let unknown = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let flow = match (ip(info.local_address()), ip(info.peer_address())) {
            (Some(local), Some(peer)) if local.is_ipv4() == peer.is_ipv4() => {
                Flow::new(local, peer)
            }
            // No network: any two ports will do.
            _ => Flow::new(unknown(1), unknown(2)),
        };
        self.connections.borrow_mut().insert(transport.id(), flow);
        self.part(transport, true, SYN, b"");
        self.part(transport, false, SYN | ACK, b"");
    }

    fn received(&self, transport: &dyn Transport, data: &[u8]) {
        self.part(transport, false, PSH | ACK, data);
    }

    fn sent(&self, transport: &dyn Transport, data: &[u8]) {
        self.part(transport, true, PSH | ACK, data);
    }

    fn closed(&self, transport: &dyn Transport, error: Option<&Error>) {
        self.part(transport, true, if error.is_some() { RST | ACK } else { FIN | ACK }, b"");
        self.connections.borrow_mut().remove(&transport.id());
    }
}

impl<W> fmt::Debug for Pcap<W> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = self.connections.borrow().len();
        formatter.debug_struct("Pcap").field("connections", &connections).finish_non_exhaustive()
    }
}

impl Flow {
    fn new(local: SocketAddr, peer: SocketAddr) -> Self {
        Self { local, peer, local_next: 0, peer_next: 0 }
    }

    /// A record of the file: a head, an IP packet, a TCP segment.
    fn record(
        &mut self,
        time: Duration,
        is_sent: bool,
        flags: u8,
        data: &[u8],
        output: &mut Vec<u8>,
    ) {
        let (from, to, sequence, answered) = if is_sent {
            (self.local, self.peer, &mut self.local_next, self.peer_next)
        } else {
            (self.peer, self.local, &mut self.peer_next, self.local_next)
        };
        let number = *sequence;
        let counted = data.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        *sequence = sequence.wrapping_add(counted);

        let mut segment = Vec::with_capacity(20 + data.len());
        segment.extend(from.port().to_be_bytes());
        segment.extend(to.port().to_be_bytes());
        segment.extend(number.to_be_bytes());
        segment.extend(if flags & ACK != 0 { answered } else { 0 }.to_be_bytes());
        // Five words of head; the whole window; no checksum, as where the network card makes it.
        segment.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend_from_slice(data);

        let mut packet = Vec::with_capacity(40);
        match (from.ip(), to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let length = (20 + segment.len()) as u16;
                packet.extend([0x45, 0]);
                packet.extend(length.to_be_bytes());
                packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
                packet.extend(from.octets());
                packet.extend(to.octets());
                let checksum = checksum(&packet).to_be_bytes();
                packet[10..12].copy_from_slice(&checksum);
            }
            (from, to) => {
                let octets = |ip: IpAddr| match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                };
                packet.extend([0x60, 0, 0, 0]);
                packet.extend((segment.len() as u16).to_be_bytes());
                packet.extend([6, 64]);
                packet.extend(octets(from));
                packet.extend(octets(to));
            }
        }
        let length = ((packet.len() + segment.len()) as u32).to_le_bytes();
        // The format has 32 bits for the seconds.
        output.extend((time.as_secs() as u32).to_le_bytes());
        output.extend(time.subsec_nanos().to_le_bytes());
        output.extend(length);
        output.extend(length);
        output.extend(packet);
        output.extend(segment);
    }
}

/// The ones' complement of the sum of all 16-bit words (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
