//! The sending side: gathered in a callback, queued otherwise, handed over in batches.

use std::io;
use std::rc::Rc;

use super::flags::Flags;
use super::{DatagramEndpoint, DropPolicy, OVERHEAD, Outbox, SendStatus};
use crate::error::Error;
use crate::event_loop::Core;
use crate::net::Address;

/// What one callback can send before it goes out.
const GATHER_LIMIT: usize = 256 * 1024;

impl DatagramEndpoint {
    pub(super) fn send(
        self: &Rc<Self>,
        core: &Rc<Core>,
        data: &[u8],
        to: Option<&Address>,
    ) -> Result<SendStatus, Error> {
        if self.has(Flags::CLOSING.and(Flags::LOST)) {
            return Ok(SendStatus::Closed);
        }
        let to = match to {
            Some(to) => self.reach.destination(to)?,
            None => self.reach.default_destination()?,
        };
        self.check_size(data.len())?;
        Ok(self.push(core, data, to))
    }

    pub(super) fn send_segments(
        self: &Rc<Self>,
        core: &Rc<Core>,
        data: &[u8],
        size: usize,
        to: Option<&Address>,
    ) -> Result<SendStatus, Error> {
        if size == 0 {
            return Err(Error::invalid("datagrams of 0 bytes would be without number"));
        }
        if self.has(Flags::CLOSING.and(Flags::LOST)) {
            return Ok(SendStatus::Closed);
        }
        let to = match to {
            Some(to) => self.reach.destination(to)?,
            None => self.reach.default_destination()?,
        };
        self.check_size(size.min(data.len()))?;
        let mut status = SendStatus::Accepted;
        for run in data.chunks(size.saturating_mul(Outbox::run_of(size))) {
            status = self.push_run(core, run, size, to);
        }
        Ok(status)
    }

    fn push_run(
        self: &Rc<Self>,
        core: &Rc<Core>,
        run: &[u8],
        size: usize,
        to: Option<&Address>,
    ) -> SendStatus {
        if self.has(Flags::IN_CALLBACK) && self.queue.borrow().is_none() {
            return self.gather(core, |gather| gather.push_run(run, size, to));
        }
        let mut status = SendStatus::Accepted;
        for segment in run.chunks(size) {
            status = self.push(core, segment, to);
        }
        status
    }

    pub(super) fn send_many_to(
        self: &Rc<Self>,
        core: &Rc<Core>,
        datagrams: &[(&[u8], &Address)],
    ) -> Result<usize, Error> {
        for (data, to) in datagrams {
            self.reach.destination(to)?;
            self.check_size(data.len())?;
        }
        let mut taken = 0;
        for (data, to) in datagrams {
            taken += usize::from(self.send(core, data, Some(to))?.is_taken());
        }
        Ok(taken)
    }

    #[inline]
    fn check_size(&self, len: usize) -> Result<(), Error> {
        let largest = self.reach.largest();
        if len <= largest {
            return Ok(());
        }
        Err(too_large(len, largest))
    }

    #[inline]
    fn push(self: &Rc<Self>, core: &Rc<Core>, data: &[u8], to: Option<&Address>) -> SendStatus {
        if self.has(Flags::IN_CALLBACK) && self.queue.borrow().is_none() {
            return self.gather(core, |gather| gather.push(data, to));
        }
        self.queue(core, data, to)
    }

    #[inline]
    fn gather(self: &Rc<Self>, core: &Rc<Core>, push: impl FnOnce(&mut Outbox)) -> SendStatus {
        let mut gather = core.datagrams.gather.borrow_mut();
        push(&mut gather);
        if gather.size() < GATHER_LIMIT {
            return SendStatus::Accepted;
        }
        drop(gather);
        self.flush_gathered(core);
        self.send_status()
    }

    fn send_status(&self) -> SendStatus {
        if self.has(Flags::LOST) {
            SendStatus::Closed
        } else if self.queue_size() > self.high_water.get() {
            self.set(Flags::TOLD_ABOVE);
            SendStatus::AboveHighWater
        } else {
            SendStatus::Accepted
        }
    }

    #[cold]
    #[inline(never)]
    fn queue(self: &Rc<Self>, core: &Rc<Core>, data: &[u8], to: Option<&Address>) -> SendStatus {
        let size = data.len() + OVERHEAD;
        if self.queue_size() + size > self.queue_limit.get() {
            // Much was sent from elsewhere in one round: it need not wait for its end. The marks
            // are judged then, whatever becomes of this one.
            self.settle_soon(core);
            self.flush(core);
            if self.has(Flags::LOST) {
                return SendStatus::Closed;
            }
        }
        if let Some(status) = self.refuse(size) {
            return status;
        }
        self.queue.borrow_mut().get_or_insert_default().push(data, to);
        self.settle_soon(core);
        self.send_status()
    }

    /// What becomes of a datagram for which there is no room.
    fn refuse(&self, size: usize) -> Option<SendStatus> {
        let limit = self.queue_limit.get();
        while self.queue_size() + size > limit {
            match self.drop_policy.get() {
                DropPolicy::Oldest if self.queue_size() > 0 => {
                    self.counts.change(|counts| counts.dropped += 1);
                    self.advance_queue(1);
                }
                DropPolicy::Newest | DropPolicy::Oldest => {
                    self.counts.change(|counts| counts.dropped += 1);
                    return Some(SendStatus::Dropped);
                }
                DropPolicy::Refuse => {
                    self.counts.change(|counts| counts.refused += 1);
                    // It is owed a `resume_writing`.
                    self.set(Flags::TOLD_ABOVE.and(Flags::UNSETTLED));
                    return Some(SendStatus::Refused);
                }
            }
        }
        None
    }

