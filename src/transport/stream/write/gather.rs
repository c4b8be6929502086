//! What a callback writes to its own connection: it goes out with one system call when it returns.

use std::io::{self, IoSlice};
use std::rc::Rc;

use bytes::Bytes;

use super::TAKES_NO_WRITES;
use crate::event_loop::Core;
use crate::transport::WriteStatus;
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;

/// Writes from here on go straight to the socket: the system call is cheaper than the copy.
const DIRECT_FROM: usize = 16 * 1024;

/// With any of these set a write of the running callback is not gathered.
const NOT_GATHERED: Flags = TAKES_NO_WRITES.union(Flags::HAS_QUEUE).union(Flags::LIMITED);

/// A write is gathered while of these only `IN_CALLBACK` is set.
const GATHERS: Flags = NOT_GATHERED.union(Flags::IN_CALLBACK);

/// What was gathered goes to the socket as it is while of these only `WRITABLE` is set.
const DIRECT: Flags = Flags::WRITABLE.union(Flags::CLOSED).union(Flags::TLS);

/// As [`DIRECT`], for what was not gathered.
const DIRECT_FROM_ELSEWHERE: Flags = DIRECT.union(NOT_GATHERED);

impl Stream {
    /// Takes a write, which is `shared` if its bytes need not be copied. That of the running callback
    /// is gathered and goes out when the callback returns; any other is queued.
    // Always inlined: `Transport::write` is called through a table, and this is all that it does.
    #[inline(always)]
    pub(in crate::transport::stream) fn write(
        self: &Rc<Self>,
        core: &Rc<Core>,
        data: &[u8],
        shared: Option<&Bytes>,
    ) -> WriteStatus {
        if !self.flags.get().matches(Flags::IN_CALLBACK, GATHERS) {
            return self.enqueue_write(core, data, shared);
        }
        let mut gather = core.gather.borrow_mut();
        if data.len() < DIRECT_FROM && gather.len() + data.len() <= self.writing.gather_limit.get()
        {
            gather.extend_from_slice(data);
            return WriteStatus::Accepted;
        }
        drop(gather);
        self.send_with_gathered(core, data, shared)
    }

