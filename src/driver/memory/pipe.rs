//! A connected pair of sockets that are buffers.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::rc::Rc;

use super::kernel::{Blocked, Call, Descriptor, Kernel};
use super::packet::Packet;
use super::route::{Failed, Route};
use crate::address::Address;
use crate::driver::{Key, Readiness, Signals};

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

struct Pair {
    /// `ways[side]` carries what `side` receives.
    ways: [RefCell<Way>; 2],
    ends: [End; 2],
    /// `routes[side]` is the link by which `side` receives; `None`: everything arrives at once.
    routes: Option<[Rc<Route>; 2]>,
    /// How the far end answers a request to connect, which may come to it more than once.
    answer: RefCell<Option<Answer>>,
}

/// What becomes of the far end of a connection when it is asked to accept.
type Answer = Rc<dyn Fn(MemorySocket)>;

/// What is on its way to one side.
struct Way {
    /// What was written and not read.
    bytes: VecDeque<u8>,
    /// How many of these have arrived.
    arrived: usize,
    /// How many arrived together, where the links split what was written: a read ends there.
    parts: VecDeque<usize>,
    capacity: usize,
    /// The writer has ended its side: it writes no more.
    shut: bool,
    /// The end has arrived.
    ended: bool,
    /// The writer found it full, and waits to be told of room.
    writer_waits: bool,
    /// It has not been told yet.
    awaits_room: bool,
    /// How many bytes are before the mark of urgent data, where a read ends.
    mark: Option<usize>,
    marks: Option<Marks>,
}

/// Where urgent data is among what is written: pseudorandom, the same for equal seeds.
#[derive(Clone, Copy)]
pub(super) struct Marks(u64);

