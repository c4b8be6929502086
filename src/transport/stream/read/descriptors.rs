//! Descriptors that come with bytes.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::{NOT_READING, READS_PER_TURN};
use crate::event_loop::Core;
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;

/// A read that may deliver goes on while of these only `READABLE` is set.
const MAY_READ: Flags = NOT_READING.union(Flags::READABLE).union(Flags::LEFTOVER);

impl Stream {
    /// Reads until the system says that it is the end: a short read can mean that descriptors came
    /// with the bytes.
    pub(in crate::transport::stream) fn read_with_descriptors(
        self: &Rc<Self>,
        core: &Rc<Core>,
        buffer: &mut [u8],
    ) {
        let most = self.reading.descriptors();
        for _ in 0..READS_PER_TURN {
            if !self.flags.get().matches(Flags::READABLE, MAY_READ) {
                break;
            }
            let room = self.read_room(core, buffer.len());
            if room == 0 {
                break;
            }
            match self.socket.read_with_descriptors(&mut buffer[..room], most) {
                Ok((count, descriptors)) if count > 0 => {
                    self.count_received(core, count);
                    self.deliver_descriptors(core, descriptors);
                    // The bytes were read with them: if the protocol no longer reads they wait.
                    self.deliver_or_keep(core, &buffer[..count]);
                }
                result => return self.nothing_read(core, result.map(|(count, _)| count)),
            }
        }
        self.enqueue_if_readable(core);
    }

    fn deliver_descriptors(self: &Rc<Self>, core: &Rc<Core>, descriptors: Vec<OwnedFd>) {
        if descriptors.is_empty() {
            return;
        }
        self.call(core, "descriptors_received", |protocol, transport| {
            protocol.descriptors_received(transport, descriptors)
        });
        if self.needs_update() {
            self.update(core);
        }
    }
}
