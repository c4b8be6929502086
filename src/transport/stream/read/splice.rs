//! The short ways of a relay: writing at once from the loop's buffer, and moving bytes from socket to
//! socket without one.
//!
//! Bytes that were spliced from one socket wait for the other in its write queue like all others: as a
//! pipe among the chunks. So the water marks, the deadlines, half-close and the end of a connection
//! need to know nothing of them. Where one of the two is a pipe itself, bytes go straight from one to
//! the other, for as long as the other takes them.
//!
//! If nothing can be spliced, there may still be input: `splice` stops for good at the mark of urgent
//! data, and reports the end there once the peer has ended its side, though bytes follow. So an
//! ordinary read decides (see `driver/drained.rs`).

use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Instant;

use super::{MAY_READ, READS_PER_TURN};
use crate::driver::{Key, SplicePipe, SplicePipes, SpliceUser, cannot_splice, splice_directly};
use crate::event_loop::Core;
use crate::transport::relay::Passage;
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;

/// Where the input of a stream is spliced to.
pub(crate) struct Splice {
    to: Key,
    passage: Rc<Passage>,
    _user: SpliceUser,
}

/// With any of these set nothing can be written, and copying finds out why.
const TAKES_NOTHING: Flags =
    Flags::CLOSING.union(Flags::EOF_WANTED).union(Flags::CLOSED).union(Flags::WRITE_FAILED);

/// Bytes go straight to a stream while of these just `WRITABLE` is set.
const STRAIGHT: Flags = Flags::WRITABLE.union(Flags::HAS_QUEUE).union(Flags::LIMITED);

impl Stream {
    /// Whether its write side was ended while the rest of it goes on.
    pub(crate) fn has_only_ended_writing(&self) -> bool {
        self.has(Flags::EOF_WANTED)
            && !self.has(Flags::CLOSING.union(Flags::CLOSED).union(Flags::WRITE_FAILED))
    }

    /// When bytes last went in or out.
    pub(crate) fn active_at(&self) -> Instant {
        self.active_at.get()
    }

    /// A hold that was granted to a former protocol is not the relay's; and what is part of a relay
    /// cannot be given to another process.
    pub(crate) fn begin_relay(&self, to: Key) {
        self.clear(Flags::HELD.union(Flags::UNUSED));
        self.reading.rare.change(|rare| {
            rare.relays += 1;
            rare.relayed_to = Some(to);
        });
    }

    /// A relay's protocol was dropped. Another relay's can have its place already.
    pub(crate) fn end_relay(&self) {
        self.reading.rare.change_existing(|rare| {
            rare.relays = rare.relays.saturating_sub(1);
            if rare.relays == 0 {
                rare.relayed_to = None;
            }
        });
    }

    pub(in crate::transport::stream) fn is_relayed(&self) -> bool {
        self.reading.rare.change_existing(|rare| rare.relays > 0)
    }

    /// Where a relay sends the input of this stream: `None` when that is closed.
    pub(in crate::transport::stream) fn relayed_to(&self, core: &Core) -> Option<Rc<Self>> {
        let to = self.reading.rare.change_existing(|rare| rare.relayed_to);
        to.and_then(|to| core.stream(to))
    }

    /// Whether it is part of a relay, and what it brings cannot be sent on any more.
    pub(in crate::transport::stream) fn relays_to_nobody(&self, core: &Core) -> bool {
        self.is_relayed() && self.relayed_to(core).is_none_or(|to| to.has(TAKES_NOTHING))
    }

