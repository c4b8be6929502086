//! A socket without its protocol: everything was handed to the system, and the peer has still to get
//! it.
//!
//! Closing a TCP socket with unread input, or with input that comes later, makes the system answer
//! with a reset, which destroys what is still on its way. So the socket stays open. What comes in is
//! read and dropped, until the peer has ended its side, or until it has acknowledged everything and
//! says nothing more. The system is asked now and then how much is acknowledged; where it cannot
//! tell, input counts as progress.
//!
//! While something is not acknowledged the peer has the linger deadline
//! ([`Timeout::Linger`](crate::Timeout::Linger)), counted from the last progress. A peer that has
//! acknowledged everything and talks on is heard for five seconds. A receiver whose buffer is full
//! acknowledges in steps, as its window opens (64 KiB on loopback): one that takes less than a step
//! within the deadline looks like one that takes nothing.
//!
//! ```text
//!   Discarding ──── too much was dropped ───▶ not read, so that the peer has to wait
//!       ▲ │                                      │ │
//!       │ └─ the peer's end, an error ──────┐    │ │
//!       └──────── progress ─────────────────┼────┘ │
//!                                           ▼      │
//!              closed ◀── all acknowledged, no progress, too long, too many
//! ```

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::deadlines::LingerLimits;
use super::is_too_much;
use crate::driver::{Key, Readiness, Unacknowledged};
use crate::event_loop::{Core, Ready, ServerCore, Source, nanoseconds};
use crate::transport::stream::Stream;

/// How long a peer that has acknowledged everything is heard, if it talks on.
const HEARD: Duration = Duration::from_secs(5);

/// How often one socket is read in its turn, before the others have theirs.
const READS_PER_TURN: u32 = 16;

/// What is read at once.
const PIECE: usize = 16 * 1024;

/// A socket that lingers. It keeps the stream's memory, in which the socket lies, and its place.
pub(crate) struct Lingering {
    stream: Rc<Stream>,
    /// Under which it is in the loop's list; the oldest has the lowest.
    number: u64,
    limits: LingerLimits,
    progress_at: Cell<u64>,
    /// How many bytes were not acknowledged when that was last asked for; `None`: it was not yet, or
    /// cannot be asked.
    unacknowledged: Cell<Option<usize>>,
    /// How much was dropped since the last progress.
    discarded: Cell<usize>,
    /// Something came in since the last look.
    heard: Cell<bool>,
    /// The peer took more of what it is sent since then, as far as the poll has said so.
    drained: Cell<bool>,
    queued: Cell<bool>,
}

/// What a read brought.
enum Heard {
    /// There may be more.
    Input,
    Nothing,
    End,
}

