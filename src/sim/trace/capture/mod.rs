//! Packets, as they would be seen where they leave their hosts.

mod connection;
mod frame;
mod pcapng;
mod tap;

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use self::connection::{Acknowledges, Connection, Outgoing};
use self::frame::{ACK, Contents, Frame};
use self::pcapng::Blocks;
use super::{Delivery, Packet};

pub(in crate::sim) use self::tap::CaptureTap;

/// How many packets are kept, the latest.
const KEPT: usize = 100_000;

/// Packets, as they would be seen where they leave their hosts.
pub(in crate::sim) struct Capture {
    /// What is in packets is kept, besides their headers.
    has_contents: bool,
    /// The time since the Unix epoch when the simulation began.
    date: Duration,
    packets: VecDeque<CapturedPacket>,
    left_out: u64,
    connections: BTreeMap<Ends, Connection>,
    /// How many there were.
    begun: u32,
    /// Who has to acknowledge something in this instant.
    due: Vec<(Ends, usize)>,
    now: Duration,
    /// What the next datagrams from one to another are, which may be held, and what the last one was.
    next_datagrams: BTreeMap<Ends, VecDeque<Vec<u8>>>,
    last_datagrams: BTreeMap<Ends, Frame>,
    /// What has happened since the last packet.
    comments: Vec<String>,
}

/// From where to where; of a connection, the smaller first.
pub(in crate::sim) type Ends = (SocketAddr, SocketAddr);

struct CapturedPacket {
    at: Duration,
    from: IpAddr,
    frame: Frame,
    comments: Vec<String>,
}

impl Capture {
    pub(in crate::sim) fn new(has_contents: bool, date: Duration) -> Self {
        Self {
            has_contents,
            date,
            packets: VecDeque::new(),
            left_out: 0,
            connections: BTreeMap::new(),
            begun: 0,
            due: Vec::new(),
            now: Duration::ZERO,
            next_datagrams: BTreeMap::new(),
            last_datagrams: BTreeMap::new(),
            comments: Vec::new(),
        }
    }

    /// Something has happened: it is said of the next packet.
    pub(super) fn comment(&mut self, at: Duration, text: &str) {
        self.begin(at);
        self.comments.push(format!("at {at:?}: {text}"));
    }

    /// Something is sent, and something becomes of it.
    pub(in crate::sim) fn sent(
        &mut self,
        at: Duration,
        ends: Ends,
        packet: Packet,
        delivery: Delivery,
    ) {
        self.begin(at);
        match (packet, delivery) {
            // It leaves later, or has left before.
            (_, Delivery::Held | Delivery::LostOnArrival) => {}
            (Packet::Datagram(length), _) => self.datagram(ends, length, delivery),
            (Packet::Unreachable, _) => self.unreachable(ends, delivery),
            (Packet::Probe | Packet::Alive, _) => {
                let comment = (delivery == Delivery::Lost).then_some("lost");
                let (key, connection) = self.connection(ends, packet);
                let outgoing = connection.keep_alive(connection.side(ends.0), packet);
                self.put(key, outgoing, comment);
            }
            (_, Delivery::Lost) => self.segment(ends, packet, Some("lost")),
            (_, Delivery::After(time)) => {
                let (_, connection) = self.connection(ends, packet);
                let is_clear = connection.is_clear(connection.side(ends.0));
                self.segment(ends, packet, None);
                if time.is_zero() && is_clear {
                    self.arrived(at, ends, true);
                }
            }
        }
    }

    /// The first of what is on its way of a connection arrives, or comes to nobody.
    pub(in crate::sim) fn arrived(&mut self, at: Duration, ends: Ends, is_heard: bool) {
        self.begin(at);
        let key = sorted(ends);
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let side = connection.side(ends.0);
        if !is_heard {
            return connection.missed(side);
        }
        match connection.arrived(side) {
            Acknowledges::No => {}
            Acknowledges::AtOnce => {
                let outgoing = connection.bare(1 - side, ACK);
                self.put(key, outgoing, None);
            }
            Acknowledges::Soon => self.owe(key, 1 - side),
        }
    }

    fn wrote(&mut self, at: Duration, ends: Ends, bytes: &[u8]) {
        self.begin(at);
        if let Some(connection) = self.connections.get_mut(&sorted(ends)) {
            connection.wrote(connection.side(ends.0), bytes);
        }
    }

    fn has_room(&mut self, at: Duration, ends: Ends, room: usize) {
        self.begin(at);
        let key = sorted(ends);
        if let Some(connection) = self.connections.get_mut(&key) {
            let side = connection.side(ends.1);
            if connection.has_room(side, room) {
                self.owe(key, side);
            }
        }
    }

    fn next_datagram(&mut self, ends: Ends, data: &[u8]) {
        if self.has_contents {
            self.next_datagrams.entry(ends).or_default().push_back(data.to_vec());
        }
    }