    pub(in crate::transport::stream) fn write_vectored(
        self: &Rc<Self>,
        core: &Rc<Core>,
        slices: &[IoSlice<'_>],
    ) -> WriteStatus {
        let mut status =
            if self.has(TAKES_NO_WRITES) { WriteStatus::Closed } else { self.answer_write() };
        for slice in slices {
            status = self.write(core, slice, None);
            if status == WriteStatus::Closed {
                break;
            }
        }
        status
    }

    /// As `write`, for a caller outside this stream's callbacks whose data is worth a system call:
    /// what the system takes at once is not copied.
    #[inline]
    pub(crate) fn write_now(self: &Rc<Self>, core: &Rc<Core>, data: &[u8]) -> WriteStatus {
        if !self.flags.get().matches(Flags::WRITABLE, DIRECT_FROM_ELSEWHERE) {
            return self.enqueue_write(core, data, None);
        }
        let result = self.socket.write(data);
        if let Ok(sent) = result
            && sent == data.len()
        {
            self.note_sent(core, sent);
            return WriteStatus::Accepted;
        }
        self.sent_in_part(core, result, data, &[], None);
        self.update_soon(core);
        self.answer_write()
    }

    /// As [`write_now`](Self::write_now), of several slices with one system call.
    #[cfg(feature = "hyper")]
    pub(crate) fn write_slices_now(
        self: &Rc<Self>,
        core: &Rc<Core>,
        slices: &[IoSlice<'_>],
    ) -> WriteStatus {
        if !self.flags.get().matches(Flags::WRITABLE, DIRECT_FROM_ELSEWHERE) {
            return self.write_vectored(core, slices);
        }
        let sent = match self.socket.write_vectored(slices) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => {
                self.write_failed(core, error);
                self.update_soon(core);
                return self.answer_write();
            }
        };
        if sent > 0 {
            self.note_sent(core, sent);
        }
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if sent < total {
            self.note_short_write(sent);
            let mut gone = sent;
            for slice in slices {
                let part = gone.min(slice.len());
                gone -= part;
                self.queue_rest(core, part, slice, &[], None);
            }
            self.update_soon(core);
        }
        self.answer_write()
    }

    /// Too much to gather: what is gathered goes out now, and `data` with it.
    #[cold]
    fn send_with_gathered(
        self: &Rc<Self>,
        core: &Rc<Core>,
        data: &[u8],
        shared: Option<&Bytes>,
    ) -> WriteStatus {
        with_gathered(core, |gathered| self.send_now(core, gathered, data, shared));
        self.answer_write()
    }

    /// Sends what the callback that has just returned wrote to its own connection.
    #[inline(always)]
    pub(in crate::transport::stream) fn flush_gathered(self: &Rc<Self>, core: &Rc<Core>) {
        let mut gather = core.gather.borrow_mut();
        if gather.is_empty() {
            return;
        }
        if !self.flags.get().matches(Flags::WRITABLE, DIRECT) {
            drop(gather);
            return self.flush_gathered_indirectly(core);
        }
        let result = self.socket.write(&gather);
        if let Ok(sent) = result
            && sent == gather.len()
        {
            gather.clear();
            return self.note_sent(core, sent);
        }
        drop(gather);
        self.flushed_gathered_in_part(core, result);
    }

    /// The socket cannot take what was gathered as it is: it is closed, is full, or wants TLS records.
    #[cold]
    fn flush_gathered_indirectly(self: &Rc<Self>, core: &Rc<Core>) {
        with_gathered(core, |gathered| {
            if !self.has(Flags::CLOSED) {
                self.send_now(core, gathered, &[], None);
            }
        });
    }

    #[cold]
    fn flushed_gathered_in_part(self: &Rc<Self>, core: &Rc<Core>, result: io::Result<usize>) {
        with_gathered(core, |gathered| self.sent_in_part(core, result, gathered, &[], None));
    }

    /// Sends what the running callback has written so far: what it writes from now on is queued.
    pub(in crate::transport::stream) fn flush_gathered_now(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::IN_CALLBACK) && !core.gather.borrow().is_empty() {
            self.send_with_gathered(core, &[], None);
        }
    }

    /// Queues what the running callback wrote so far, so that something else can come after it.
    pub(in crate::transport::stream) fn queue_gathered(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::IN_CALLBACK) {
            with_gathered(core, |gathered| {
                if !gathered.is_empty() {
                    self.writing.queue.borrow_mut().push_copy(gathered);
                    self.set(Flags::HAS_QUEUE);
                }
            });
        }
    }

    /// Sends `first` and then `second`, and queues what the socket does not take.
    fn send_now(
        self: &Rc<Self>,
        core: &Rc<Core>,
        first: &[u8],
        second: &[u8],
        shared: Option<&Bytes>,
    ) {
        if self.has(Flags::TLS) {
            return self.send_by_tls(core, first, second, shared);
        }
        if !self.has(Flags::WRITABLE) {
            return self.queue_rest(core, 0, first, second, shared);
        }
        let result = match (first, second) {
            (only, []) | ([], only) => self.socket.write(only),
            (first, second) => {
                self.socket.write_vectored(&[IoSlice::new(first), IoSlice::new(second)])
            }
        };
        self.sent_in_part(core, result, first, second, shared);
    }

    /// Takes over what became of a write, and queues what was not taken.
    fn sent_in_part(
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
        if sent < first.len() + second.len() {
            self.note_short_write(sent);
            self.queue_rest(core, sent, first, second, shared);
        }
    }

    #[inline]
    pub(in crate::transport::stream) fn note_sent(&self, core: &Core, sent: usize) {
        core.counters.add_sent(sent);
        self.active_at.set(core.tick_instant());
    }
}

/// Takes what was gathered, and gives its memory back, so that gathering allocates once in a loop's
/// life.
fn with_gathered(core: &Core, action: impl FnOnce(&[u8])) {
    let mut gathered = core.gather.take();
    action(&gathered);
    gathered.clear();
    *core.gather.borrow_mut() = gathered;
}
