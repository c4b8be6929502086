//! A connection as it is seen on the wire: which segments of TCP pass when sockets of the simulation send.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::frame::{ACK, FIN, LARGEST, PSH, RST, SYN, Segment, WINDOW_SHIFT};
use crate::sim::trace::Packet;

/// A connection, with the state that kernels would have on both sides.
#[derive(Debug)]
pub(super) struct Connection {
    /// The first is who connects.
    sides: [Side; 2],
}

/// A segment that one side sends.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) side: usize,
    pub(super) segment: Segment,
    pub(super) length: usize,
    /// `None`: not recorded.
    pub(super) bytes: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Side {
    address: SocketAddr,
    initial: u32,
    /// The first byte that has not left, or is to be sent again.
    next: u64,
    /// The first byte that has not arrived.
    delivered: u64,
    fin: Fin,
    on_its_way: VecDeque<Piece>,
    /// What was written and has not arrived, if it is recorded, from byte `begin` on.
    contents: Option<VecDeque<u8>>,
    begin: u64,
    /// How much more it takes, and what it has said of that.
    room: usize,
    advertised: usize,
    /// The handshake is over, seen from here.
    is_joined: bool,
    /// A reset or a refusal has come: nothing is sent any more.
    is_dead: bool,
    /// It has sent a reset: its socket is gone.
    is_gone: bool,
    /// It has sent a reset, and heard nothing since.
    has_reset: bool,
    /// News of room was lost.
    room_was_lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fin {
    Unsent,
    Sent,
    Arrived,
}

/// What is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Accept,
    Refuse,
    /// From this byte on, so many.
    Bytes(u64, usize),
    End,
    Reset,
    /// Something that has no effect, or that a kernel would not have sent.
    Other,
}

/// What a socket takes before anything is in it.
const ROOM: usize = 64 * 1024;

impl Connection {
    /// Between who connects and another. `is_new`: its handshake is seen.
    pub(super) fn new(
        addresses: [SocketAddr; 2],
        number: u32,
        is_new: bool,
        contents: bool,
    ) -> Self {
        let side = |which: u32, address| Side {
            address,
            // Apart from each other, and the same in each run.
            initial: number.wrapping_mul(0x0001_0000).wrapping_add(which * 0x4000_0000),
            next: 0,
            delivered: 0,
            fin: Fin::Unsent,
            on_its_way: VecDeque::new(),
            contents: (contents && is_new).then(VecDeque::new),
            begin: 0,
            room: ROOM,
            advertised: ROOM,
            is_joined: !is_new,
            is_dead: false,
            is_gone: false,
            has_reset: false,
            room_was_lost: false,
        };
        let [first, second] = addresses;
        Self { sides: [side(1, first), side(2, second)] }
    }

    /// Which side has this address.
    pub(super) fn side(&self, address: SocketAddr) -> usize {
        usize::from(self.sides[0].address != address)
    }

    /// Another connect from `side` is the same request sent again.
    pub(super) fn is_requested_by(&self, side: usize) -> bool {
        side == 0 && !self.sides[1].is_joined && !self.sides[0].is_dead
    }

    /// Whether `side` has anything to acknowledge to a peer that hears it.
    pub(super) fn is_alive(&self, side: usize) -> bool {
        let side = &self.sides[side];
        side.is_joined && !side.is_dead && !side.is_gone
    }

    pub(super) fn address(&self, side: usize) -> SocketAddr {
        self.sides[side].address
    }

    /// Something was written: it passes later.
    pub(super) fn wrote(&mut self, side: usize, bytes: &[u8]) {
        if let Some(contents) = &mut self.sides[side].contents {
            contents.extend(bytes);
        }
    }

    /// `side` takes so much more. Whether its peer has to be told without being asked.
    pub(super) fn has_room(&mut self, side: usize, room: usize) -> bool {
        let side = &mut self.sides[side];
        side.room = room;
        side.advertised < ROOM / 2 && room > side.advertised && room >= 2 * side.advertised
    }

    /// Something leaves `side`, and is perhaps lost.
    pub(super) fn sent(&mut self, side: usize, packet: Packet, is_lost: bool) -> Vec<Outgoing> {
        let mut out = Vec::new();
        let piece = self.leave(side, packet, is_lost, &mut out);
        if !is_lost {
            self.sides[side].on_its_way.push_back(piece);
        }
        out
    }

    /// Whether nothing is on its way from `side`.
    pub(super) fn is_clear(&self, side: usize) -> bool {
        self.sides[side].on_its_way.is_empty()
    }

    fn leave(
        &mut self,
        side: usize,
        packet: Packet,
        is_lost: bool,
        out: &mut Vec<Outgoing>,
    ) -> Piece {
        let own = &self.sides[side];
        let is_silent = own.is_dead || !own.is_joined;
        match packet {
            Packet::Connect => {
                out.push(self.bare(side, SYN));
                Piece::Other
            }
            Packet::Accept => {
                self.sides[side].is_joined = true;
                out.push(self.bare(side, SYN | ACK));
                Piece::Accept
            }
            Packet::Refuse => {
                out.push(self.bare(side, RST | ACK));
                self.sides[side].is_dead = true;
                Piece::Refuse
            }
            Packet::Bytes(length) if !is_silent => self.leave_bytes(side, length, is_lost, out),
            // A socket that is closed ends a direction that was ended before.
            Packet::End if !is_silent && own.fin == Fin::Unsent && !own.is_gone => {
                out.push(self.bare(side, FIN | ACK));
                if !is_lost {
                    self.sides[side].fin = Fin::Sent;
                }
                Piece::End
            }
            Packet::Reset if !is_silent && !own.has_reset => {
                self.sides[side].has_reset = true;
                self.sides[side].is_gone = true;
                out.push(self.bare(side, RST | ACK));
                Piece::Reset
            }
            Packet::Room if !is_silent => {
                if own.room != own.advertised || is_lost || own.room_was_lost {
                    out.push(self.bare(side, ACK));
                }
                self.sides[side].room_was_lost = is_lost;
                Piece::Other
            }
            _ => Piece::Other,
        }
    }

