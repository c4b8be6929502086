//! A connected pair of sockets that are buffers.

mod buffer;
mod connecting;
mod end;
mod keep_alive;
mod known;
mod marks;
mod pair;

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::rc::Rc;

use self::buffer::{Buffer, Read};
use self::end::End;
use self::pair::Pair;
use super::kernel::{Call, Descriptor, Kernel};
use super::machine::Machine;
use super::packet::Packet;
use super::route::Route;
use crate::address::Address;
use crate::driver::{Keepalive, Key, Readiness, Signals, SocketOptions};

pub(super) use self::known::KnownSocket;
pub(super) use self::marks::Marks;
pub(super) use self::pair::BytesArrival;

/// What a direction holds before its writer is told to wait: about what a kernel's socket does.
pub(crate) const DEFAULT_CAPACITY: usize = 64 * 1024;

/// One end of a connected pair.
///
/// Behaves as a TCP socket does: a bounded buffer each way, half-close, a reset when it is dropped
/// with unread input, readiness told once (edge-triggered), and, if asked for, marks of urgent data.
pub(crate) struct MemorySocket {
    pair: Rc<Pair>,
    side: usize,
}

/// A connected pair; `capacity` bounds what either direction holds.
pub(crate) fn pair(
    capacity: usize,
    addresses: [Option<Address>; 2],
) -> (MemorySocket, MemorySocket) {
    joined(capacity, addresses, None, [Kernel::default(), Kernel::default()])
}

/// As [`pair`], both ends on one machine, whose kernel they have.
pub(crate) fn pair_on(machine: &Machine, capacity: usize) -> (MemorySocket, MemorySocket) {
    joined(capacity, [None, None], None, [machine.kernel(), machine.kernel()])
}

fn joined(
    capacity: usize,
    addresses: [Option<Address>; 2],
    routes: Option<[Rc<Route>; 2]>,
    kernels: [Kernel; 2],
) -> (MemorySocket, MemorySocket) {
    let pair = Pair::new(capacity, addresses, routes, kernels);
    (MemorySocket { pair: Rc::clone(&pair), side: 0 }, MemorySocket { pair, side: 1 })
}

impl MemorySocket {
    /// The descriptor that it has until it is closed.
    pub(super) fn own(&self, descriptor: Descriptor) {
        self.end().own(descriptor);
    }

    /// What of the options means anything here.
    pub(super) fn set_options(&self, options: &SocketOptions) {
        if options.reset_on_close {
            self.reset_when_closed();
        }
        let probing = options.keepalive.as_ref().map(Keepalive::probing);
        self.end().keep_alive.set(probing);
    }

    /// From now on what either side writes has urgent data in it, at whose marks reads end.
    pub(super) fn mark_urgent(&self, marks: &mut Marks) {
        for buffer in &self.pair.buffers {
            buffer.borrow_mut().set_marks(marks.split());
        }
    }

    /// Sends something to the other side: see [`Pair::send`].
    fn send(&self, packet: Packet, arrive: impl FnOnce(&Rc<Pair>, usize) + 'static) {
        self.pair.send(self.side, packet, arrive);
    }

    pub(crate) fn read(&self, memory: &mut [u8]) -> io::Result<usize> {
        let mut buffer = self.incoming().borrow_mut();
        let wanted = buffer.arrived_together().min(memory.len());
        if wanted == 0 && !memory.is_empty() {
            return self.read_nothing(&buffer);
        }
        let most = if wanted > 0 { self.may_read(&buffer, wanted)? } else { 0 };
        let Read { count, is_next_part } = buffer.read(&mut memory[..most]);
        let room_wanted = std::mem::take(&mut buffer.writer_waits);
        #[cfg(feature = "sim")]
        self.pair.tell_room(self.side, &buffer);
        drop(buffer);
        if room_wanted {
            self.send(Packet::Room, |pair, other| {
                if pair.is_refused(other) {
                    return;
                }
                pair.buffers[1 - other].borrow_mut().awaits_room = false;
                pair.ends[other].signal(Readiness::WRITE);
            });
        }
        if most < wanted {
            self.tell_later();
        } else if is_next_part {
            // As if it had arrived just now.
            self.end().signal(Readiness::READ);
        }
        Ok(count)
    }

