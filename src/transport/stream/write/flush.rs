//! Sending what is queued, and what becomes of the queue when that fails.

use std::io::{self, IoSlice};
use std::rc::Rc;

use super::SLICES;
use super::file::{Step, undelivered};
use super::queue::Front;
use crate::driver::cannot_splice;
use crate::driver::drained::is_full;
use crate::error::Error;
use crate::event_loop::Core;
use crate::transport::rate_limit::Direction;
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;

/// What goes out of files in a turn, before the other connections have theirs.
pub(in crate::transport::stream) const BYTES_PER_TURN: usize = 1024 * 1024;

/// How many chunks of bytes go out with one system call where there is more than bytes in the queue.
const SLICES_OF_MIXED: usize = 16;

impl Stream {
    /// Hands the queue to the operating system until it takes no more.
    pub(in crate::transport::stream) fn flush(self: &Rc<Self>, core: &Rc<Core>) {
        self.flush_queue(core);
        if self.has(Flags::AWAITED) && !self.has(Flags::HAS_QUEUE) {
            self.tell_waiting(core);
        }
    }

    fn flush_queue(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::TLS) {
            return self.flush_tls(core);
        }
        while self.has(Flags::WRITABLE) && !self.has(Flags::CLOSED) {
            let queue = self.writing.queue.borrow();
            if queue.is_empty() {
                return self.clear(Flags::HAS_QUEUE);
            }
            if queue.is_mixed() {
                drop(queue);
                return self.flush_mixed(core);
            }
            let limit = self.write_room(core, queue.len());
            if limit == 0 {
                return;
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

    /// As [`flush`](Self::flush). A turn has an end though the socket takes ever more: it goes on in
    /// the next round.
    pub(in crate::transport::stream) fn flush_mixed(self: &Rc<Self>, core: &Rc<Core>) {
        let mut budget = BYTES_PER_TURN;
        while self.has(Flags::WRITABLE) && !self.has(Flags::CLOSED) {
            if self.writing.queue.borrow().is_empty() {
                return self.clear(Flags::HAS_QUEUE);
            }
            let limit = self.write_room(core, BYTES_PER_TURN);
            if limit == 0 {
                return;
            }
            let mut queue = self.writing.queue.borrow_mut();
            match queue.front() {
                None => return self.clear(Flags::HAS_QUEUE),
                Some(Front::Bytes { before_file }) => {
                    drop(queue);
                    self.flush_bytes(core, limit, before_file);
                }
                Some(Front::File(_)) if budget == 0 => return self.enqueue(core),
                Some(Front::File(file)) => {
                    let step = file.step(&self.socket, budget.min(limit));
                    let sent = if file.is_sent() { queue.take_front_file() } else { None };
                    drop(queue);
                    if let Some(file) = sent {
                        file.succeed(core);
                    }
                    budget -= self.take_step(core, step);
                }
                Some(Front::Piped) => {
                    drop(queue);
                    self.flush_pipe(core, limit);
                }
                Some(Front::Carrying(data, descriptors)) => {
                    // The descriptors go with the first byte; what is left are bytes like any.
                    let data = &data[..data.len().min(limit)];
                    let result = self.socket.write_with_descriptors(data, descriptors);
                    let sent = match result {
                        Ok(sent) if sent > 0 => queue.carried(sent),
                        _ => Vec::new(),
                    };
                    drop(queue);
                    // These are the copies that this process has.
                    drop(sent);
                    match result {
                        Ok(sent) => self.note_flushed(core, sent),
                        Err(error) => self.flushed(core, Err(error), 0),
                    }
                }
            }
        }
    }

    fn flush_bytes(self: &Rc<Self>, core: &Rc<Core>, limit: usize, before_file: bool) {
        let queue = self.writing.queue.borrow();
        let mut slices = [IoSlice::new(&[]); SLICES_OF_MIXED];
        let count = queue.fill(&mut slices, limit);
        let offered = slices[..count].iter().map(|slice| slice.len()).sum();
        let result = if before_file {
            // A header and its file begin in one packet.
            self.socket.write_before_more(&slices[..count])
        } else {
            self.socket.write_vectored(&slices[..count])
        };
        drop(queue);
        self.flushed(core, result, offered);
    }

    /// Does what a step of a file leads to. Returns how many bytes it sent.
    fn take_step(self: &Rc<Self>, core: &Rc<Core>, step: Step) -> usize {
        match step {
            Step::Sent(sent) => {
                self.note_flushed(core, sent);
                return sent;
            }
            Step::Full => self.clear(Flags::WRITABLE),
            Step::SocketFailed(error) => self.write_failed(core, error),
            Step::FileFailed(error) => {
                // The peer was promised bytes that are not there: nothing that could follow would
                // be understood.
                self.end(core, Some(Error::io("the file could not be sent", error)));
            }
        }
        0
    }

    /// Some of the queue was sent.
    pub(in crate::transport::stream) fn note_flushed(&self, core: &Core, sent: usize) {
        if sent > 0 {
            self.note_sent(core, sent);
            self.note_write_progress(core);
            self.spend(Direction::Write, sent);
        }
    }

    /// Sends what is in the pipe at the front of the queue.
    fn flush_pipe(self: &Rc<Self>, core: &Rc<Core>, limit: usize) {
        let result = match self.plain() {
            Some(to) => self.writing.queue.borrow_mut().drain_pipe(to, limit),
            None => Err(io::ErrorKind::Unsupported.into()),
        };
        match result {
            Ok(sent) if sent > 0 => {
                self.note_flushed(core, sent);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.clear(Flags::WRITABLE),
            Err(error) if !cannot_splice(&error) => self.write_failed(core, error),
            _ => {
                let outcome = self.writing.queue.borrow_mut().copy_pipe();
                if let Err(error) = outcome {
                    self.write_failed(core, error);
                }
            }
        }
    }

    /// Less was taken than was offered.
    pub(in crate::transport::stream) fn note_short_write(&self, sent: usize) {
        if is_full(sent, self.flags.get().readiness()) {
            self.clear(Flags::WRITABLE);
        }
    }

    /// Takes over what became of the bytes at the front of the queue.
    pub(in crate::transport::stream) fn flushed(
        self: &Rc<Self>,
        core: &Rc<Core>,
        result: io::Result<usize>,
        offered: usize,
    ) {
        match result {
            Ok(sent) => {
                core.with_deferred_drops(|drops| {
                    self.writing.queue.borrow_mut().advance(sent, drops);
                });
                if sent < offered {
                    self.note_short_write(sent);
                }
                self.note_flushed(core, sent);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear(Flags::WRITABLE);
            }
            Err(error) => self.write_failed(core, error),
        }
    }

    /// The peer takes nothing any more. Input that came before is delivered first.
    pub(in crate::transport::stream) fn write_failed(
        self: &Rc<Self>,
        core: &Rc<Core>,
        error: io::Error,
    ) {
        let error = Error::from(error);
        if self.has(Flags::WRITE_FAILED.union(Flags::CLOSED)) {
            return;
        }
        // The hold was for what is dropped now.
        self.clear(Flags::HELD.union(Flags::OVERFLOWED_IN_READ));
        let keeps_input = self.is_reading() || (!self.has(Flags::CLOSING) && self.input_waits());
        if !keeps_input {
            return self.end(core, Some(error));
        }
        self.discard_queue(core, Some(&error));
        self.life.replace_error(core, Some(error));
        self.set(Flags::WRITE_FAILED.union(Flags::READABLE).union(Flags::READ_CLOSED));
        self.note_write_failed(core);
        self.enqueue(core);
    }

    /// Forgets what is queued; the user's `Bytes` in it are dropped when nothing is borrowed.
    pub(in crate::transport::stream) fn discard_queue(&self, core: &Core, cause: Option<&Error>) {
        if self.has(Flags::HAS_QUEUE) {
            self.discard_what_is_queued(core, cause);
        }
    }

    #[cold]
    fn discard_what_is_queued(&self, core: &Core, cause: Option<&Error>) {
        let mut files = Vec::new();
        core.with_deferred_drops(|drops| files = self.writing.queue.borrow_mut().clear(drops));
        self.clear(Flags::HAS_QUEUE);
        if self.has(Flags::TLS) {
            self.discard_tls_queue(core);
        }
        for file in files {
            file.fail(core, undelivered(cause));
        }
    }
}