impl Marks {
    pub(super) fn new(seed: u64) -> Self {
        // Of zero nothing else would come.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Those of the next connection.
    pub(super) fn split(&mut self) -> Self {
        Self::new(self.next())
    }

    /// Where in a write of `len` bytes urgent data follows, if it does.
    fn place(&mut self, len: usize) -> Option<usize> {
        let number = self.next();
        let within = usize::try_from(number >> 33).unwrap_or(0) % (len + 1);
        (number & 3 != 0).then_some(within)
    }

    fn next(&mut self) -> u64 {
        // Xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[derive(Default)]
struct End {
    registration: RefCell<Option<(Key, Signals)>>,
    address: RefCell<Option<Address>>,
    /// The connection was reset: reads and writes fail, once the input is read.
    error: Cell<Option<io::ErrorKind>>,
    /// The error was not reported yet.
    error_pending: Cell<bool>,
    closed: Cell<bool>,
    /// It is known here that the other end was closed.
    deserted: Cell<bool>,
    /// Closing this end resets the connection.
    resets: Cell<bool>,
    /// Connecting goes on: nothing is ready before it is over.
    connecting: Cell<bool>,
    kernel: Kernel,
    blocked: Blocked,
    descriptor: Cell<Option<Descriptor>>,
}

/// A connected pair; `capacity` bounds what either direction holds.
pub(crate) fn pair(
    capacity: usize,
    addresses: [Option<Address>; 2],
) -> (MemorySocket, MemorySocket) {
    joined(capacity, addresses, None, [Kernel::default(), Kernel::default()])
}

fn joined(
    capacity: usize,
    addresses: [Option<Address>; 2],
    routes: Option<[Rc<Route>; 2]>,
    kernels: [Kernel; 2],
) -> (MemorySocket, MemorySocket) {
    let way = || {
        RefCell::new(Way {
            bytes: VecDeque::new(),
            arrived: 0,
            parts: VecDeque::new(),
            capacity: capacity.max(1),
            shut: false,
            ended: false,
            writer_waits: false,
            awaits_room: false,
            mark: None,
            marks: None,
        })
    };
    let ([first, second], [near, far]) = (addresses, kernels);
    let end = |address, kernel| End { address: RefCell::new(address), kernel, ..End::default() };
    let ends = [end(first, near), end(second, far)];
    let pair = Rc::new(Pair { ways: [way(), way()], ends, routes, answer: RefCell::default() });
    pair.watch_routes();
    (MemorySocket { pair: Rc::clone(&pair), side: 0 }, MemorySocket { pair, side: 1 })
}

impl MemorySocket {
    /// A socket that is connecting: nobody is at the other end, which is handed out beside it.
    pub(super) fn connecting(
        capacity: usize,
        addresses: [Option<Address>; 2],
        routes: Option<[Rc<Route>; 2]>,
        kernels: [Kernel; 2],
    ) -> (Self, Self) {
        let (near, far) = joined(capacity, addresses, routes, kernels);
        near.end().connecting.set(true);
        (near, far)
    }

    /// The descriptor that it has until it is closed.
    pub(super) fn own(&self, descriptor: Descriptor) {
        self.end().descriptor.set(Some(descriptor));
    }

    /// From now on what either side writes has urgent data in it, at whose marks reads end.
    pub(super) fn mark_urgent(&self, marks: &mut Marks) {
        for way in &self.pair.ways {
            way.borrow_mut().marks = Some(marks.split());
        }
    }

    /// Asks the other side to accept: `answer` is called when the request arrives there.
    pub(super) fn request(&self, far: Self, answer: impl Fn(Self) + 'static) {
        let answer: Answer = Rc::new(answer);
        if self.pair.routes.is_some() {
            *self.pair.answer.borrow_mut() = Some(Rc::clone(&answer));
        }
        self.send(Packet::Connect, move |_, _| answer(far));
    }

    /// What sends the other side's request again, which nobody has answered.
    pub(super) fn repeats_request(&self) -> impl FnOnce(Box<dyn FnOnce()>) + use<> {
        let (pair, side) = (Rc::clone(&self.pair), 1 - self.side);
        move |arrive| pair.send(side, Packet::Connect, move |_, _| arrive())
    }

    /// The other side's request is not sent again any more.
    pub(super) fn give_up(&self) {
        self.other().connecting.set(false);
        self.other().fail(io::ErrorKind::TimedOut);
    }

    /// The other side's connect succeeds: its socket becomes writable.
    pub(super) fn accept(&self) {
        self.send(Packet::Accept, |pair, other| {
            pair.answer.take();
            pair.ends[other].connecting.set(false);
            pair.ends[other].signal(Readiness::WRITE);
        });
    }

    /// The other side's connect fails.
    pub(super) fn refuse(&self) {
        self.send(Packet::Refuse, |pair, other| {
            pair.ends[other].connecting.set(false);
            pair.ends[other].fail(io::ErrorKind::ConnectionRefused);
        });
    }

    /// Sends something to the other side: see [`Pair::send`].
    fn send(&self, packet: Packet, arrive: impl FnOnce(&Rc<Pair>, usize) + 'static) {
        self.pair.send(self.side, packet, arrive);
    }

    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut way = self.incoming().borrow_mut();
        let together = way.parts.front().copied().unwrap_or(way.arrived);
        let mut count = together.min(buffer.len());
        if count == 0 && !buffer.is_empty() {
            // An end that came before a reset is still an end.
            if way.ended {
                return Ok(0);
            }
            return match self.end().error.get() {
                Some(kind) => {
                    self.end().error_pending.set(false);
                    Err(kind.into())
                }
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        let wanted = count;
        if count > 0 {
            let end = self.end();
            // Behind an end that was reported, all input is there.
            let may_block = !way.ended && end.error.get().is_none();
            if may_block && let Err(error) = end.kernel.check(Call::Read, &end.blocked) {
                self.tell_later();
                return Err(error);
            }
            count = end.kernel.moves_some(Call::Read, count);
        }
        let is_cut = count < wanted;
        way.mark = match way.mark {
            None | Some(0) => None,
            Some(mark) => {
                count = count.min(mark);
                Some(mark - count)
            }
        };
        let (front, back) = way.bytes.as_slices();
        let from_front = front.len().min(count);
        buffer[..from_front].copy_from_slice(&front[..from_front]);
        buffer[from_front..count].copy_from_slice(&back[..count - from_front]);
        way.bytes.drain(..count);
        way.arrived -= count;
        let next_part = match way.parts.front_mut() {
            Some(part) if *part == count => {
                way.parts.pop_front();
                way.arrived > 0
            }
            Some(part) => {
                *part -= count;
                false
            }
            None => false,
        };
        if way.bytes.is_empty() && way.bytes.capacity() > DEFAULT_CAPACITY {
            way.bytes = VecDeque::new();
        }
        let room_wanted = std::mem::take(&mut way.writer_waits);
        #[cfg(feature = "sim")]
        self.pair.tell_room(self.side, &way);
        drop(way);
        if room_wanted {
            self.send(Packet::Room, |pair, other| {
                pair.ways[1 - other].borrow_mut().awaits_room = false;
                pair.ends[other].signal(Readiness::WRITE);
            });
        }
        if is_cut {
            self.tell_later();
        } else if next_part {
            // As if it had arrived just now.
            self.end().signal(Readiness::READ);
        }
        Ok(count)
    }

    pub(crate) fn write(&self, data: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(data)])
    }

    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if let Some(kind) = self.end().error.get() {
            self.end().error_pending.set(false);
            return Err(kind.into());
        }
        if self.end().connecting.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut way = self.outgoing().borrow_mut();
        if way.shut || self.end().deserted.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        let before = way.bytes.len();
        let room = wanted.min(way.capacity - before);
        let mut most = room;
        if room > 0 {
            match self.end().kernel.moves(Call::Write, room, &self.end().blocked) {
                Ok(moved) => most = moved,
                Err(error) => {
                    drop(way);
                    self.tell_later();
                    return Err(error);
                }
            }
        }
        let mut written = 0;
        for slice in slices {
            let count = slice.len().min(most - written);
            way.bytes.extend(&slice[..count]);
            written += count;
        }
        way.writer_waits = room < wanted;
        way.awaits_room = room < wanted;
        if written > 0
            && way.mark.is_none()
            && let Some(marks) = &mut way.marks
        {
            way.mark = marks.place(written).map(|place| before + place);
        }
        drop(way);
        if most < room {
            self.tell_later();
        }
        if written > 0 {
            #[cfg(feature = "sim")]
            if let Some(routes) = &self.pair.routes {
                routes[1 - self.side].tell_tap(|tap, link| tap.wrote(link, slices, written));
            }
            self.send_bytes(written);
        } else if wanted > 0 {
            if self.other().closed.get() {
                self.pair.ask_again(self.side);
            }
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(written)
    }

    /// Sends what was just written, together or in the parts into which the links split it.
    fn send_bytes(&self, mut rest: usize) {
        let route = self.pair.routes.as_ref().map(|routes| &routes[1 - self.side]);
        let mut apart = false;
        while rest > 0 {
            let count = route.map_or(rest, |route| route.split(rest));
            apart |= count < rest;
            rest -= count;
            self.send(Packet::Bytes(count), move |pair, other| {
                pair.bytes_arrive(other, count, apart);
            });
        }
    }

    pub(crate) fn shutdown(&self) {
        self.outgoing().borrow_mut().shut = true;
        self.send(Packet::End, Pair::end_arrives);
    }

    /// Ends the connection as a reset does: the other side fails once it has read its input.
    ///
    /// As the kernel does, it is a broken pipe for one that was told of the end before.
    pub(crate) fn reset(&self) {
        // What this socket's drop says must not hide it: an end is read before an error.
        self.reset_when_closed();
        self.send(Packet::Reset, |pair, other| pair.reset_arrives(other));
    }

    pub(crate) fn reset_when_closed(&self) {
        self.end().resets.set(true);
    }

    pub(crate) fn has_input(&self) -> bool {
        self.incoming().borrow().arrived > 0
    }

    /// What the other end has not read.
    pub(crate) fn unacknowledged(&self) -> usize {
        if self.end().deserted.get() { 0 } else { self.outgoing().borrow().bytes.len() }
    }

    /// Whether the other end was closed.
    pub(super) fn is_deserted(&self) -> bool {
        self.other().closed.get()
    }

    pub(crate) fn take_error(&self) -> Option<io::Error> {
        let is_pending = self.end().error_pending.take();
        if is_pending { self.end().error.get().map(io::Error::from) } else { None }
    }

    pub(crate) fn local_address(&self) -> Option<Address> {
        self.end().address.borrow().clone()
    }

    pub(crate) fn peer_address(&self) -> Option<Address> {
        self.other().address.borrow().clone()
    }

    pub(crate) fn register(&self, key: Key, signals: Signals) {
        *self.end().registration.borrow_mut() = Some((key, signals));
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

    fn incoming(&self) -> &RefCell<Way> {
        &self.pair.ways[self.side]
    }

    fn outgoing(&self) -> &RefCell<Way> {
        &self.pair.ways[1 - self.side]
    }
}

impl Pair {
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
                    | Packet::Unreachable => 1 - to,
                };
                pair.ends[waits].connecting.set(false);
                pair.ends[waits].fail(io::ErrorKind::TimedOut);
            });
        }
    }

    /// `side` waits for what never comes: as a kernel does, it connects once more, or asks whether there is room yet.
    /// Who has nothing to send asks nothing.
    fn ask_again(self: &Rc<Self>, side: usize) {
        let end = &self.ends[side];
        if end.closed.get() || end.error.get().is_some() || end.deserted.get() {
            return;
        }
        if end.connecting.get() {
            self.send(side, Packet::Connect, Self::request_arrives_again);
        } else if self.routes.is_some() && self.ways[1 - side].borrow().awaits_room {
            self.send(side, Packet::Bytes(0), |pair, other| pair.bytes_arrive(other, 0, false));
        }
    }

    /// A request to connect comes to a machine that has forgotten the one before.
    fn request_arrives_again(self: &Rc<Self>, side: usize) {
        let end = &self.ends[side];
        let answer = self.answer.borrow().clone();
        let Some(answer) = answer.filter(|_| end.closed.get()) else { return };
        end.closed.set(false);
        end.resets.set(false);
        self.ways[1 - side].borrow_mut().shut = false;
        answer(MemorySocket { pair: Rc::clone(self), side });
    }

    /// Tells a side what it is ready for.
    fn tell(&self, side: usize) {
        let end = &self.ends[side];
        if end.connecting.get() {
            return;
        }
        let mut readiness = Readiness::WRITE;
        let way = self.ways[side].borrow();
        readiness.set(Readiness::READ, way.arrived > 0 || way.ended);
        readiness.set(Readiness::READ_CLOSED, way.ended);
        readiness.set(Readiness::URGENT, way.mark.is_some());
        readiness.set(Readiness::ERROR, end.error.get().is_some());
        drop(way);
        end.signal(readiness);
    }

    /// Sends something from one side to the other. `arrive` is called with the other when it arrives.
    fn send(
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
                routes[other].send(packet, move || arrive(&pair, other));
            }
        }
    }

    /// Bytes arrive at `side`. `apart`: a read does not join them with what arrives next.
    fn bytes_arrive(self: &Rc<Self>, side: usize, count: usize, apart: bool) {
        if self.ends[side].closed.get() {
            // Nobody reads them: as a kernel does, it says so.
            self.send(side, Packet::Reset, |pair, other| pair.reset_arrives(other));
            return;
        }
        let mut way = self.ways[side].borrow_mut();
        way.arrived += count;
        if apart {
            way.parts.push_back(count);
        }
        let mut readiness = Readiness::READ.union(Readiness::WRITE);
        readiness.set(Readiness::URGENT, way.mark.is_some());
        #[cfg(feature = "sim")]
        self.tell_room(side, &way);
        drop(way);
        self.ends[side].signal(readiness);
    }

    /// What has not been read takes room at `side`.
    #[cfg(feature = "sim")]
    fn tell_room(&self, side: usize, way: &Way) {
        if let Some(routes) = &self.routes {
            let room = way.capacity.saturating_sub(way.arrived);
            routes[side].tell_tap(|tap, link| tap.has_room(link, room));
        }
    }

    fn end_arrives(self: &Rc<Self>, side: usize) {
        self.ways[side].borrow_mut().ended = true;
        self.ends[side].signal(Readiness::READ.union(Readiness::READ_CLOSED));
    }

    fn reset_arrives(&self, side: usize) {
        let had_ended = self.ways[side].borrow().ended;
        let broken = io::ErrorKind::BrokenPipe;
        let kind = if had_ended { broken } else { io::ErrorKind::ConnectionReset };
        self.ends[side].fail(kind);
    }
}

