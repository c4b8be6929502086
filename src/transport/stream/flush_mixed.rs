//! Flushing a queue that has more than bytes in it: files, bytes that carry descriptors, and what was
//! spliced.

use std::io::IoSlice;
use std::rc::Rc;

use super::Stream;
use super::flags::Flags;
use super::send_file::Step;
use super::write_queue::Front;
use crate::error::Error;
use crate::event_loop::Core;
use crate::transport::rate_limit::Direction;

/// What goes out of files before the other connections have their turn.
const BYTES_PER_TURN: usize = 1024 * 1024;

/// How many chunks of bytes one system call takes.
const SLICES: usize = 16;

impl Stream {
    /// As [`flush`](Self::flush). A turn has an end though the socket takes ever more: it goes on in
    /// the next round.
    #[cold]
    #[inline(never)]
    pub(super) fn flush_mixed(self: &Rc<Self>, core: &Rc<Core>) {
        let mut budget = BYTES_PER_TURN;
        while self.has(Flags::WRITABLE) && !self.has(Flags::LOST) {
            let mut limit = BYTES_PER_TURN;
            if self.has(Flags::LIMITED) && !self.queue.borrow().is_empty() {
                limit = self.write_budget(core, limit);
                if limit == 0 {
                    return;
                }
            }
            let mut queue = self.queue.borrow_mut();
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
        let queue = self.queue.borrow();
        let mut slices = [IoSlice::new(&[]); SLICES];
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

    /// What a step of a file leads to; how many bytes it sent.
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
                self.lose(core, Some(Error::io("the file could not be sent", error)));
            }
        }
        0
    }

    fn note_flushed(self: &Rc<Self>, core: &Rc<Core>, sent: usize) {
        self.note_sent(core, sent);
        self.note_write_progress(core);
        if self.has(Flags::LIMITED) {
            self.spend(Direction::Write, sent);
        }
    }
}
