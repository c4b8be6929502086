//! Descriptors that are passed with bytes, out and in.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use bytes::Bytes;

use super::Stream;
use super::flags::Flags;
use super::read::{NOT_READING, READS_PER_TURN};
use crate::driver::MOST_PER_MESSAGE;
use crate::error::{Error, Kind};
use crate::event_loop::Core;
use crate::transport::WriteStatus;
use crate::transport::rate_limit::Direction;

/// The most descriptors that may wait to be sent on one connection.
const MOST_WAITING: usize = 1024;

/// A read that may deliver goes on while of these just `READABLE` is set.
const MAY_READ: Flags = NOT_READING.and(Flags::READABLE).and(Flags::LEFTOVER);

impl Stream {
    pub(super) fn write_with_descriptors(
        self: &Rc<Self>,
        core: &Rc<Core>,
        data: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<WriteStatus, Error> {
        if self.write_is_closed() || self.exceeds_write_cap(core) {
            return Ok(WriteStatus::Closed);
        }
        if descriptors.is_empty() {
            return Ok(self.write(core, data));
        }
        self.check_descriptors(data, descriptors.len())?;
        self.queue_gathered(core);
        let mut queue = self.queue.borrow_mut();
        let was_empty = queue.is_empty();
        queue.push_carrying(data, descriptors);
        drop(queue);
        self.note_queued(core, was_empty);
        Ok(self.write_status())
    }

    fn check_descriptors(&self, data: &[u8], count: usize) -> Result<(), Error> {
        if data.is_empty() {
            return Err(Error::invalid("descriptors are sent with bytes, and there are none"));
        }
        if count > MOST_PER_MESSAGE {
            let text = format!("{count} descriptors are more than {MOST_PER_MESSAGE} in one write");
            return Err(Error::invalid(text));
        }
        if !self.socket.passes_descriptors() || self.has(Flags::TLS) {
            let text = "descriptors are passed over Unix sockets of the operating system only, without TLS";
            return Err(Error::new(Kind::Unsupported, text));
        }
        let waiting = self.queue.borrow().descriptors();
        if waiting + count > MOST_WAITING {
            let text = format!("{waiting} descriptors wait to be sent, of at most {MOST_WAITING}");
            return Err(Error::new(Kind::WriteCap, text));
        }
        Ok(())
    }

    /// Reads until the system says that it is the end: a short read can mean that descriptors came
    /// with the bytes.
    #[cold]
    pub(super) fn read_with_descriptors(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) {
        let most = self.with_existing_extra(|extra| extra.descriptors);
        for _ in 0..READS_PER_TURN {
            if !self.flags.get().just(Flags::READABLE, MAY_READ) {
                break;
            }
            let mut room = buffer.len();
            if self.has(Flags::LIMITED) {
                room = self.read_budget(core, room);
                if room == 0 {
                    break;
                }
            }
            match self.socket.read_with_descriptors(&mut buffer[..room], most) {
                Ok((count, descriptors)) if count > 0 => {
                    if self.has(Flags::LIMITED) {
                        self.spend(Direction::Read, count);
                    }
                    core.counters.add_received(count);
                    self.active_at.set(core.tick_instant());
                    self.deliver_descriptors(core, descriptors);
                    self.deliver_after_descriptors(core, &buffer[..count]);
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
        if self.is_unsettled() {
            self.settle(core);
        }
    }

    /// The bytes that came with them are read already: if the protocol does not read any more they
    /// wait for when it does.
    fn deliver_after_descriptors(self: &Rc<Self>, core: &Rc<Core>, data: &[u8]) {
        if self.has(Flags::LOST.and(Flags::CLOSING)) {
            return;
        }
        if !self.is_reading() || self.has(Flags::LEFTOVER) {
            self.keep_leftover(core, Bytes::copy_from_slice(data));
            return self.enqueue_if_readable(core);
        }
        self.deliver(core, data);
    }
}
