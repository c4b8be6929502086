//! The write side: what is written is gathered, sent at once, or queued.

use std::io::{self, IoSlice};
use std::rc::Rc;

use bytes::Bytes;

use super::Stream;
use super::flags::Flags;
use crate::error::{Error, Kind};
use crate::event_loop::Core;
use crate::transport::WriteStatus;

/// Writes from here on go straight to the socket: the system call is cheaper than the copy.
const DIRECT_FROM: usize = 16 * 1024;

/// With any of these set nothing is taken any more.
const CLOSED: Flags =
    Flags::CLOSING.and(Flags::EOF_WANTED).and(Flags::LOST).and(Flags::WRITE_FAILED);

/// With any of these set a write of the running callback is not gathered.
pub(super) const NOT_GATHERED: Flags = CLOSED.and(Flags::HAS_QUEUE).and(Flags::LIMITED);

/// How many chunks one system call can take.
pub(super) const SLICES: usize = 64;

/// With any of these set what was gathered does not go to the socket as it is.
const NOT_DIRECT: Flags = Flags::LOST.and(Flags::TLS);

impl Stream {
    #[inline]
    pub(super) fn write(self: &Rc<Self>, core: &Rc<Core>, data: &[u8]) -> WriteStatus {
        if self.flags.get().just(Flags::IN_CALLBACK, NOT_GATHERED.and(Flags::IN_CALLBACK)) {
            return self.gather(core, data, None);
        }
        self.enqueue_write(core, data, None)
    }

    pub(super) fn write_bytes(self: &Rc<Self>, core: &Rc<Core>, data: &Bytes) -> WriteStatus {
        if self.flags.get().just(Flags::IN_CALLBACK, NOT_GATHERED.and(Flags::IN_CALLBACK)) {
            return self.gather(core, data, Some(data));
        }
        self.enqueue_write(core, data, Some(data))
    }

    pub(super) fn write_vectored(
        self: &Rc<Self>,
        core: &Rc<Core>,
        slices: &[IoSlice<'_>],
    ) -> WriteStatus {
        let mut status =
            if self.write_is_closed() { WriteStatus::Closed } else { self.write_status() };
        for slice in slices {
            status = self.write(core, slice);
            if status == WriteStatus::Closed {
                break;
            }
        }
        status
    }

    pub(super) fn write_eof(self: &Rc<Self>, core: &Core) {
        if self.is_write_only() {
            self.close(core);
        } else if !self.has(Flags::EOF_WANTED.and(Flags::CLOSING)) && self.may_end_writing() {
            self.set(Flags::EOF_WANTED);
            self.settle_soon(core);
        }
    }

    /// Not under TLS 1.2, which has no such thing as one side that is ended.
    fn may_end_writing(&self) -> bool {
        #[cfg(feature = "tls-core")]
        if self.has(Flags::TLS) {
            return self.tls_can_write_eof();
        }
        true
    }

    pub(super) fn write_buffer_size(&self, core: &Core) -> usize {
        let gathered = if self.has(Flags::IN_CALLBACK) { core.gather.borrow().len() } else { 0 };
        self.waiting() + gathered
    }

    /// The bytes that wait, those included that are records already.
    pub(super) fn waiting(&self) -> usize {
        let waiting = self.queue.borrow().len();
        #[cfg(feature = "tls-core")]
        if self.has(Flags::TLS) {
            return waiting + self.tls_waiting();
        }
        waiting
    }

    pub(super) fn write_is_closed(&self) -> bool {
        self.has(CLOSED)
    }

    pub(super) fn write_status(&self) -> WriteStatus {
        if self.has(Flags::LOST.and(Flags::WRITE_FAILED)) {
            WriteStatus::Closed
        } else if self.waiting() > self.high_water.get() {
            self.set(Flags::TOLD_ABOVE);
            WriteStatus::AboveHighWater
        } else {
            WriteStatus::Accepted
        }
    }

    /// Takes a write of the running callback, which goes out when the callback returns.
    #[inline]
    fn gather(
        self: &Rc<Self>,
        core: &Rc<Core>,
        data: &[u8],
        shared: Option<&Bytes>,
    ) -> WriteStatus {
        let mut gather = core.gather.borrow_mut();
        if data.len() < DIRECT_FROM && gather.len() + data.len() <= self.gather_limit.get() {
            gather.extend_from_slice(data);
            return WriteStatus::Accepted;
        }
        drop(gather);
        self.gather_no_more(core, data, shared)
    }

    /// Too much to gather: what is gathered and `data` go out now.
    #[cold]
    #[inline(never)]
    fn gather_no_more(
        self: &Rc<Self>,
        core: &Rc<Core>,
        data: &[u8],
        shared: Option<&Bytes>,
    ) -> WriteStatus {
        let gathered = core.gather.take();
        #[cfg(feature = "tls-core")]
        if self.has(Flags::TLS) {
            self.send_by_tls(core, &gathered, data, shared);
            restore(core, gathered);
            return self.write_status();
        }
        let result = if self.has(Flags::WRITABLE) {
            match (&*gathered, data) {
                (only, []) | ([], only) => self.socket.write(only),
                (first, second) => {
                    self.socket.write_vectored(&[IoSlice::new(first), IoSlice::new(second)])
                }
            }
        } else {
            Ok(0)
        };
        self.sent_in_part(core, result, &gathered, data, shared);
        restore(core, gathered);
        self.write_status()
    }

    /// Sends what the callback that has just returned wrote to its own connection.
    #[inline(always)]
    pub(super) fn flush_gathered(self: &Rc<Self>, core: &Rc<Core>) {
        let mut gather = core.gather.borrow_mut();
        if gather.is_empty() {
            return;
        }
        let result = if self.flags.get().just(Flags::WRITABLE, Flags::WRITABLE.and(NOT_DIRECT)) {
            self.socket.write(&gather)
        } else {
            Ok(0)
        };
        if let Ok(sent) = result
            && sent == gather.len()
        {
            gather.clear();
            return self.note_sent(core, sent);
        }
        drop(gather);
        self.flushed_in_part(core, result);
    }

    /// Sends what the running callback has written so far: what it writes from now on is queued.
    pub(super) fn flush_gathered_now(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::IN_CALLBACK) && !core.gather.borrow().is_empty() {
            self.gather_no_more(core, &[], None);
        }
    }

