//! The writing half: what is written is gathered, sent at once, or queued.
//!
//! `gather.rs` takes what a callback writes to its own connection, and sends it when the callback
//! returns. What the socket does not take, and what is written from elsewhere, waits in the queue
//! (`queue.rs`) and is sent by `flush.rs`. Files (`file.rs`) and descriptors (`descriptors.rs`) wait in
//! the same queue.

mod descriptors;
mod file;
mod flush;
mod gather;
mod queue;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;

use super::Stream;
use super::flags::Flags;
use crate::driver::SplicePipe;
use crate::error::{Error, Kind};
use crate::event_loop::Core;
use crate::transport::marks::{Crossing, Marks};
use crate::transport::{StreamOptions, WaterMarks, WriteStatus, options};

pub(in crate::transport::stream) use self::flush::BYTES_PER_TURN;
pub(in crate::transport::stream) use self::queue::{Front, WriteQueue};

/// With any of these set nothing more is taken to be written.
const TAKES_NO_WRITES: Flags =
    Flags::CLOSING.union(Flags::EOF_WANTED).union(Flags::CLOSED).union(Flags::WRITE_FAILED);

/// How many chunks one system call can take.
pub(in crate::transport::stream) const SLICES: usize = 64;

/// What waits to be sent, and how much may.
pub(in crate::transport::stream) struct WriteHalf {
    queue: RefCell<WriteQueue>,
    marks: Marks,
    /// What one callback can write before it goes out.
    gather_limit: Cell<usize>,
    /// The connection is closed if it is written to while more than this waits.
    cap: Cell<usize>,
}

impl WriteHalf {
    #[inline]
    pub(in crate::transport::stream) fn new(options: &StreamOptions) -> Self {
        Self {
            queue: RefCell::default(),
            marks: Marks::new(options.marks),
            gather_limit: Cell::new(gather_limit(options.marks)),
            cap: Cell::new(options.write_cap.unwrap_or(usize::MAX)),
        }
    }

    #[inline(always)]
    pub(in crate::transport::stream) fn vacate(&mut self) {
        self.queue = RefCell::default();
    }

    /// What TLS makes its records of.
    #[inline]
    pub(in crate::transport::stream) fn queue(&self) -> &RefCell<WriteQueue> {
        &self.queue
    }

    pub(in crate::transport::stream) fn marks(&self) -> &Marks {
        &self.marks
    }

    pub(in crate::transport::stream) fn set_cap(&self, cap: Option<usize>) {
        self.cap.set(cap.unwrap_or(usize::MAX));
    }

    fn set_marks(&self, marks: WaterMarks) -> Result<(), Error> {
        self.marks.set(marks)?;
        self.gather_limit.set(gather_limit(marks));
        Ok(())
    }

    /// How a write is answered after which `waiting` bytes wait.
    fn status(&self, flags: Flags, waiting: usize) -> WriteStatus {
        if flags.intersects(Flags::CLOSED.union(Flags::WRITE_FAILED)) {
            WriteStatus::Closed
        } else if self.marks.is_above(waiting) {
            WriteStatus::AboveHighWater
        } else {
            WriteStatus::Accepted
        }
    }

    /// Why nothing more may be written: more waits than the cap.
    fn check_cap(&self, waiting: usize) -> Result<(), Error> {
        let cap = self.cap.get();
        if waiting <= cap {
            return Ok(());
        }
        let text = format!("{waiting} bytes wait to be sent, more than the write cap of {cap}");
        Err(Error::new(Kind::WriteCap, text))
    }

    /// Queues what a system call that took `sent` bytes of `first` and then `second` has left.
    fn push_rest(&self, sent: usize, first: &[u8], second: &[u8], shared: Option<&Bytes>) {
        let mut queue = self.queue.borrow_mut();
        queue.push_copy(&first[sent.min(first.len())..]);
        let sent = sent.saturating_sub(first.len());
        match shared {
            Some(shared) => queue.push_bytes(&shared.slice(sent..)),
            None => queue.push_copy(&second[sent..]),
        }
    }
}

