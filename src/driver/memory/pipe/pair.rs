//! What two connected sockets share: both buffers, both ends, and what passes between them.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::MemorySocket;
use super::buffer::Buffer;
use super::end::End;
use crate::address::Address;
use crate::driver::Readiness;
use crate::driver::memory::kernel::Kernel;
use crate::driver::memory::links::Arrival;
use crate::driver::memory::packet::Packet;
use crate::driver::memory::route::{Failed, Route};

pub(super) struct Pair {
    /// `buffers[side]` has what `side` receives.
    pub(super) buffers: [RefCell<Buffer>; 2],
    pub(super) ends: [End; 2],
    /// `routes[side]` is the link by which `side` receives; `None`: everything arrives at once.
    pub(super) routes: Option<[Rc<Route>; 2]>,
    /// Else it is as a Unix socket.
    pub(super) is_tcp: bool,
    /// How the far end answers a request to connect, which may come to it more than once.
    pub(super) answer: RefCell<Option<Answer>>,
}

/// What becomes of the far end of a connection when it is asked to accept.
pub(super) type Answer = Rc<dyn Fn(MemorySocket)>;

/// Bytes that are on their way.
pub(in crate::driver::memory) struct BytesArrival {
    pair: Rc<Pair>,
    side: usize,
    count: usize,
    apart: bool,
}

impl BytesArrival {
    pub(in crate::driver::memory) fn arrive(self) {
        self.pair.hears_both(self.side);
        self.pair.bytes_arrive(self.side, self.count, self.apart);
    }
}

impl Pair {
    pub(super) fn new(
        capacity: usize,
        addresses: [Option<Address>; 2],
        routes: Option<[Rc<Route>; 2]>,
        kernels: [Kernel; 2],
    ) -> Rc<Self> {
        let buffer = || RefCell::new(Buffer::new(capacity));
        let is_tcp = addresses.iter().flatten().any(|address| address.as_ip().is_some());
        let ([first, second], [near, far]) = (addresses, kernels);
        let pair = Rc::new(Self {
            buffers: [buffer(), buffer()],
            ends: [End::new(first, near), End::new(second, far)],
            routes,
            is_tcp,
            answer: RefCell::default(),
        });
        pair.watch_routes();
        pair
    }

    /// A route that gives up fails the side that waits for an answer. Where nobody is left to send it, that side asks
    /// again.
    fn watch_routes(self: &Rc<Self>) {
        for (to, route) in self.routes.iter().flatten().enumerate() {
            let pair = Rc::downgrade(self);
            route.on_failure(move |packet, failed| {
                let Some(pair) = pair.upgrade() else { return };
                let is_gone = failed == Failed::SenderIsGone;
                let waits = match packet {
                    Packet::Reset => return pair.ask_again(to),
                    Packet::Accept | Packet::Refuse | Packet::Room if is_gone => {
                        return pair.ask_again(to);
                    }
                    // Its sockets are gone, too.
                    _ if is_gone => return,
                    Packet::Accept | Packet::Refuse | Packet::Room => to,
                    Packet::Connect
                    | Packet::Bytes(_)
                    | Packet::End
                    | Packet::Datagram(_)
                    | Packet::Probe
                    | Packet::Alive
                    | Packet::Unreachable => 1 - to,
                };
                pair.ends[waits].connecting.set(false);
                pair.ends[waits].fail(io::ErrorKind::TimedOut);
            });
        }
    }

    /// `side` waits for what never comes: as a kernel does, it connects once more, or asks whether there is room yet.
    /// Who has nothing to send asks nothing.
    pub(super) fn ask_again(self: &Rc<Self>, side: usize) {
        let end = &self.ends[side];
        if end.closed.get() || end.has_failed() || end.deserted.get() {
            return;
        }
        if end.connecting.get() {
            self.send(side, Packet::Connect, Self::request_arrives_again);
        } else if self.routes.is_some() && self.buffers[1 - side].borrow().awaits_room {
            self.ask_for_room(side);
        }
    }

    /// A request to connect comes to a machine that has forgotten the one before.
    fn request_arrives_again(self: &Rc<Self>, side: usize) {
        let end = &self.ends[side];
        let answer = self.answer.borrow().clone();
        let Some(answer) = answer.filter(|_| end.closed.get()) else { return };
        end.closed.set(false);
        end.resets.set(false);
        end.gone.set(false);
        self.buffers[1 - side].borrow_mut().shut = false;
        answer(MemorySocket { pair: Rc::clone(self), side });
    }

    /// Tells a side what it is ready for.
    pub(super) fn tell(&self, side: usize) {
        let end = &self.ends[side];
        if end.connecting.get() {
            return;
        }
        let mut readiness = Readiness::WRITE;
        let buffer = self.buffers[side].borrow();
        readiness.set(Readiness::READ, buffer.arrived() > 0 || buffer.ended);
        readiness.set(Readiness::READ_CLOSED, buffer.ended);
        readiness.set(Readiness::URGENT, buffer.is_urgent());
        drop(buffer);
        end.add_failure(&mut readiness);
        end.signal(readiness);
    }