    fn leave_bytes(
        &mut self,
        side: usize,
        length: usize,
        is_lost: bool,
        out: &mut Vec<Outgoing>,
    ) -> Piece {
        let begin = self.sides[side].next;
        let mut done = 0;
        while done < length {
            let part = (length - done).min(LARGEST);
            let from = begin + done as u64;
            done += part;
            let flags = if done == length { PSH | ACK } else { ACK };
            let mut outgoing = self.bare(side, flags);
            outgoing.segment.sequence = self.sides[side].sequence(from);
            outgoing.length = part;
            outgoing.bytes = self.sides[side].contents_of(from, part);
            out.push(outgoing);
        }
        if !is_lost {
            self.sides[side].next = begin + length as u64;
        }
        Piece::Bytes(begin, length)
    }

    /// A segment without contents.
    pub(super) fn bare(&mut self, side: usize, flags: u8) -> Outgoing {
        let is_first = flags & SYN != 0;
        let (own, other) = (&self.sides[side], &self.sides[1 - side]);
        let sequence = match own.fin {
            _ if is_first => own.initial,
            // It has answered a request, and nothing else.
            _ if !own.is_joined => 0,
            Fin::Unsent => own.sequence(own.next),
            Fin::Sent | Fin::Arrived => own.sequence(own.next + 1),
        };
        let end = u64::from(other.fin == Fin::Arrived);
        let acknowledged = if flags & ACK == 0 { 0 } else { other.sequence(other.delivered + end) };
        let room = own.room;
        // In the handshake there are no units yet.
        let window = if is_first { room } else { room.div_ceil(1 << WINDOW_SHIFT) };
        let window = if flags & RST == 0 { u16::try_from(window).unwrap_or(u16::MAX) } else { 0 };
        self.sides[side].advertised = room;
        let segment = Segment { sequence, acknowledged, flags, window, has_options: is_first };
        Outgoing { side, segment, length: 0, bytes: Some(Vec::new()) }
    }

    /// A probe of keep-alive, which sends again a byte that was acknowledged, or its answer.
    pub(super) fn keep_alive(&mut self, side: usize, packet: Packet) -> Outgoing {
        let mut outgoing = self.bare(side, ACK);
        if packet == Packet::Probe {
            outgoing.segment.sequence = outgoing.segment.sequence.wrapping_sub(1);
        }
        outgoing
    }

    /// The first of what is on its way from `side` arrives. Whether its peer has to acknowledge it.
    pub(super) fn arrived(&mut self, side: usize) -> Acknowledges {
        let Some(piece) = self.sides[side].on_its_way.pop_front() else { return Acknowledges::No };
        let other = &mut self.sides[1 - side];
        other.has_reset &= piece == Piece::Other;
        match piece {
            Piece::Accept => {
                other.is_joined = true;
                return Acknowledges::AtOnce;
            }
            Piece::Refuse | Piece::Reset => other.is_dead = true,
            Piece::Bytes(begin, length) => {
                self.sides[side].deliver(begin + length as u64);
                return Acknowledges::Soon;
            }
            Piece::End => {
                self.sides[side].fin = Fin::Arrived;
                return Acknowledges::Soon;
            }
            Piece::Other => {}
        }
        Acknowledges::No
    }

    /// The first of what is on its way from `side` comes to nobody: it is sent again, with all behind it.
    pub(super) fn missed(&mut self, side: usize) {
        let side = &mut self.sides[side];
        let first = side.on_its_way.iter().find_map(|piece| match piece {
            Piece::Bytes(begin, _) => Some(*begin),
            _ => None,
        });
        side.next = first.unwrap_or(side.next);
        if side.fin == Fin::Sent {
            side.fin = Fin::Unsent;
        }
        side.on_its_way.clear();
    }
}

/// Whether something that has arrived is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acknowledges {
    No,
    AtOnce,
    /// With what is sent next in the same instant, or at its end.
    Soon,
}

impl Side {
    fn sequence(&self, byte: u64) -> u32 {
        // Numbers go round, and the request counts as one.
        self.initial.wrapping_add(1).wrapping_add(byte as u32)
    }

    fn contents_of(&self, from: u64, length: usize) -> Option<Vec<u8>> {
        let begin = usize::try_from(from.checked_sub(self.begin)?).ok()?;
        let contents = self.contents.as_ref()?;
        (begin + length <= contents.len())
            .then(|| contents.range(begin..begin + length).copied().collect())
    }

    fn deliver(&mut self, until: u64) {
        self.delivered = self.delivered.max(until);
        if let Some(contents) = &mut self.contents {
            let done = usize::try_from(self.delivered - self.begin).unwrap_or(usize::MAX);
            contents.drain(..done.min(contents.len()));
            self.begin = self.delivered;
        }
    }
}