fn gather_limit(marks: WaterMarks) -> usize {
    marks.high.min(options::GATHER_LIMIT)
}

impl Stream {
    pub(in crate::transport::stream) fn write_eof(self: &Rc<Self>, core: &Core) {
        if self.is_write_only() {
            self.close(core);
        } else if !self.has(Flags::EOF_WANTED.union(Flags::CLOSING)) && self.tls_can_write_eof() {
            self.set(Flags::EOF_WANTED);
            self.update_soon(core);
        }
    }

    pub(in crate::transport::stream) fn write_buffer_size(&self, core: &Core) -> usize {
        let gathered = if self.has(Flags::IN_CALLBACK) { core.gather.borrow().len() } else { 0 };
        self.waiting() + gathered
    }

    /// The bytes that wait, including those that are TLS records already.
    pub(in crate::transport::stream) fn waiting(&self) -> usize {
        let waiting = self.writing.queue.borrow().len();
        if self.has(Flags::TLS) { waiting + self.tls_waiting() } else { waiting }
    }

    /// Whether a write is taken. If more waits than the cap, the connection is closed instead.
    pub(in crate::transport::stream) fn admits_write(self: &Rc<Self>, core: &Core) -> bool {
        if self.has(TAKES_NO_WRITES) {
            return false;
        }
        let admitted = self.writing.check_cap(self.waiting());
        let admits = admitted.is_ok();
        if let Err(error) = admitted {
            self.end(core, Some(error));
        }
        admits
    }

    /// How a write is answered. If the answer is that it went above the high-water mark, a pause must
    /// follow.
    pub(in crate::transport::stream) fn answer_write(&self) -> WriteStatus {
        let status = self.writing.status(self.flags.get(), self.waiting());
        if status == WriteStatus::AboveHighWater {
            self.set(Flags::PAUSE_OWED);
        }
        status
    }

    /// Queues one write.
    pub(in crate::transport::stream) fn enqueue_write(
        self: &Rc<Self>,
        core: &Rc<Core>,
        data: &[u8],
        shared: Option<&Bytes>,
    ) -> WriteStatus {
        if self.has(TAKES_NO_WRITES) {
            return WriteStatus::Closed;
        }
        if data.is_empty() {
            return self.answer_write();
        }
        if !self.admits_write(core) {
            return WriteStatus::Closed;
        }
        self.push(core, |queue| match shared {
            Some(shared) => queue.push_bytes(shared),
            None => queue.push_copy(data),
        });
        let is_above = self.writing.marks.is_above(self.writing.queue.borrow().len());
        if is_above && self.has(Flags::WRITABLE) {
            self.flush(core);
        }
        self.update_soon(core);
        self.answer_write()
    }

    /// Queues what was spliced from another socket.
    pub(in crate::transport::stream) fn queue_pipe(&self, core: &Core, pipe: SplicePipe) {
        self.push(core, |queue| queue.push_pipe(pipe));
    }

    /// Puts something in the queue. It is sent when the stream is flushed or updated.
    fn push(&self, core: &Core, push: impl FnOnce(&mut WriteQueue)) {
        let was_empty = {
            let mut queue = self.writing.queue.borrow_mut();
            let was_empty = queue.is_empty();
            push(&mut queue);
            was_empty
        };
        self.clear(Flags::UNUSED);
        self.set(Flags::HAS_QUEUE);
        if was_empty {
            self.note_write_progress(core);
        }
    }

    /// The queue has begun, with what the socket did not take of a write of the running callback.
    pub(in crate::transport::stream) fn queue_rest(
        &self,
        core: &Core,
        sent: usize,
        first: &[u8],
        second: &[u8],
        shared: Option<&Bytes>,
    ) {
        if sent == first.len() + second.len() {
            return;
        }
        self.writing.push_rest(sent, first, second, shared);
        self.note_write_progress(core);
        self.set(Flags::NEEDS_UPDATE.union(Flags::HAS_QUEUE));
    }