impl Lingering {
    /// Makes the socket of `stream` linger in the stream's place; `false`: there is nothing to wait
    /// for.
    pub(in crate::transport::stream) fn begin(stream: &Rc<Stream>, core: &Rc<Core>) -> bool {
        let mut scratch = [0; 2048];
        let (has_input, count) = match read(stream, &mut scratch) {
            Ok((Heard::Input, count)) => (true, count),
            Ok((Heard::Nothing, _)) => (false, 0),
            Ok((Heard::End, _)) | Err(_) => return false,
        };
        let lingering = Rc::new(Self {
            stream: Rc::clone(stream),
            number: core.lingering.next_number(),
            limits: stream.linger_limits(),
            progress_at: Cell::new(core.tick_time()),
            unacknowledged: Cell::new(None),
            discarded: Cell::new(count),
            heard: Cell::new(has_input),
            drained: Cell::new(false),
            queued: Cell::new(false),
        });
        core.fill_lingering_slot(stream.key, Rc::clone(&lingering) as Rc<dyn Source>);
        if has_input {
            lingering.enqueue(core);
        }
        core.add_lingering(lingering);
        true
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// When the peer was last seen to take something, or the socket began to linger.
    pub(crate) fn progress_at(&self) -> u64 {
        self.progress_at.get()
    }

    pub(crate) fn belongs_to(&self, server: &Rc<ServerCore>) -> bool {
        self.stream.belongs_to(server)
    }

    /// How far the peer is. Returns whether the socket has lingered long enough.
    pub(crate) fn look(self: &Rc<Self>, core: &Core, asking: &Unacknowledged) -> bool {
        let now = core.tick_time();
        let heard = self.heard.replace(false);
        let drained = self.drained.replace(false);
        let was_full = is_too_much(self.discarded.get());
        let left = self.ask(core, asking);
        match left {
            Some(0) if !heard || was_full => return true,
            None if heard || drained => self.progress_at.set(now),
            _ => {}
        }
        let patience = if left == Some(0) { Some(HEARD) } else { self.limits.without_progress };
        let patience = patience.map_or(u64::MAX, nanoseconds);
        now >= self.progress_at.get().saturating_add(patience).min(self.limits.until)
    }

    /// Whether the peer has everything, or can get no more, or nobody knows.
    pub(crate) fn has_everything(self: &Rc<Self>, core: &Core, asking: &Unacknowledged) -> bool {
        if self.discard(core) {
            // Its turn finds the end again, and ends it.
            self.enqueue(core);
            return true;
        }
        self.ask(core, asking).is_none_or(|left| left == 0)
    }

    /// What the peer has not acknowledged. Less than the last time is progress.
    fn ask(self: &Rc<Self>, core: &Core, asking: &Unacknowledged) -> Option<usize> {
        let left = asking.of(&self.stream.socket);
        let before = self.unacknowledged.replace(left);
        if left.zip(before).is_some_and(|(left, before)| left < before) {
            self.progress_at.set(core.tick_time());
            if is_too_much(self.discarded.replace(0)) {
                self.enqueue(core);
            }
        }
        left
    }

    /// What was unacknowledged when that was last asked for.
    pub(crate) fn last_unacknowledged(&self) -> Option<usize> {
        self.unacknowledged.get()
    }

    /// Closes the socket before the peer has said that it is done; counts it if the peer had not
    /// everything.
    pub(crate) fn give_up(self: Rc<Self>, core: &Core, asking: &Unacknowledged) {
        let last = self.last_unacknowledged();
        // Nothing is sent any more: a peer that had everything has it.
        if last != Some(0) && asking.of(&self.stream.socket).or(last).is_some_and(|left| left > 0) {
            core.counters.count_cut_off();
        }
        self.end(core);
    }

    /// Closes the socket. It is in no list any more.
    pub(crate) fn end(self: Rc<Self>, core: &Core) {
        core.driver.deregister(&self.stream.socket);
        core.free_slot(self.stream.key);
        // Only this refers to it, unless it is in the ready list, which then closes the socket.
        if let Some(own) = Rc::into_inner(self) {
            core.stream_pool.retire(own.stream);
        }
    }

    fn enqueue(self: &Rc<Self>, core: &Core) {
        if !self.queued.replace(true) {
            core.push_ready(Ready::Source(Rc::clone(self) as Rc<dyn Source>));
        }
    }

    /// Reads and drops what there is. Returns whether that was the end.
    fn discard(self: &Rc<Self>, core: &Core) -> bool {
        let mut piece = [0; PIECE];
        for _ in 0..READS_PER_TURN {
            if is_too_much(self.discarded.get()) {
                return false;
            }
            match read(&self.stream, &mut piece) {
                Ok((Heard::Input, count)) => {
                    self.heard.set(true);
                    self.discarded.set(self.discarded.get() + count);
                }
                Ok((Heard::Nothing, _)) => return false,
                Ok((Heard::End, _)) | Err(_) => return true,
            }
        }
        self.enqueue(core);
        false
    }
}

impl Source for Lingering {
    fn note(&self, _: Key, readiness: Readiness) -> bool {
        let is_input = readiness != Readiness::WRITE;
        if !is_input {
            self.drained.set(true);
        }
        is_input && !self.queued.replace(true)
    }

    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.queued.set(false);
        if core.is_lingering(self.number) && self.discard(core) {
            core.forget_lingering(self.number);
            self.end(core);
        }
    }

    /// The loop closes: `end_all_lingering` waits for these.
    fn close(self: Rc<Self>, _: &Rc<Core>) {}
}

fn read(stream: &Stream, buffer: &mut [u8]) -> io::Result<(Heard, usize)> {
    match stream.socket.read(buffer) {
        Ok(0) => Ok((Heard::End, 0)),
        Ok(count) => Ok((Heard::Input, count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok((Heard::Nothing, 0)),
        Err(error) => Err(error),
    }
}
