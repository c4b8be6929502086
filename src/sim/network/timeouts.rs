//! When TCP sends again what was lost, as Linux does by default.

use std::time::Duration;

use crate::driver::memory::{Packet, Retry};

/// Before the first retransmission on a connection, and of a request to connect.
const FIRST_TIMEOUT: Duration = Duration::from_millis(200);
const FIRST_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Each is twice the one before, up to this.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(120);
/// `tcp_retries2` and `tcp_syn_retries`: after 924 s, and 127 s, the connection has failed.
const RETRIES: u32 = 15;
const CONNECT_RETRIES: u32 = 6;

/// When something that was lost `losses` times in a row is sent again.
pub(super) fn retry(packet: Packet, losses: u32) -> Retry {
    let (first, most) = match packet {
        // Nobody waits for an answer to it, or asks again by himself.
        Packet::Reset | Packet::Probe | Packet::Alive => return Retry::Never,
        Packet::Connect | Packet::Accept | Packet::Refuse => {
            (FIRST_CONNECT_TIMEOUT, CONNECT_RETRIES)
        }
        Packet::Bytes(_)
        | Packet::End
        | Packet::Room
        | Packet::Datagram(_)
        | Packet::Unreachable => (FIRST_TIMEOUT, RETRIES),
    };
    if losses > most + 1 {
        return Retry::Never;
    }
    let wait = first.saturating_mul(1 << losses.saturating_sub(1).min(20));
    Retry::After(wait.min(LONGEST_TIMEOUT))
}