    #[cold]
    #[inline(never)]
    fn flushed_in_part(self: &Rc<Self>, core: &Rc<Core>, result: io::Result<usize>) {
        let gathered = core.gather.take();
        if self.has(Flags::LOST) {
            return restore(core, gathered);
        }
        #[cfg(feature = "tls-core")]
        if self.has(Flags::TLS) {
            self.send_by_tls(core, &gathered, &[], None);
            return restore(core, gathered);
        }
        self.sent_in_part(core, result, &gathered, &[], None);
        restore(core, gathered);
    }

    #[inline]
    pub(super) fn note_sent(&self, core: &Core, sent: usize) {
        core.counters.add_sent(sent);
        self.active_at.set(core.tick_instant());
    }

    /// Queues what `result` says was not taken.
    pub(super) fn sent_in_part(
        self: &Rc<Self>,
        core: &Rc<Core>,
        result: io::Result<usize>,
        first: &[u8],
        second: &[u8],
        shared: Option<&Bytes>,
    ) {
        let sent = match result {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return self.write_failed(core, error),
        };
        if sent > 0 {
            self.note_sent(core, sent);
        }
        if sent == first.len() + second.len() {
            return;
        }
        self.note_short_write(sent);
        let mut queue = self.queue.borrow_mut();
        queue.push_copy(&first[sent.min(first.len())..]);
        let sent = sent.saturating_sub(first.len());
        match shared {
            Some(shared) => queue.push_bytes(&shared.slice(sent..)),
            None => queue.push_copy(&second[sent..]),
        }
        drop(queue);
        self.note_write_progress(core);
        self.set(Flags::UNSETTLED.and(Flags::HAS_QUEUE));
    }

    pub(super) fn enqueue_write(
        self: &Rc<Self>,
        core: &Rc<Core>,
        data: &[u8],
        shared: Option<&Bytes>,
    ) -> WriteStatus {
        if self.write_is_closed() {
            return WriteStatus::Closed;
        }
        if data.is_empty() {
            return self.write_status();
        }
        if self.exceeds_write_cap(core) {
            return WriteStatus::Closed;
        }
        let mut queue = self.queue.borrow_mut();
        let was_empty = queue.is_empty();
        match shared {
            Some(shared) => queue.push_bytes(shared),
            None => queue.push_copy(data),
        }
        let above = queue.len() > self.high_water.get();
        drop(queue);
        self.clear(Flags::UNTOUCHED);
        self.set(Flags::HAS_QUEUE);
        if was_empty {
            self.note_write_progress(core);
        }
        if above && self.has(Flags::WRITABLE) {
            self.flush(core);
        }
        self.settle_soon(core);
        self.write_status()
    }

    /// Has what the running callback wrote so far wait in the queue, for what is to come after it.
    pub(super) fn queue_gathered(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::IN_CALLBACK) {
            let gathered = core.gather.take();
            self.queue.borrow_mut().push_copy(&gathered);
            restore(core, gathered);
        }
    }

    /// Something was put in the queue, which `was_empty` before.
    pub(super) fn note_queued(self: &Rc<Self>, core: &Core, was_empty: bool) {
        self.clear(Flags::UNTOUCHED);
        self.set(Flags::HAS_QUEUE);
        if was_empty {
            self.note_write_progress(core);
        }
        self.settle_soon(core);
    }

    /// Ends the connection if more waits than its cap allows; whether it did.
    pub(super) fn exceeds_write_cap(self: &Rc<Self>, core: &Core) -> bool {
        let (waiting, cap) = (self.waiting(), self.write_cap.get());
        if waiting > cap {
            let text = format!("{waiting} bytes wait to be sent, more than the write cap of {cap}");
            self.lose(core, Some(Error::new(Kind::WriteCap, text)));
        }
        waiting > cap
    }
}

/// Gives the gathering buffer back, so that gathering allocates once in a loop's life.
fn restore(core: &Core, mut gathered: Vec<u8>) {
    gathered.clear();
    *core.gather.borrow_mut() = gathered;
}