    /// All packets as a file of pcapng: those of each host at an interface of its name.
    pub(super) fn write(
        &mut self,
        hosts: &[(String, [IpAddr; 2])],
        about: &str,
        mut output: impl Write,
    ) -> io::Result<()> {
        self.settle();
        let mut blocks = Blocks::default();
        let about = match self.left_out {
            0 => about.to_owned(),
            left_out => format!("{about}; {left_out} earlier packets are not here"),
        };
        blocks.section(&about);
        let mut interfaces = BTreeMap::new();
        for (index, (name, addresses)) in hosts.iter().enumerate() {
            interfaces.extend(addresses.map(|address| (address, index)));
            blocks.interface(name);
        }
        blocks.names(hosts.iter().flat_map(|(name, addresses)| {
            addresses.iter().map(move |address| (*address, name.as_str()))
        }));
        for packet in &self.packets {
            if let Some(interface) = interfaces.get(&packet.from) {
                let at = self.date + packet.at;
                blocks.packet(*interface, at, &packet.frame, &packet.comments);
            }
            output.write_all(&blocks.take())?;
        }
        output.write_all(&blocks.take())?;
        output.flush()
    }

    /// A new instant ends the one before it.
    fn begin(&mut self, at: Duration) {
        if at > self.now {
            self.settle();
            self.now = at;
        }
    }

    /// Sends what has to be acknowledged in this instant and was not.
    fn settle(&mut self) {
        for (key, side) in std::mem::take(&mut self.due) {
            let connection = self.connections.get_mut(&key);
            if let Some(connection) = connection.filter(|connection| connection.is_alive(side)) {
                let outgoing = connection.bare(side, ACK);
                self.put(key, outgoing, None);
            }
        }
    }

    fn owe(&mut self, key: Ends, side: usize) {
        if !self.due.contains(&(key, side)) {
            self.due.push((key, side));
        }
    }

    /// The connection to which something belongs: a new one, if that is the request for one.
    fn connection(&mut self, ends: Ends, packet: Packet) -> (Ends, &mut Connection) {
        let key = sorted(ends);
        let is_request = packet == Packet::Connect;
        let known = self.connections.get(&key);
        let goes_on =
            known.is_some_and(|known| !is_request || known.is_requested_by(known.side(ends.0)));
        if !goes_on {
            self.begun += 1;
            let addresses = [ends.0, ends.1];
            let new = Connection::new(addresses, self.begun, is_request, self.has_contents);
            self.connections.insert(key, new);
        }
        let number = self.begun;
        let connection = self.connections.entry(key);
        let new = || Connection::new([ends.0, ends.1], number, is_request, false);
        (key, connection.or_insert_with(new))
    }

    fn segment(&mut self, ends: Ends, packet: Packet, comment: Option<&str>) {
        let (key, connection) = self.connection(ends, packet);
        let side = connection.side(ends.0);
        for outgoing in connection.sent(side, packet, comment.is_some()) {
            self.put(key, outgoing, comment);
        }
    }

    fn put(&mut self, key: Ends, outgoing: Outgoing, comment: Option<&str>) {
        let Some(connection) = self.connections.get(&key) else { return };
        let (from, to) = (connection.address(outgoing.side), connection.address(1 - outgoing.side));
        // This acknowledges, too.
        self.due.retain(|due| *due != (key, outgoing.side));
        let contents = Contents { length: outgoing.length, bytes: outgoing.bytes.as_deref() };
        self.keep(from.ip(), frame::tcp(from, to, outgoing.segment, contents), comment);
    }

    fn datagram(&mut self, ends: Ends, length: usize, delivery: Delivery) {
        let contents = self.next_datagrams.get_mut(&ends).and_then(VecDeque::pop_front);
        let bytes = contents.as_deref().filter(|bytes| bytes.len() == length);
        let contents = Contents { length, bytes };
        let frame = frame::udp(ends.0, ends.1, contents);
        if let Some(frame) = &frame {
            self.last_datagrams.insert(ends, frame.clone());
        }
        self.keep(ends.0.ip(), frame, lost(delivery));
    }

    /// Nobody is at the first, where a datagram has come to from the second.
    fn unreachable(&mut self, (at, to): Ends, delivery: Delivery) {
        let datagram = self.last_datagrams.get(&(to, at));
        let frame = datagram.and_then(|datagram| frame::unreachable(at.ip(), to.ip(), datagram));
        self.keep(at.ip(), frame, lost(delivery));
    }

    fn keep(&mut self, from: IpAddr, frame: Option<Frame>, comment: Option<&str>) {
        let Some(frame) = frame else { return };
        if self.packets.len() == KEPT {
            self.packets.pop_front();
            self.left_out += 1;
        }
        let mut comments = std::mem::take(&mut self.comments);
        comments.extend(comment.map(str::to_owned));
        self.packets.push_back(CapturedPacket { at: self.now, from, frame, comments });
    }
}

fn lost(delivery: Delivery) -> Option<&'static str> {
    (delivery == Delivery::Lost).then_some("lost")
}

fn sorted((one, other): Ends) -> Ends {
    if one <= other { (one, other) } else { (other, one) }
}
