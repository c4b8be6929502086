//! What a dump of the loop says of a stream.

use std::time::Duration;

use super::Stream;
use crate::address::Address;
use crate::driver::TransportId;
use crate::event_loop::Core;
use crate::protocol::type_name_in;

pub(crate) struct ConnectionFacts {
    pub(crate) id: TransportId,
    pub(crate) protocol: &'static str,
    pub(crate) local_address: Option<Address>,
    pub(crate) peer_address: Option<Address>,
    pub(crate) is_reading: bool,
    pub(crate) is_closing: bool,
    pub(crate) write_buffer_size: usize,
    pub(crate) idle: Duration,
}

impl Stream {
    /// `None` if there is nothing to say any more.
    pub(crate) fn describe(&self, core: &Core) -> Option<ConnectionFacts> {
        if self.is_closed() {
            return None;
        }
        Some(ConnectionFacts {
            id: TransportId(self.key),
            protocol: type_name_in(&self.protocol),
            local_address: self.socket.local_address(),
            peer_address: self.peer.clone().or_else(|| self.socket.peer_address()),
            is_reading: self.is_reading(),
            is_closing: self.is_closing(),
            write_buffer_size: self.write_buffer_size(core),
            idle: core.driver.now().saturating_duration_since(self.active_at.get()),
        })
    }
}