    /// Tells the protocol when the queue has passed a mark.
    pub(in crate::transport::stream) fn tell_marks(self: &Rc<Self>, core: &Rc<Core>) {
        // After a failed write nothing can be written: there is nothing to be resumed for.
        if self.is_closing() || !self.has(Flags::MADE) {
            return;
        }
        let is_paused = self.has(Flags::WRITING_PAUSED);
        let pause_owed = self.has(Flags::PAUSE_OWED);
        match self.writing.marks.crossing(self.waiting(), is_paused, pause_owed) {
            None => {}
            Some(Crossing::Pause { resumes }) => {
                self.set(Flags::WRITING_PAUSED);
                if resumes {
                    self.set(Flags::NEEDS_UPDATE);
                }
                if self.has(Flags::IN_READ) {
                    self.set(Flags::OVERFLOWED_IN_READ);
                }
                self.call(core, "pause_writing", |protocol, transport| {
                    protocol.pause_writing(transport)
                });
            }
            Some(Crossing::Resume) => {
                self.clear(
                    Flags::WRITING_PAUSED
                        .union(Flags::HELD)
                        .union(Flags::OVERFLOWED_IN_READ)
                        .union(Flags::PAUSE_OWED),
                );
                self.call(core, "resume_writing", |protocol, transport| {
                    protocol.resume_writing(transport)
                });
                self.enqueue_if_readable(core);
            }
        }
    }

    pub(in crate::transport::stream) fn set_write_buffer_limits(
        self: &Rc<Self>,
        core: &Core,
        limits: WaterMarks,
    ) -> Result<(), Error> {
        self.writing.set_marks(limits)?;
        self.update_soon(core);
        Ok(())
    }

    pub(crate) fn is_above_high_water(&self) -> bool {
        self.writing.marks.is_above(self.waiting())
    }

    /// The other end of its relay does not take what it is sent: a pause, and later a resume, is owed.
    pub(in crate::transport::stream) fn owe_pause(self: &Rc<Self>, core: &Core) {
        self.set(Flags::PAUSE_OWED);
        self.update_soon(core);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(high: usize, write_cap: Option<usize>) -> WriteHalf {
        let marks = WaterMarks::from_high(high);
        WriteHalf::new(&StreamOptions { marks, write_cap, ..StreamOptions::for_client() })
    }

    #[test]
    fn a_write_is_answered_by_what_waits_unless_the_stream_is_closed() {
        let half = half(10, None);
        assert_eq!(half.status(Flags::WRITABLE, 10), WriteStatus::Accepted);
        assert_eq!(half.status(Flags::WRITABLE, 11), WriteStatus::AboveHighWater);
        for closed in [Flags::CLOSED, Flags::WRITE_FAILED] {
            assert_eq!(half.status(closed, 0), WriteStatus::Closed);
        }
    }

    #[test]
    fn what_waits_may_reach_the_cap_and_not_exceed_it() {
        let half = half(10, Some(20));
        assert!(half.check_cap(20).is_ok());
        let error = half.check_cap(21).unwrap_err();
        assert_eq!(error.kind(), Kind::WriteCap);
        half.set_cap(None);
        assert!(half.check_cap(usize::MAX).is_ok());
    }

    #[test]
    fn the_rest_of_a_write_is_queued_from_where_the_socket_stopped() {
        for sent in 0..=7 {
            let half = half(10, None);
            half.push_rest(sent, b"one", b"four", None);
            let mut slices = [std::io::IoSlice::new(&[])];
            let queue = half.queue.borrow();
            queue.fill(&mut slices, usize::MAX);
            assert_eq!(&*slices[0], &b"onefour"[sent..], "{sent} bytes were sent");
        }
    }

    #[test]
    fn a_callback_gathers_no_more_than_the_high_mark() {
        let half = half(1000, None);
        assert_eq!(half.gather_limit.get(), 1000);
        half.set_marks(WaterMarks::from_high(usize::MAX)).unwrap();
        assert_eq!(half.gather_limit.get(), options::GATHER_LIMIT);
        half.set_marks(WaterMarks { low: 2, high: 1 }).unwrap_err();
        assert_eq!(
            half.gather_limit.get(),
            options::GATHER_LIMIT,
            "what is refused changes nothing"
        );
    }
}