    /// Sends something from one side to the other. `arrive` is called with the other when it arrives.
    pub(super) fn send(
        self: &Rc<Self>,
        from: usize,
        packet: Packet,
        arrive: impl FnOnce(&Rc<Self>, usize) + 'static,
    ) {
        let other = 1 - from;
        match &self.routes {
            None => arrive(self, other),
            Some(routes) => {
                let pair = Rc::clone(self);
                let arrival = Arrival::Call(Box::new(move || {
                    pair.hears_both(other);
                    arrive(&pair, other);
                }));
                routes[other].send(packet, arrival);
            }
        }
    }

    /// Sends bytes that were just written, together or in the parts into which the links split them.
    pub(super) fn send_bytes(self: &Rc<Self>, from: usize, mut rest: usize) {
        let side = 1 - from;
        let Some(routes) = &self.routes else { return self.bytes_arrive(side, rest, false) };
        let mut apart = false;
        while rest > 0 {
            rest -= routes[side].send_bytes(rest, |count| {
                apart |= count < rest;
                Arrival::Bytes(BytesArrival { pair: Rc::clone(self), side, count, apart })
            });
        }
    }

    /// Asks the other side whether it has room, by bytes of which there are none.
    fn ask_for_room(self: &Rc<Self>, from: usize) {
        self.send(from, Packet::Bytes(0), |pair, other| pair.bytes_arrive(other, 0, false));
    }

    /// Bytes arrive at `side`. `apart`: a read does not join them with what arrives next.
    pub(super) fn bytes_arrive(self: &Rc<Self>, side: usize, count: usize, apart: bool) {
        // Nobody reads them, or knows of the connection: as a kernel does, it says so.
        if self.ends[side].closed.get() {
            return self.send_reset(side);
        }
        if self.is_refused(side) {
            return;
        }
        let mut buffer = self.buffers[side].borrow_mut();
        buffer.arrive(count, apart);
        let mut readiness = Readiness::READ.union(Readiness::WRITE);
        readiness.set(Readiness::URGENT, buffer.is_urgent());
        #[cfg(feature = "sim")]
        self.tell_room(side, &buffer);
        drop(buffer);
        self.ends[side].signal(readiness);
    }

    /// What has not been read takes room at `side`.
    #[cfg(feature = "sim")]
    pub(super) fn tell_room(&self, side: usize, buffer: &Buffer) {
        if let Some(routes) = &self.routes {
            let room = buffer.window();
            routes[side].tell_tap(|tap, link| tap.has_room(link, room));
        }
    }

    /// `side` sends its end, if it did not before.
    pub(super) fn shut(&self, side: usize) {
        let was_shut = std::mem::replace(&mut self.buffers[1 - side].borrow_mut().shut, true);
        if !was_shut {
            self.ends[side].ends(self.buffers[side].borrow().ended);
        }
    }

    /// Something comes to a side that has no connection any more: it answers with a reset. So whoever has not heard of the
    /// one before, which was lost, hears of it when it sends something, and not before.
    pub(super) fn is_refused(self: &Rc<Self>, side: usize) -> bool {
        let is_gone = self.ends[side].gone.get();
        if is_gone {
            self.send_reset(side);
        }
        is_gone
    }

    /// `side` has no connection any more, and says so.
    pub(super) fn send_reset(self: &Rc<Self>, side: usize) {
        let end = &self.ends[side];
        end.gone.set(true);
        end.free_port();
        let is_closed = end.closed.get();
        self.send(side, Packet::Reset, move |pair, other| {
            if is_closed {
                pair.ends[other].deserted.set(true);
            }
            pair.reset_arrives(other);
        });
    }

    /// `side` has no connection any more, and has not said so: who waits for room there asks again.
    pub(super) fn is_left(self: &Rc<Self>, side: usize) {
        if !self.ends[1 - side].connecting.get() {
            self.ask_again(1 - side);
        }
    }

    /// `side`, which has sent its end before, is closed.
    pub(super) fn is_closed_after_its_end(&self, side: usize) {
        if self.buffers[1 - side].borrow().ended {
            self.ends[side].end_has_arrived();
        }
    }

    pub(super) fn end_arrives(self: &Rc<Self>, side: usize) {
        if self.is_refused(side) {
            return;
        }
        self.buffers[side].borrow_mut().ended = true;
        self.ends[1 - side].end_has_arrived();
        if self.buffers[1 - side].borrow().shut {
            self.ends[side].waits();
        }
        self.ends[side].signal(Readiness::READ.union(Readiness::READ_CLOSED));
    }

    pub(super) fn reset_arrives(&self, side: usize) {
        let had_ended = self.buffers[side].borrow().ended;
        let broken = io::ErrorKind::BrokenPipe;
        let kind = if had_ended { broken } else { io::ErrorKind::ConnectionReset };
        self.ends[side].fail(kind);
    }
}