    /// What a read says that finds nothing: an end that came before a reset is still an end, as is what follows once the
    /// reset was told.
    fn read_nothing(&self, buffer: &Buffer) -> io::Result<usize> {
        let end = self.end();
        if buffer.ended {
            return Ok(0);
        }
        match end.take_error() {
            Some(error) => Err(error),
            None if end.has_failed() => Ok(0),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// How many of so many bytes the kernel lets a read bring.
    fn may_read(&self, buffer: &Buffer, wanted: usize) -> io::Result<usize> {
        let end = self.end();
        // Who was told that the other side is gone has all input: nothing of it can come later.
        if end.has_failed() || end.broken.get() {
            return Ok(wanted);
        }
        // Behind an end that was reported, all input is there.
        if !buffer.ended
            && let Err(error) = end.kernel.check(Call::Read, &end.blocked)
        {
            self.tell_later();
            return Err(error);
        }
        Ok(end.kernel.moves_some(Call::Read, wanted))
    }

    pub(crate) fn write(&self, data: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(data)])
    }

    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let end = self.end();
        if let Some(error) = end.take_error() {
            return Err(error);
        }
        if end.connecting.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut buffer = self.outgoing().borrow_mut();
        if buffer.shut || end.has_failed() || self.is_broken() {
            end.broken.set(end.deserted.get());
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        let room = wanted.min(buffer.room());
        let mut most = room;
        if room > 0 {
            match end.kernel.moves(Call::Write, room, &end.blocked) {
                Ok(moved) => most = moved,
                Err(error) => {
                    drop(buffer);
                    self.tell_later();
                    return Err(error);
                }
            }
        }
        let written = buffer.write(slices, most);
        buffer.writer_waits = room < wanted;
        buffer.awaits_room = room < wanted;
        drop(buffer);
        if most < room {
            self.tell_later();
        }
        if written > 0 {
            #[cfg(feature = "sim")]
            if let Some(routes) = &self.pair.routes {
                routes[1 - self.side].tell_tap(|tap, link| tap.wrote(link, slices, written));
            }
            self.pair.send_bytes(self.side, written);
        } else if wanted > 0 {
            if self.other().closed.get() {
                self.pair.ask_again(self.side);
            }
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(written)
    }

    /// Whether a write has nowhere to go. A TCP socket does not know whether the other side, which has ended, was closed:
    /// it hears that with a reset.
    fn is_broken(&self) -> bool {
        self.end().deserted.get() && !self.pair.is_tcp
    }

    pub(crate) fn shutdown(&self) {
        self.pair.shut(self.side);
        self.send(Packet::End, Pair::end_arrives);
    }

    /// Ends the connection as a reset does: the other side fails once it has read its input.
    ///
    /// As the kernel does, it is a broken pipe for one that was told of the end before.
    pub(crate) fn reset(&self) {
        // What this socket's drop says must not hide it: an end is read before an error.
        self.reset_when_closed();
        self.pair.send_reset(self.side);
    }

    pub(crate) fn reset_when_closed(&self) {
        self.end().resets.set(true);
    }

    pub(crate) fn has_input(&self) -> bool {
        self.incoming().borrow().arrived() > 0
    }

    /// What the other end has not read.
    pub(crate) fn unacknowledged(&self) -> usize {
        let is_over = self.end().deserted.get() || self.end().has_failed();
        if is_over { 0 } else { self.outgoing().borrow().len() }
    }

    /// Whether the other end was closed.
    pub(super) fn is_deserted(&self) -> bool {
        self.other().closed.get()
    }

    pub(crate) fn take_error(&self) -> Option<io::Error> {
        self.end().take_error()
    }

    pub(crate) fn local_address(&self) -> Option<Address> {
        self.end().address.borrow().clone()
    }

    pub(crate) fn peer_address(&self) -> Option<Address> {
        self.other().address.borrow().clone()
    }

    pub(crate) fn register(&self, key: Key, signals: Signals) {
        self.end().register(key, signals);
        self.pair.tell(self.side);
    }

    /// Tells later what it is ready for: a call has left something, as if that had come just then.
    fn tell_later(&self) {
        let (pair, side) = (Rc::downgrade(&self.pair), self.side);
        self.end().kernel.later(move || {
            if let Some(pair) = pair.upgrade() {
                pair.tell(side);
            }
        });
    }

    fn end(&self) -> &End {
        &self.pair.ends[self.side]
    }

    fn other(&self) -> &End {
        &self.pair.ends[1 - self.side]
    }

    fn incoming(&self) -> &RefCell<Buffer> {
        &self.pair.buffers[self.side]
    }

    fn outgoing(&self) -> &RefCell<Buffer> {
        &self.pair.buffers[1 - self.side]
    }
}

impl Drop for MemorySocket {
    /// As the kernel does: unread input makes it a reset, as does the wish for one; else it is an
    /// orderly end.
    fn drop(&mut self) {
        self.end().close();
        if self.end().connecting.get() {
            self.end().free_port();
        }
        if self.end().gone.get() {
            if self.end().has_failed() {
                self.pair.is_left(self.side);
            }
            return;
        }
        let is_read = self.incoming().borrow().arrived() == 0;
        let was_shut = self.outgoing().borrow().shut;
        // Once both sides have ended there is nothing to reset.
        let is_over = self.incoming().borrow().ended && was_shut;
        if is_read && (is_over || !self.end().resets.get()) {
            if was_shut && self.pair.is_tcp {
                // Its end is sent, and the other side does not hear that it is closed now.
                self.pair.is_closed_after_its_end(self.side);
                return;
            }
            self.pair.shut(self.side);
            self.send(Packet::End, |pair, other| {
                pair.ends[other].deserted.set(true);
                pair.end_arrives(other);
            });
        } else {
            self.pair.send_reset(self.side);
        }
    }
}

impl fmt::Debug for MemorySocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MemorySocket")
            .field("local_address", &self.local_address())
            .field("peer_address", &self.peer_address())
            .finish()
    }
}
