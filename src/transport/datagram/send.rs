//! The sending side: gathered in a callback, queued otherwise, handed over in batches.

use std::io;
use std::rc::Rc;

use super::flags::Flags;
use super::{DatagramEndpoint, DropPolicy, SendStatus};
use crate::address::Address;
use crate::driver::Outbox;
use crate::error::Error;
use crate::event_loop::Core;

/// What one callback can send before it goes out.
const GATHER_LIMIT: usize = 256 * 1024;

impl DatagramEndpoint {
    pub(super) fn send(
        self: &Rc<Self>,
        core: &Rc<Core>,
        data: &[u8],
        to: Option<&Address>,
    ) -> Result<SendStatus, Error> {
        if self.has(Flags::CLOSING.union(Flags::CLOSED)) {
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
        if self.has(Flags::CLOSING.union(Flags::CLOSED)) {
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
        if self.has(Flags::GATHERS) && self.queue.borrow().is_none() {
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
        if self.has(Flags::GATHERS) && self.queue.borrow().is_none() {
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
        self.answer_send()
    }

    /// How a send is answered. If the answer is that it went above the high-water mark, a pause must
    /// follow.
    pub(super) fn answer_send(&self) -> SendStatus {
        let status = self.send_status();
        if status == SendStatus::AboveHighWater {
            self.set(Flags::PAUSE_OWED);
        }
        status
    }

    fn send_status(&self) -> SendStatus {
        if self.has(Flags::CLOSED) {
            SendStatus::Closed
        } else if self.marks.is_above(self.queue_size()) {
            SendStatus::AboveHighWater
        } else {
            SendStatus::Accepted
        }
    }

    #[cold]
    fn queue(self: &Rc<Self>, core: &Rc<Core>, data: &[u8], to: Option<&Address>) -> SendStatus {
        if let Some(to) = to
            && self.is_answered_at_once()
        {
            return self.send_or_refuse(core, data, to);
        }
        let size = Outbox::weight(data, to);
        if self.queue_size() + size > self.queue_limit.get() {
            // Much was sent from elsewhere in one round: it need not wait for its end. The marks
            // are judged then, whatever becomes of this one.
            self.update_soon(core);
            self.flush(core);
            if self.has(Flags::CLOSED) {
                return SendStatus::Closed;
            }
            if let Some(to) = to
                && self.could_go_now(to)
            {
                return self.send_now(core, data, to);
            }
        }
        if let Some(status) = self.refuse(size, to) {
            return status;
        }
        self.queue.borrow_mut().get_or_insert_default().push(data, to);
        self.update_soon(core);
        self.answer_send()
    }

    /// What becomes of a datagram for which there is no room.
    pub(super) fn refuse(&self, size: usize, to: Option<&Address>) -> Option<SendStatus> {
        if self.make_room(size, to) {
            return None;
        }
        if self.drop_policy.get() == DropPolicy::Refuse {
            self.counts.change(|counts| counts.refused += 1);
            // It is owed a `resume_writing`.
            self.set(Flags::PAUSE_OWED.union(Flags::NEEDS_UPDATE));
            return Some(SendStatus::Refused);
        }
        self.counts.change(|counts| counts.dropped += 1);
        Some(SendStatus::Dropped)
    }

    /// Drops others to make room for a datagram, as the policy says. Returns whether there is room.
    pub(super) fn make_room(&self, size: usize, to: Option<&Address>) -> bool {
        let limit = self.queue_limit.get();
        if size > limit {
            // There never is: the others stay.
            return false;
        }
        loop {
            let needed = (self.queue_size() + size).saturating_sub(limit);
            if needed == 0 {
                return true;
            }
            let dropped = match self.drop_policy.get() {
                DropPolicy::Oldest => self.drop_oldest(),
                DropPolicy::Newest => self.drop_newest_of_others(to, size, needed),
                DropPolicy::Refuse => 0,
            };
            if dropped == 0 {
                return false;
            }
            self.counts.change(|counts| counts.dropped += dropped as u64);
        }
    }

    /// What waits for a receiver was sent before what was not tried yet. How many went.
    fn drop_oldest(&self) -> usize {
        if self.drop_oldest_of_lanes() {
            return 1;
        }
        let any = self.queue.borrow().is_some();
        self.advance_queue(1);
        usize::from(any)
    }

    /// What waits to be sent; what is gathered is not counted, as it is about to go.
    #[inline]
    pub(super) fn queue_size(&self) -> usize {
        let queued = self.queue.borrow().as_ref().map_or(0, |queue| queue.size());
        if self.has(Flags::HAS_LANES) { queued + self.lanes_size() } else { queued }
    }

    pub(super) fn queue_datagrams(&self) -> usize {
        let queued = self.queue.borrow().as_ref().map_or(0, |queue| queue.datagrams());
        queued + self.lanes_datagrams()
    }

    fn advance_queue(&self, count: usize) {
        let mut place = self.queue.borrow_mut();
        if let Some(queue) = place.as_mut() {
            queue.advance(count);
            queue.fit();
            if queue.is_empty() {
                *place = None;
            }
        }
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
            if self.has(Flags::CLOSED) {
                self.count_discarded(gathered.datagrams());
                gathered.clear();
            } else {
                gathered.move_to(self.queue.borrow_mut().get_or_insert_default());
                self.set(Flags::NEEDS_UPDATE);
                self.enforce_limit();
            }
        }
    }

    /// The running callback gathers no more: what it sends from here on is answered by the queue.
    pub(super) fn end_gathering(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::GATHERS) {
            self.flush_gathered(core);
            self.clear(Flags::GATHERS);
        }
    }

    /// What one callback sent can be more than may wait.
    fn enforce_limit(&self) {
        let limit = self.queue_limit.get();
        let mut place = self.queue.borrow_mut();
        let Some(queue) = place.as_mut() else { return };
        let before = queue.datagrams();
        while queue.size() > limit && queue.datagrams() > 1 {
            match self.drop_policy.get() {
                DropPolicy::Oldest => {
                    queue.advance(1);
                }
                DropPolicy::Newest | DropPolicy::Refuse => queue.pop_last(),
            }
        }
        queue.fit();
        let dropped = before - queue.datagrams();
        self.counts.change(|counts| counts.dropped += dropped as u64);
    }

    /// Hands the queue to the operating system until it takes no more.
    pub(super) fn flush(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::HAS_LANES) {
            self.flush_lanes(core);
        } else if !self.has(Flags::WRITABLE) {
            return;
        }
        let Some(mut queue) = self.queue.take() else { return };
        self.hand_over(core, &mut queue);
        if queue.is_empty() {
            self.watch_room(core, false);
        } else if self.has(Flags::CLOSED) {
            self.count_discarded(queue.datagrams());
        } else {
            queue.fit();
            *self.queue.borrow_mut() = Some(queue);
        }
    }

    /// Hands over what the operating system takes. What it refuses is gone, and reported.
    fn hand_over(self: &Rc<Self>, core: &Rc<Core>, outbox: &mut Outbox) {
        while !outbox.is_empty()
            && self.has(Flags::WRITABLE)
            && !self.has(Flags::CLOSED.union(Flags::HAS_LANES))
        {
            let result = self.socket.borrow().send(outbox);
            match result {
                Ok(count) => self.note_sent(core, outbox.advance(count), count),
                Err(error) => self.send_refused(core, outbox, error),
            }
        }
        if self.has(Flags::HAS_LANES) && !outbox.is_empty() {
            self.hand_over_each(core, outbox);
        }
    }

    #[inline]
    pub(super) fn note_sent(&self, core: &Core, bytes: usize, count: usize) {
        self.counts.change(|counts| counts.sent += count as u64);
        core.counters.add_sent(bytes);
    }

    /// The first datagram was not sent: for now, because of an earlier one, or for good.
    #[cold]
    fn send_refused(self: &Rc<Self>, core: &Rc<Core>, outbox: &mut Outbox, error: io::Error) {
        let error = match error.kind() {
            io::ErrorKind::WouldBlock => error,
            io::ErrorKind::NotConnected => match self.reconnect(error) {
                Ok(()) => match self.socket.borrow().send(outbox) {
                    Ok(count) => return self.note_sent(core, outbox.advance(count), count),
                    Err(error) => error,
                },
                Err(error) => error,
            },
            _ => {
                let again = self.socket.borrow().send_again(outbox, error);
                if let Some(earlier) = again.earlier {
                    self.tell_earlier(earlier);
                }
                match again.result {
                    Ok(count) => return self.note_sent(core, outbox.advance(count), count),
                    Err(error) => error,
                }
            }
        };
        if error.kind() != io::ErrorKind::WouldBlock {
            self.refuse_first(outbox, error);
        } else if self.reach.by_destination {
            self.hand_over_behind(core, outbox);
        } else {
            self.clear(Flags::WRITABLE);
            self.watch_room(core, true);
        }
    }

    /// The network said something to a datagram that was sent before.
    #[cold]
    pub(super) fn tell_earlier(&self, error: io::Error) {
        self.counts.change(|counts| counts.errors_received += 1);
        self.tell_error(Error::io("an earlier datagram was not received", error));
    }

    /// The first datagram is not going to be sent.
    #[cold]
    pub(super) fn refuse_first(&self, outbox: &mut Outbox, error: io::Error) {
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

    #[cold]
    pub(super) fn send_failed(&self, outbox: &Outbox, error: io::Error) -> Error {
        let to = outbox.first().and_then(|datagram| datagram.to).or(self.reach.remote.as_ref());
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