    /// The descriptor that the kernel can splice, if there is one.
    pub(in crate::transport::stream) fn plain(&self) -> Option<BorrowedFd<'_>> {
        // Under TLS records are on the way, not the bytes.
        if self.has(Flags::TLS) { None } else { self.socket.splice_fd() }
    }

    fn is_pipe(&self) -> bool {
        self.socket.is_pipe()
    }

    /// Splices the input of this stream to another from now on, if both are plain sockets, or one is a
    /// pipe. Returns whether they are.
    ///
    /// From pipe to pipe a packet stays a packet, and a reader that takes less than one at once
    /// loses the rest. So that is copied.
    pub(crate) fn start_splicing(&self, core: &Core, to: &Rc<Self>, passage: &Rc<Passage>) -> bool {
        if !SplicePipes::SUPPORTED
            || self.plain().is_none()
            || to.plain().is_none()
            || (self.is_pipe() && to.is_pipe())
            || self.has(Flags::CLOSED)
        {
            return false;
        }
        let splice =
            Splice { to: to.key, passage: Rc::clone(passage), _user: core.splice_pipes.user() };
        let former = self.reading.rare.change(|rare| rare.splice.replace(Rc::new(splice)));
        drop(former);
        self.set(Flags::SPLICED);
        true
    }

    fn stop_splicing(&self) {
        if self.has(Flags::SPLICED) {
            self.clear(Flags::SPLICED);
            let splice = self.reading.rare.change_existing(|rare| rare.splice.take());
            drop(splice);
        }
    }

    /// Ends the splicing of one relay, and leaves that of another alone.
    pub(crate) fn stop_splicing_of(&self, passage: &Rc<Passage>) {
        let is_its = self.reading.rare.change_existing(|rare| {
            rare.splice.as_ref().is_some_and(|splice| Rc::ptr_eq(&splice.passage, passage))
        });
        if is_its {
            self.stop_splicing();
        }
    }

    /// Moves what there is to the other stream. `false`: it has to be read and copied this time.
    pub(in crate::transport::stream) fn splice(self: &Rc<Self>, core: &Rc<Core>) -> bool {
        for _ in 0..READS_PER_TURN {
            if !self.flags.get().matches(Flags::READABLE, MAY_READ) || !self.has(Flags::SPLICED) {
                break;
            }
            let splice = self.reading.rare.change_existing(|rare| rare.splice.clone());
            let Some(splice) = splice else { return false };
            let Some(to) = core.stream(splice.to) else { return false };
            if to.has(TAKES_NOTHING) {
                return false;
            }
            let room = self.read_room(core, SplicePipe::CAPACITY);
            if room == 0 {
                break;
            }
            match self.splice_directly(core, &to, room) {
                Ok(0) => {}
                Ok(count) => {
                    self.note_spliced(core, &splice.passage, count);
                    continue;
                }
                // A pipe does not fail when it is read.
                Err(error) if self.is_pipe() => {
                    to.write_failed(core, error);
                    return true;
                }
                Err(error) => {
                    self.splice_failed(core, error);
                    return true;
                }
            }
            let Some(mut pipe) = core.splice_pipes.take() else { return false };
            let result = match self.plain() {
                Some(from) => pipe.fill(from, room),
                None => Err(io::ErrorKind::Unsupported.into()),
            };
            match result {
                Ok(count) if count > 0 => {
                    self.note_spliced(core, &splice.passage, count);
                    self.pass_pipe(core, &to, pipe);
                }
                Err(error) if cannot_splice(&error) => {
                    splice.passage.never_splice();
                    self.stop_splicing();
                    return false;
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    self.splice_failed(core, error);
                    return true;
                }
                // Nothing that can be spliced: reading shows what that means.
                _ => return false,
            }
        }
        self.enqueue_if_readable(core);
        true
    }

    /// The connection is broken. What came before that is still there if it could not be spliced, but
    /// the error is not: the system tells it once.
    fn splice_failed(self: &Rc<Self>, core: &Rc<Core>, error: io::Error) {
        self.stop_splicing();
        self.write_failed(core, error);
    }

    /// Moves what there is to the other stream with one call, if one of the two is a pipe. 0: it has to
    /// go by a pipe of the loop's, which also shows which of the two does not go on.
    fn splice_directly(&self, core: &Core, to: &Self, room: usize) -> io::Result<usize> {
        let one_is_pipe = self.is_pipe() || to.is_pipe();
        if !one_is_pipe || !to.flags.get().matches(Flags::WRITABLE, STRAIGHT) {
            return Ok(0);
        }
        let (Some(from), Some(into)) = (self.plain(), to.plain()) else { return Ok(0) };
        match splice_directly(from, into, room) {
            Ok(count) => {
                if count > 0 {
                    to.note_sent(core, count);
                }
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) if cannot_splice(&error) => Ok(0),
            // A socket can have it as an error of its own.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && !self.is_pipe() => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn note_spliced(&self, core: &Core, passage: &Passage, count: usize) {
        self.count_received(core, count);
        if passage.spliced(count) {
            self.stop_splicing();
        }
    }

    /// Sends what is in the pipe; what the other end does not take stops reading until it does.
    fn pass_pipe(&self, core: &Rc<Core>, to: &Rc<Self>, pipe: SplicePipe) {
        to.queue_pipe(core, pipe);
        to.flush(core);
        if to.has(Flags::HAS_QUEUE) {
            self.set(Flags::PAUSED);
            to.owe_pause(core);
        }
        if to.has(Flags::LIMITED) {
            to.give_shares_back();
        }
    }
}