impl Drop for MemorySocket {
    /// As the kernel does: unread input makes it a reset, as does the wish for one; else it is an
    /// orderly end.
    fn drop(&mut self) {
        self.end().closed.set(true);
        self.end().registration.borrow_mut().take();
        self.end().descriptor.take();
        if self.incoming().borrow().arrived == 0 && !self.end().resets.get() {
            self.outgoing().borrow_mut().shut = true;
            self.send(Packet::End, |pair, other| {
                pair.ends[other].deserted.set(true);
                pair.end_arrives(other);
            });
        } else {
            self.send(Packet::Reset, |pair, other| {
                pair.ends[other].deserted.set(true);
                pair.reset_arrives(other);
            });
        }
    }
}

impl End {
    fn signal(&self, mut readiness: Readiness) {
        let more = Readiness::READ.union(Readiness::WRITE);
        readiness.set(more, !self.connecting.get() && self.kernel.is_spurious());
        if let Some((key, signals)) = &*self.registration.borrow() {
            signals.borrow_mut().push_back((*key, readiness));
        }
    }

    fn fail(&self, kind: io::ErrorKind) {
        if self.closed.get() || self.error.get().is_some() {
            return;
        }
        self.error.set(Some(kind));
        self.error_pending.set(true);
        let ended = Readiness::READ_CLOSED.union(Readiness::WRITE_CLOSED);
        let ready = Readiness::READ.union(Readiness::WRITE);
        self.signal(ready.union(ended).union(Readiness::ERROR));
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
