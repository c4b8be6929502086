//! What sockets send to each other.

use std::fmt;

/// What hosts send to each other.
///
/// It stands for as many packets of IP as it takes: those are made when they are
/// [recorded](crate::sim::Simulation::record_packets).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(not(feature = "sim"), expect(unreachable_pub, reason = "traces of simulations show it"))]
pub enum Packet {
    /// A wish to connect: SYN.
    Connect,
    /// The connect succeeds: SYN and ACK.
    Accept,
    /// The connect fails: nobody listens there, or too many wait to be accepted.
    Refuse,
    /// A datagram has come to where nobody is.
    Unreachable,
    /// So many bytes of a stream.
    Bytes(usize),
    /// The end of one direction of a stream: FIN.
    End,
    /// The end of a connection: RST.
    Reset,
    /// News that the receiver has room again, which the sender waits for: a window update.
    Room,
    /// A datagram of so many bytes.
    Datagram(usize),
    /// A question whether the other side is there: keep-alive.
    Probe,
    /// It is.
    Alive,
}

impl fmt::Display for Packet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => formatter.write_str("connect"),
            Self::Accept => formatter.write_str("accept"),
            Self::Refuse => formatter.write_str("refuse"),
            Self::Unreachable => formatter.write_str("unreachable"),
            Self::Bytes(count) => write!(formatter, "{count} bytes"),
            Self::End => formatter.write_str("end"),
            Self::Reset => formatter.write_str("reset"),
            Self::Room => formatter.write_str("room"),
            Self::Datagram(count) => write!(formatter, "datagram of {count} bytes"),
            Self::Probe => formatter.write_str("probe"),
            Self::Alive => formatter.write_str("alive"),
        }
    }
}
