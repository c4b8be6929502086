//! Sending what is queued, and what becomes of the queue when that fails.

use std::io::{self, IoSlice};
use std::rc::Rc;

use super::Stream;
use super::flags::Flags;
use super::send_file::undelivered;
use super::write::SLICES;
use crate::driver::drained::is_full;
use crate::error::Error;
use crate::event_loop::Core;
use crate::transport::rate_limit::Direction;

impl Stream {
    /// Hands the queue to the operating system until it takes no more.
    pub(super) fn flush(self: &Rc<Self>, core: &Rc<Core>) {
        #[cfg(feature = "tls-core")]
        if self.has(Flags::TLS) {
            return self.flush_tls(core);
        }
        while self.has(Flags::WRITABLE) && !self.has(Flags::LOST) {
            let queue = self.queue.borrow();
            if queue.is_empty() {
                return self.clear(Flags::HAS_QUEUE);
            }
            if queue.is_mixed() {
                drop(queue);
                return self.flush_mixed(core);
            }
            let mut limit = queue.len();
            if self.has(Flags::LIMITED) {
                limit = self.write_budget(core, limit);
                if limit == 0 {
                    return;
                }
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = queue.fill(&mut slices, limit);
            let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            let result = match &slices[..count] {
                [only] => self.socket.write(only),
                several => self.socket.write_vectored(several),
            };
            drop(queue);
            self.flushed(core, result, offered);
        }
    }

    /// Less was taken than was offered.
    pub(super) fn note_short_write(&self, sent: usize) {
        if is_full(sent, self.flags.get().readiness()) {
            self.clear(Flags::WRITABLE);
        }
    }

    /// Takes over what became of the bytes at the front of the queue.
    #[inline]
    pub(super) fn flushed(
        self: &Rc<Self>,
        core: &Rc<Core>,
        result: io::Result<usize>,
        offered: usize,
    ) {
        match result {
            Ok(sent) => {
                core.with_spent(|spent| self.queue.borrow_mut().advance(sent, spent));
                if sent < offered {
                    self.note_short_write(sent);
                }
                if sent > 0 {
                    self.note_sent(core, sent);
                    self.note_write_progress(core);
                }
                if self.has(Flags::LIMITED) {
                    self.spend(Direction::Write, sent);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear(Flags::WRITABLE);
            }
            Err(error) => self.write_failed(core, error),
        }
    }

    /// The peer takes nothing any more. Input that came before is delivered first.
    pub(super) fn write_failed(self: &Rc<Self>, core: &Rc<Core>, error: io::Error) {
        let error = Error::from(error);
        if self.has(Flags::WRITE_FAILED.and(Flags::LOST)) {
            return;
        }
        // The hold was for what is dropped now.
        self.clear(Flags::HELD.and(Flags::OVERFLOWED_IN_READ));
        let keeps_input = self.is_reading() || (!self.has(Flags::CLOSING) && self.input_waits());
        if !keeps_input {
            return self.lose(core, Some(error));
        }
        self.discard_queue(core, Some(&error));
        let former = self.with_extra(|extra| extra.error.replace(error));
        if let Some(former) = former {
            core.drop_user(former, "user's error");
        }
        self.set(Flags::WRITE_FAILED.and(Flags::READABLE).and(Flags::READ_CLOSED));
        self.note_write_failed(core);
        self.enqueue(core);
    }

    /// Forgets what is queued; the user's `Bytes` in it are dropped when nothing is borrowed.
    #[inline]
    pub(super) fn discard_queue(&self, core: &Core, cause: Option<&Error>) {
        if self.has(Flags::HAS_QUEUE) {
            self.discard_what_is_queued(core, cause);
        }
    }

    #[cold]
    #[inline(never)]
    fn discard_what_is_queued(&self, core: &Core, cause: Option<&Error>) {
        let mut files = Vec::new();
        core.with_spent(|spent| files = self.queue.borrow_mut().clear(spent));
        self.clear(Flags::HAS_QUEUE);
        #[cfg(feature = "tls-core")]
        if self.has(Flags::TLS) {
            self.discard_tls_queue(core);
        }
        for file in files {
            file.fail(core, undelivered(cause));
        }
    }
}
