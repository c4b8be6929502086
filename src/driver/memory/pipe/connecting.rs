//! How two sockets become connected.

use std::io;
use std::rc::Rc;

use super::pair::Answer;
use super::{MemorySocket, joined};
use crate::address::Address;
use crate::driver::Readiness;
use crate::driver::memory::kernel::Kernel;
use crate::driver::memory::packet::Packet;
use crate::driver::memory::route::Route;

impl MemorySocket {
    /// A socket that is connecting: nobody is at the other end, which is handed out beside it.
    pub(in crate::driver::memory) fn connecting(
        capacity: usize,
        addresses: [Option<Address>; 2],
        routes: Option<[Rc<Route>; 2]>,
        kernels: [Kernel; 2],
    ) -> (Self, Self) {
        let (near, far) = joined(capacity, addresses, routes, kernels);
        near.end().connecting.set(true);
        (near, far)
    }

    /// Asks the other side to accept: `answer` is called when the request arrives there.
    pub(in crate::driver::memory) fn request(&self, far: Self, answer: impl Fn(Self) + 'static) {
        let answer: Answer = Rc::new(answer);
        if self.pair.routes.is_some() {
            *self.pair.answer.borrow_mut() = Some(Rc::clone(&answer));
        }
        self.send(Packet::Connect, move |_, _| answer(far));
    }

    /// What sends the other side's request again, which nobody has answered.
    pub(in crate::driver::memory) fn repeats_request(
        &self,
    ) -> impl FnOnce(Box<dyn FnOnce()>) + use<> {
        let (pair, side) = (Rc::clone(&self.pair), 1 - self.side);
        move |arrive| pair.send(side, Packet::Connect, move |_, _| arrive())
    }

    /// The other side's request is not sent again any more.
    pub(in crate::driver::memory) fn give_up(&self) {
        self.other().connecting.set(false);
        self.other().fail(io::ErrorKind::TimedOut);
    }

    /// The other side's connect succeeds: its socket becomes writable.
    pub(in crate::driver::memory) fn accept(&self) {
        self.pair.begin_keep_alive(self.side);
        self.send(Packet::Accept, |pair, other| {
            if pair.is_refused(other) {
                return;
            }
            pair.answer.take();
            pair.ends[other].connecting.set(false);
            pair.begin_keep_alive(other);
            pair.ends[other].signal(Readiness::WRITE);
        });
    }

    /// The other side's connect fails.
    pub(in crate::driver::memory) fn refuse(&self) {
        self.send(Packet::Refuse, |pair, other| {
            pair.ends[other].connecting.set(false);
            pair.ends[other].fail(io::ErrorKind::ConnectionRefused);
        });
    }
}
