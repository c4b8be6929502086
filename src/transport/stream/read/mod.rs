//! The reading half: what an event leads to, up to the protocol's callback.
//!
//! `dispatch.rs` decides what a turn is for and reads, `deliver.rs` gives bytes to the protocol, and
//! `end.rs` deals with the end of input and with errors. `descriptors.rs` and `splice.rs` are the two
//! other ways in which input is taken.

mod deliver;
mod descriptors;
mod dispatch;
mod end;
mod splice;

use std::rc::Rc;

use bytes::Bytes;

use self::splice::Splice;
use super::Stream;
use super::flags::Flags;
use super::rare::{Occasional, Rare};
use crate::driver::Key;
use crate::event_loop::Core;
use crate::transport::StreamOptions;

/// How often one stream is read in its turn, before the others have theirs.
pub(in crate::transport::stream) const READS_PER_TURN: u32 = 4;

/// What stops reading.
pub(in crate::transport::stream) const NOT_READING: Flags = Flags::PAUSED
    .union(Flags::HELD)
    .union(Flags::EOF)
    .union(Flags::CLOSING)
    .union(Flags::CLOSED)
    .union(Flags::THROTTLED);

/// Reading into the loop's buffer goes on while of these only `READABLE` is set, and reading into the
/// memory of a `BufferedProtocol` while `READABLE` and `BUFFERED` are.
pub(in crate::transport::stream) const MAY_READ: Flags =
    NOT_READING.union(Flags::READABLE).union(Flags::BUFFERED).union(Flags::LEFTOVER);

/// With any of these set, only an error or the end shows that all input was read.
pub(in crate::transport::stream) const HANGING_UP: Flags =
    Flags::READ_CLOSED.union(Flags::WRITE_CLOSED).union(Flags::ERROR);

/// What was received and not delivered, and where input goes instead of to the protocol.
pub(in crate::transport::stream) struct ReadHalf {
    rare: Rare<Occasionally>,
}

/// What the reading half of most connections never has.
#[derive(Default)]
struct Occasionally {
    /// Received, but left by a former protocol or given back: to be delivered first.
    leftover: Bytes,
    /// So much of it protocols have given back. The rest was never delivered, and comes behind.
    given_back: usize,
    /// How many descriptors one read may bring; 0: none are received.
    descriptors: usize,
    splice: Option<Rc<Splice>>,
    /// The other connection of its relay.
    relayed_to: Option<Key>,
    /// How many relays have a protocol here: one, or two while one takes over from another.
    relays: u8,
}

impl Occasional for Occasionally {
    fn is_empty(&self) -> bool {
        let Self { leftover, given_back, descriptors, splice, relayed_to, relays } = self;
        leftover.is_empty()
            && *given_back == 0
            && *descriptors == 0
            && splice.is_none()
            && relayed_to.is_none()
            && *relays == 0
    }
}

impl Occasionally {
    fn insert(&mut self, place: usize, bytes: Bytes) -> Option<[Bytes; 2]> {
        if self.leftover.is_empty() {
            self.leftover = bytes;
            return None;
        }
        let (before, behind) = self.leftover.split_at(place);
        let joined = [before, &bytes, behind].concat().into();
        Some([std::mem::replace(&mut self.leftover, joined), bytes])
    }
}

impl ReadHalf {
    /// The reading half of a new stream, and the flags that it begins with.
    #[inline]
    pub(in crate::transport::stream) fn new(options: &StreamOptions) -> (Flags, Self) {
        let descriptors = options.descriptors;
        if descriptors == 0 {
            return (Flags::NONE, Self { rare: Rare::default() });
        }
        let rare = Rare::new(Occasionally { descriptors, ..Occasionally::default() });
        (Flags::TAKES_DESCRIPTORS, Self { rare })
    }

    #[inline(always)]
    pub(in crate::transport::stream) fn vacate(&mut self) {
        self.rare = Rare::default();
    }

    /// Appends to what is left over. Returns what it had to copy, whose owners are foreign code, to be
    /// dropped when nothing is borrowed.
    fn keep(&self, bytes: Bytes) -> Option<[Bytes; 2]> {
        self.rare.change(|rare| {
            let end = rare.leftover.len();
            rare.insert(end, bytes)
        })
    }

    /// As [`keep`](Self::keep), for bytes that a protocol had received: they came before what was never delivered.
    fn take_back(&self, bytes: Bytes) -> Option<[Bytes; 2]> {
        self.rare.change(|rare| {
            let end = rare.given_back;
            rare.given_back += bytes.len();
            rare.insert(end, bytes)
        })
    }

    pub(in crate::transport::stream) fn take_leftover(&self) -> Bytes {
        self.rare.change_existing(|rare| {
            rare.given_back = 0;
            std::mem::take(&mut rare.leftover)
        })
    }

    /// How many descriptors one read may bring.
    fn descriptors(&self) -> usize {
        self.rare.change_existing(|rare| rare.descriptors)
    }
}

impl Stream {
    #[inline]
    pub(in crate::transport::stream) fn is_reading(&self) -> bool {
        !self.has(NOT_READING)
    }

    pub(in crate::transport::stream) fn pause_reading(self: &Rc<Self>, core: &Core) {
        self.set(Flags::PAUSED);
        if self.has(Flags::WRITE_FAILED) {
            // If there is no input that has to come before the error, that is not kept waiting.
            self.enqueue(core);
        }
    }