    /// What waits to be sent; what is gathered is not counted, as it is about to go.
    #[inline]
    pub(super) fn queue_size(&self) -> usize {
        self.queue.borrow().as_ref().map_or(0, |queue| queue.size())
    }

    fn advance_queue(&self, count: usize) -> usize {
        let mut place = self.queue.borrow_mut();
        let Some(queue) = place.as_mut() else { return 0 };
        let bytes = queue.advance(count);
        if queue.is_empty() {
            *place = None;
        }
        bytes
    }

    /// Sends what the callback that has just returned sent from its own endpoint.
    #[inline]
    pub(super) fn flush_gathered(self: &Rc<Self>, core: &Rc<Core>) {
        let mut gathered = core.datagrams.gather.borrow_mut();
        if gathered.is_empty() {
            return;
        }
        self.hand_over(core, &mut gathered);
        if !gathered.is_empty() {
            if self.has(Flags::LOST) {
                self.count_discarded(gathered.datagrams());
                gathered.clear();
            } else {
                gathered.move_to(self.queue.borrow_mut().get_or_insert_default());
                self.set(Flags::UNSETTLED);
                self.enforce_limit();
            }
        }
    }

    /// What one callback sent can be more than may wait.
    fn enforce_limit(&self) {
        let limit = self.queue_limit.get();
        while self.queue_size() > limit && self.queue_datagrams() > 1 {
            self.counts.change(|counts| counts.dropped += 1);
            self.advance_queue(1);
        }
    }

    fn queue_datagrams(&self) -> usize {
        self.queue.borrow().as_ref().map_or(0, |queue| queue.datagrams())
    }

    /// Hands the queue to the operating system until it takes no more.
    pub(super) fn flush(self: &Rc<Self>, core: &Rc<Core>) {
        if !self.has(Flags::WRITABLE) {
            return;
        }
        let Some(mut queue) = self.queue.take() else { return };
        self.hand_over(core, &mut queue);
        if queue.is_empty() {
            self.watch_room(core, false);
        } else if self.has(Flags::LOST) {
            self.count_discarded(queue.datagrams());
        } else {
            *self.queue.borrow_mut() = Some(queue);
        }
    }

    /// Hands over what the operating system takes. What it refuses is gone, and reported.
    fn hand_over(self: &Rc<Self>, core: &Rc<Core>, outbox: &mut Outbox) {
        let mut retried = false;
        while !outbox.is_empty() && self.has(Flags::WRITABLE) && !self.has(Flags::LOST) {
            let result = self.socket.borrow().send(outbox);
            match result {
                Ok(count) => {
                    let bytes = outbox.advance(count);
                    self.counts.change(|counts| counts.sent += count as u64);
                    core.counters.add_sent(bytes);
                    retried = false;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.clear(Flags::WRITABLE);
                    self.watch_room(core, true);
                }
                Err(error) if self.is_about_another(&error) && !retried => {
                    retried = true;
                    self.counts.change(|counts| counts.errors_received += 1);
                    self.tell_error(Error::io("an earlier datagram was not received", error));
                }
                Err(error) if error.kind() == io::ErrorKind::NotConnected && !retried => {
                    retried = true;
                    if let Err(error) = self.reconnect(error) {
                        self.refuse_first(outbox, error);
                        retried = false;
                    }
                }
                Err(error) => {
                    self.refuse_first(outbox, error);
                    retried = false;
                }
            }
        }
    }

    /// The first datagram is not going to be sent.
    #[cold]
    fn refuse_first(&self, outbox: &mut Outbox, error: io::Error) {
        let error = self.send_failed(outbox, error);
        self.tell_error(error);
        outbox.advance(1);
        self.counts.change(|counts| counts.send_errors += 1);
    }

    /// The peer's Unix socket was closed; another may be there by now.
    #[cold]
    fn reconnect(&self, error: io::Error) -> io::Result<()> {
        match &self.reach.remote {
            Some(remote) if self.reach.connected => self.socket.borrow().reconnect(remote),
            _ => Err(error),
        }
    }

    /// Whether a failed send says what the network did to an earlier datagram. That takes the error
    /// away, and this datagram can be sent.
    fn is_about_another(&self, error: &io::Error) -> bool {
        self.reach.connected
            && self.reach.family != super::Family::Unix
            && error.kind() == io::ErrorKind::ConnectionRefused
    }

    #[cold]
    fn send_failed(&self, outbox: &Outbox, error: io::Error) -> Error {
        let to =
            outbox.iter().next().and_then(|datagram| datagram.to).or(self.reach.remote.as_ref());
        let to = to.map_or_else(|| "the peer".to_owned(), Address::to_string);
        Error::io(format!("a datagram could not be sent to {to}"), error)
    }

    pub(super) fn count_discarded(&self, count: usize) {
        self.counts.change(|counts| counts.discarded += count as u64);
    }
}

#[cold]
fn too_large(len: usize, largest: usize) -> Error {
    Error::invalid(format!("a datagram of {len} bytes is too large: at most {largest} can be sent"))
}
