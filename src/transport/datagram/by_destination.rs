//! Sending where each receiver is waited for by itself: on Unix sockets without a fixed peer.
//!
//! What is sent to a full receiver waits in a lane of its own (`lanes.rs`). Nothing in the system
//! tells when a receiver has room again, so it is tried, less and less often; in memory the driver
//! tells.
//!
//! The kernel charges what a receiver has not read to its sender's send buffer, with an overhead for each
//! datagram. Some 30 receivers that never read can use up that buffer for everybody, also with datagrams
//! of one byte. A program that sends to more should raise `send_buffer_size`.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::flags::Flags;
use super::lanes::LANE;
use super::{DatagramEndpoint, DropPolicy, SendStatus};
use crate::address::Address;
use crate::driver::{OVERHEAD, Outbox, Outgoing};
use crate::event_loop::{Callback, Core};
use crate::time::Backoff;

/// When a receiver that is full is tried again: first, and at least so often.
const FIRST_RETRY: Duration = Duration::from_millis(5);
const LAST_RETRY: Duration = Duration::from_millis(320);

/// How many datagrams are looked through together.
const CHUNK: usize = 32;

impl DatagramEndpoint {
    /// Hands over the datagrams to those who are not waited for; the others go to their lanes.
    /// Nothing is left.
    pub(super) fn hand_over_each(self: &Rc<Self>, core: &Rc<Core>, outbox: &mut Outbox) {
        let mut chunk = Chunk::default();
        loop {
            while chunk.outbox.datagrams() < CHUNK
                && let Some(datagram) = outbox.first()
            {
                self.put_in_line(core, &mut chunk, datagram, self.number());
                outbox.advance(1);
            }
            if chunk.outbox.is_empty() {
                break;
            }
            let result = self.socket.borrow().send(&chunk.outbox);
            match result {
                Ok(count) => self.note_sent(core, chunk.advance(count), count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.keep_first(core, &mut chunk);
                }
                Err(error) => {
                    self.refuse_first(&mut chunk.outbox, error);
                    chunk.numbers.pop_front();
                }
            }
        }
        self.watch_lanes(core);
    }

    /// The receiver of the first datagram is full: goes on with the others.
    pub(super) fn hand_over_behind(self: &Rc<Self>, core: &Rc<Core>, outbox: &mut Outbox) {
        if let Some(Outgoing { data, to: Some(to) }) = outbox.first() {
            self.keep(core, data, to, self.number());
        }
        outbox.advance(1);
        self.hand_over_each(core, outbox);
    }

    /// The receiver of the first in the chunk is full; others in it may be for the same.
    fn keep_first(&self, core: &Core, chunk: &mut Chunk) {
        let blocked = std::mem::take(chunk);
        for (position, (datagram, number)) in blocked.outbox.iter().zip(blocked.numbers).enumerate()
        {
            match datagram.to {
                Some(to) if position == 0 => self.keep(core, datagram.data, to, number),
                _ => self.put_in_line(core, chunk, datagram, number),
            }
        }
    }

    /// Behind those that wait for the same receiver, or into the chunk.
    fn put_in_line(&self, core: &Core, chunk: &mut Chunk, datagram: Outgoing<'_>, number: u64) {
        match datagram.to {
            Some(to) if self.is_waited_for(to) => self.keep(core, datagram.data, to, number),
            to => {
                chunk.outbox.push(datagram.data, to);
                chunk.numbers.push_back(number);
            }
        }
    }

    /// Lets a datagram wait for its receiver, if there is room for it.
    fn keep(&self, core: &Core, data: &[u8], to: &Address, number: u64) {
        if self.make_room(self.weight_in_lane(data, to), Some(to)) {
            self.push_to_lane(core, data, to, number);
        } else {
            // It was accepted, whatever the policy.
            self.counts.change(|counts| counts.dropped += 1);
        }
    }

    fn push_to_lane(&self, core: &Core, data: &[u8], to: &Address, number: u64) {
        let mut place = self.lanes.borrow_mut();
        let lanes = place.get_or_insert_default();
        if let Some(id) = lanes.find(to) {
            lanes.push(id, number, data);
        } else {
            let backoff = Backoff::new(FIRST_RETRY, LAST_RETRY, core.jitter_seed());
            let id = lanes.open(to, backoff, number, data);
            lanes.wait(id, self.retry_from(core));
        }
        drop(place);
        self.set(Flags::HAS_LANES);
    }

    /// The number of a datagram that may have to wait.
    fn number(&self) -> u64 {
        self.lanes.borrow_mut().get_or_insert_default().number()
    }

    /// The time from which a retry counts; none where the driver reports room.
    fn retry_from(&self, core: &Core) -> Option<u64> {
        let is_told = self.socket.borrow().tells_of_room();
        (!is_told).then(|| core.now())
    }

    /// What a datagram counts that waits for its receiver; the first one also counts the lane.
    fn weight_in_lane(&self, data: &[u8], to: &Address) -> usize {
        data.len() + OVERHEAD + if self.is_waited_for(to) { 0 } else { LANE }
    }

    fn is_waited_for(&self, to: &Address) -> bool {
        self.lanes.borrow().as_ref().is_some_and(|lanes| lanes.find(to).is_some())
    }

    /// Whether a datagram need not wait behind others, though the queue is full.
    pub(super) fn could_go_now(&self, to: &Address) -> bool {
        self.has(Flags::HAS_LANES) && self.queue.borrow().is_none() && !self.is_waited_for(to)
    }