    pub(in crate::transport::stream) fn resume_reading(self: &Rc<Self>, core: &Core) {
        if self.has(Flags::PAUSED) {
            self.clear(Flags::PAUSED);
            if self.has(Flags::READABLE.union(Flags::LEFTOVER)) {
                self.enqueue(core);
            }
        }
    }

    pub(in crate::transport::stream) fn hold_reading(&self) {
        if self.has(Flags::OVERFLOWED_IN_READ) {
            self.set(Flags::HELD);
        }
    }

    /// Stops reading until [`release_hold`](Self::release_hold): what this stream brings goes where
    /// it is not taken fast enough.
    pub(crate) fn hold(&self) {
        self.set(Flags::HELD);
    }

    pub(crate) fn release_hold(self: &Rc<Self>, core: &Core) {
        self.clear(Flags::HELD);
        self.enqueue_if_readable(core);
    }

    /// There may be more to deliver: the poll does not tell again.
    // Out of line: inlined it costs the plain echo registers in `dispatch`.
    #[inline(never)]
    pub(in crate::transport::stream) fn enqueue_if_readable(self: &Rc<Self>, core: &Core) {
        if self.has(Flags::READABLE.union(Flags::LEFTOVER)) && self.is_reading() {
            self.enqueue(core);
        }
    }

    /// Notes what the running `data_received` gives back. What a `BufferedProtocol` was given lies in
    /// its own memory.
    pub(in crate::transport::stream) fn unread(&self, core: &Core, count: usize) {
        let may = Flags::IN_CALLBACK.union(Flags::BUFFERED);
        if self.flags.get().matches(Flags::IN_CALLBACK, may) && count > 0 {
            self.set(Flags::UNREAD);
            core.unread.set(count);
        }
    }

    /// Keeps what was received until the protocol, or the next one, reads.
    pub(in crate::transport::stream) fn keep_leftover(&self, core: &Core, leftover: Bytes) {
        self.note_leftover(core, leftover, ReadHalf::keep);
    }

    /// As [`keep_leftover`](Self::keep_leftover), for what a protocol had received and not consumed.
    pub(in crate::transport::stream) fn take_leftover_back(&self, core: &Core, leftover: Bytes) {
        self.note_leftover(core, leftover, ReadHalf::take_back);
    }

    fn note_leftover(
        &self,
        core: &Core,
        leftover: Bytes,
        keep: fn(&ReadHalf, Bytes) -> Option<[Bytes; 2]>,
    ) {
        if leftover.is_empty() {
            return core.drop_user(leftover, "buffer");
        }
        if let Some(copied) = keep(&self.reading, leftover) {
            core.with_deferred_drops(|drops| drops.extend(copied));
        }
        self.set(Flags::LEFTOVER);
    }

    /// The stream is closed: drops what nobody will receive.
    #[inline]
    pub(in crate::transport::stream) fn drop_input(&self, core: &Core) {
        if let Some(rare) = self.reading.rare.take() {
            core.drop_user(rare.leftover, "buffer");
        }
    }

    /// Whether something was received that the protocol, which does not read now, has not got.
    pub(in crate::transport::stream) fn input_waits(&self) -> bool {
        self.has(Flags::LEFTOVER) || (!self.has(Flags::EOF) && self.socket.has_input())
    }

    /// Whether the socket's own end was read: TLS's `close_notify` is not that, as more can follow it.
    pub(in crate::transport::stream) fn input_has_ended(&self) -> bool {
        self.has(Flags::INPUT_ENDED) || (self.has(Flags::EOF) && !self.has(Flags::TLS))
    }

    /// Whether it does not read because it has paused, or has to wait, and not because of an end.
    pub(in crate::transport::stream) fn may_wait_for_reader(&self, core: &Core) -> bool {
        !self.has(Flags::CLOSING)
            && self.has(Flags::PAUSED.union(Flags::HELD).union(Flags::THROTTLED))
            && !self.relays_to_nobody(core)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(descriptors: usize) -> (Flags, ReadHalf) {
        ReadHalf::new(&StreamOptions { descriptors, ..StreamOptions::for_client() })
    }

    #[test]
    fn what_is_left_over_is_delivered_in_the_order_in_which_it_came() {
        let (_, half) = half(0);
        assert_eq!(half.keep(Bytes::from_static(b"one ")), None, "nothing was copied");
        let copied = half.keep(Bytes::from_static(b"two"));
        assert_eq!(copied, Some([Bytes::from_static(b"one "), Bytes::from_static(b"two")]));
        assert_eq!(half.take_leftover(), "one two");
        assert!(half.take_leftover().is_empty());
        assert!(!half.rare.is_there(), "no memory is held for nothing");
    }

    #[test]
    fn what_is_given_back_comes_before_what_was_never_delivered() {
        let (_, half) = half(0);
        half.keep(Bytes::from_static(b"four "));
        half.take_back(Bytes::from_static(b"one "));
        half.take_back(Bytes::from_static(b"two three "));
        half.keep(Bytes::from_static(b"five"));
        assert_eq!(half.take_leftover(), "one two three four five");
        half.keep(Bytes::from_static(b"two"));
        half.take_back(Bytes::from_static(b"one "));
        assert_eq!(half.take_leftover(), "one two");
        assert!(!half.rare.is_there(), "no memory is held for nothing");
    }

    #[test]
    fn a_limit_of_descriptors_stays_when_the_leftover_goes() {
        let (flags, half) = half(3);
        assert_eq!(flags, Flags::TAKES_DESCRIPTORS);
        half.keep(Bytes::from_static(b"bytes"));
        half.take_leftover();
        assert_eq!(half.descriptors(), 3);
    }
}