    /// Whether a send has to try: a datagram that finds its receiver full takes more room than it took in the
    /// queue, and is not to be dropped once it was accepted.
    pub(super) fn is_answered_at_once(&self) -> bool {
        self.reach.by_destination
            && self.drop_policy.get() == DropPolicy::Refuse
            && self.queue.borrow().is_none()
    }

    pub(super) fn send_or_refuse(
        self: &Rc<Self>,
        core: &Rc<Core>,
        data: &[u8],
        to: &Address,
    ) -> SendStatus {
        self.update_soon(core);
        if !self.is_waited_for(to) {
            return self.send_now(core, data, to);
        }
        if let Some(status) = self.refuse(self.weight_in_lane(data, to), Some(to)) {
            return status;
        }
        self.push_to_lane(core, data, to, self.number());
        self.answer_send()
    }

    /// Sends one datagram at once: what waits for others must not keep it.
    pub(super) fn send_now(
        self: &Rc<Self>,
        core: &Rc<Core>,
        data: &[u8],
        to: &Address,
    ) -> SendStatus {
        let mut one = Outbox::default();
        one.push(data, Some(to));
        let result = self.socket.borrow().send(&one);
        match result {
            Ok(count) => self.note_sent(core, data.len(), count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Some(status) = self.refuse(self.weight_in_lane(data, to), Some(to)) {
                    return status;
                }
                self.push_to_lane(core, data, to, self.number());
                self.watch_lanes(core);
            }
            Err(error) => self.refuse_first(&mut one, error),
        }
        self.answer_send()
    }

    /// Tries again those whose time has come.
    pub(super) fn flush_lanes(self: &Rc<Self>, core: &Rc<Core>) {
        if !self.has(Flags::WRITABLE) {
            return;
        }
        self.clear(Flags::WRITABLE);
        let due = self.lanes.borrow().as_ref().map(|lanes| lanes.due(core.now()));
        let mut in_vain = 0;
        for id in due.unwrap_or_default() {
            loop {
                let mut place = self.lanes.borrow_mut();
                let Some(lanes) = place.as_mut() else { break };
                let Some(outbox) = lanes.outbox(id) else { break };
                let result = self.socket.borrow().send(outbox);
                match result {
                    Ok(count) => {
                        let bytes = lanes.advance(id, count);
                        self.note_sent(core, bytes, count);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        lanes.wait(id, self.retry_from(core));
                        in_vain += 1;
                        break;
                    }
                    Err(error) => {
                        let error = self.send_failed(outbox, error);
                        lanes.advance(id, 1);
                        self.tell_error(error);
                        self.counts.change(|counts| counts.send_errors += 1);
                    }
                }
            }
        }
        if let Some(lanes) = self.lanes.borrow_mut().as_mut() {
            lanes.rest(core.now(), in_vain);
        }
        self.watch_lanes(core);
    }

    /// Arms the timer that tries the lanes again. Without lanes, the socket takes what comes.
    fn watch_lanes(self: &Rc<Self>, core: &Rc<Core>) {
        let mut place = self.lanes.borrow_mut();
        let next = match place.as_ref() {
            Some(lanes) if !lanes.is_empty() => lanes.next_retry(),
            _ => {
                *place = None;
                self.clear(Flags::HAS_LANES);
                self.set(Flags::WRITABLE);
                None
            }
        };
        drop(place);
        match (next, self.retry.take()) {
            (Some(next), Some((timer, at))) if at <= next => self.retry.set(Some((timer, at))),
            (next, timer) => {
                if let Some((timer, _)) = timer {
                    core.cancel_timer(timer);
                }
                if let Some(next) = next {
                    let timer = core.add_timer(next, Box::new(Rc::new(Retry(Rc::clone(self)))));
                    self.retry.set(Some((timer, next)));
                }
            }
        }
    }

    #[cold]
    pub(super) fn lanes_size(&self) -> usize {
        self.lanes.borrow().as_ref().map_or(0, |lanes| lanes.size())
    }

    pub(super) fn lanes_datagrams(&self) -> usize {
        self.lanes.borrow().as_ref().map_or(0, |lanes| lanes.datagrams())
    }

    /// Whether there was one.
    pub(super) fn drop_oldest_of_lanes(&self) -> bool {
        let mut lanes = self.lanes.borrow_mut();
        let Some(lanes) = lanes.as_mut().filter(|lanes| !lanes.is_empty()) else { return false };
        lanes.drop_oldest();
        true
    }

    /// Makes room for a datagram at the expense of the receiver for whom most waits: one that never
    /// reads must not take all the room. Returns how many went.
    pub(super) fn drop_newest_of_others(
        &self,
        to: Option<&Address>,
        size: usize,
        needed: usize,
    ) -> usize {
        let mut lanes = self.lanes.borrow_mut();
        let (Some(lanes), Some(to)) = (lanes.as_mut(), to) else { return 0 };
        lanes.drop_newest_of_most(to, size, needed).unwrap_or(0)
    }

    /// The endpoint is closed.
    pub(super) fn close_lanes(&self) {
        *self.lanes.borrow_mut() = None;
        self.clear(Flags::HAS_LANES);
    }
}

/// Datagrams that are looked through together, each with its number.
#[derive(Default)]
struct Chunk {
    outbox: Outbox,
    numbers: VecDeque<u64>,
}

impl Chunk {
    /// The first `count` are gone. Returns how many bytes they were.
    fn advance(&mut self, count: usize) -> usize {
        self.numbers.drain(..count);
        self.outbox.advance(count)
    }
}

/// Tries the receivers again whose time has come.
struct Retry(Rc<DatagramEndpoint>);

impl Callback for Retry {
    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.0.retry.set(None);
        self.0.set(Flags::WRITABLE);
        self.0.update(core);
    }
}
