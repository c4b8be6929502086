//! The writing half of a stream.

mod drain;

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::IoSlice;
use std::marker::PhantomData;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use super::link::{Link, State};
use crate::error::Error;
use crate::event_loop::Ticket;
use crate::task::Waits;
use crate::thread_bound::{ThreadBound, UseRemote};
use crate::timeout::Timeout;
use crate::transport::{
    Access, Info, SendFile, Transport, TransportHandle, WaterMarks, WriteStatus, flush, poll_flush,
};

pub use self::drain::{Drain, WriteAll};

/// What is sent over a connection, a pipe or to a child: asyncio's `StreamWriter`.
///
/// All methods take `&self`: several tasks can share one, by a reference or an `Rc`.
///
/// ```
/// # use wharf::testing::MemoryNetwork;
/// # fn main() -> wharf::Result {
/// # let event_loop = MemoryNetwork::new().event_loop();
/// event_loop.run(async |event_loop| {
///     let server = async |mut reader: wharf::StreamReader, _| {
///         assert_eq!(reader.read_to_end(1024).await?, b"hello world");
///         Ok(())
///     };
///     event_loop.start_server(server, "10.0.0.1:7").await?;
///     let (_reader, writer) = event_loop.open_connection("10.0.0.1:7").await?;
///     // Goes out with what follows it.
///     writer.write(b"hello ");
///     // Waits if the peer is slow.
///     writer.write_all(b"world").await?;
///     writer.close();
///     writer.wait_closed().await?;
///     Ok(())
/// })
/// # }
/// ```
///
/// # Dropping
/// What was written is sent all the same. Dropping the writer ends the write side ([`write_eof`](Self::write_eof))
/// while the reader is there, and closes the connection when it is gone, too.
pub struct StreamWriter {
    pub(super) link: Rc<Link>,
    /// The places where the traits of `futures-io` wait.
    draining: Cell<Option<Ticket>>,
    flushing: Cell<Option<Ticket>>,
    bound: ThreadBound<UseRemote>,
}

/// # Writing
impl StreamWriter {
    pub(super) fn new(link: Rc<Link>) -> Self {
        Self { link, draining: Cell::default(), flushing: Cell::default(), bound: PhantomData }
    }

    /// Sends `data`, in order, as soon as the peer takes it. It never waits and never fails; what it returns says
    /// whether to [`drain`](Self::drain).
    ///
    /// What is written in one step of a task goes out together at the end of the loop's round, or with the next
    /// [`write_all`](Self::write_all).
    pub fn write(&self, data: &[u8]) -> WriteStatus {
        self.note(Transport::write(&*self.link, data))
    }

    /// As [`write`](Self::write), without copying: see [`Transport::write_bytes`].
    pub fn write_bytes(&self, data: Bytes) -> WriteStatus {
        self.note(Transport::write_bytes(&*self.link, data))
    }

    /// Writes the slices one after the other, as if joined.
    #[doc(alias("writelines"))]
    pub fn write_vectored(&self, slices: &[IoSlice<'_>]) -> WriteStatus {
        self.note(Transport::write_vectored(&*self.link, slices))
    }

    /// Writes all of `data`, then waits as [`drain`](Self::drain) does.
    ///
    /// What the system takes at once is not copied. All of `data` is taken in the first step: dropping the future
    /// while it waits loses nothing and cuts nothing short. Dropped before that, nothing is written. After each MiB that
    /// the system has taken without a wait, other tasks have their turn.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub fn write_all<'a>(&'a self, data: &'a [u8]) -> WriteAll<'a> {
        WriteAll::new(self, data)
    }

    /// Waits until more may be written: at once, unless more than the high-water mark waits to be sent; then until
    /// no more than the low-water mark does. asyncio's `drain`.
    ///
    /// It does not wait until everything is sent; [`flush`](Self::flush) does. Any number of tasks can wait; all go on
    /// then, and may write once more each. Dropping the future changes nothing.
    ///
    /// # Errors
    /// [`is_closed`](Error::is_closed) when the connection is gone or going for another reason than
    /// [`close`](Self::close), with what ended it as the source, if an error did. It is noticed at once, also without
    /// waiting.
    pub fn drain(&self) -> Drain<'_> {
        Drain::new(self)
    }

    /// Waits until everything that was written is handed to the operating system; see [`TransportHandle::flush`].
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// Those of [`TransportHandle::flush`].
    pub async fn flush(&self) -> Result<(), Error> {
        flush(&*self.link).await
    }

    /// Sends `count` bytes of `file` from `offset` on: see [`Transport::send_file`].
    pub fn send_file(&self, file: Rc<File>, offset: u64, count: Option<u64>) -> SendFile {
        Transport::send_file(&*self.link, file, offset, count)
    }

    /// What was written and is not yet handed to the operating system, in bytes.
    pub fn write_buffer_size(&self) -> usize {
        Transport::write_buffer_size(&*self.link)
    }

    /// Sets the water marks that [`drain`](Self::drain) goes by; see [`Transport::set_write_buffer_limits`].
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) when `low` is above `high`, which changes nothing.
    pub fn set_write_buffer_limits(&self, limits: WaterMarks) -> Result<(), Error> {
        Transport::set_write_buffer_limits(&*self.link, limits)
    }

    /// Ready when more may be written.
    #[inline]
    pub(crate) fn poll_drain(&self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        if let Some(outcome) = self.link.drained() {
            return Poll::Ready(outcome);
        }
        self.link.core().tasks.note_wait(Waits::Output(self.link.id()));
        let waiting = &self.link.waiting;
        waiting.poll(self.link.core(), &self.draining, context, || self.link.drained())
    }

    /// Ready unless so much was written lately that others must have their turn; then it is, at the next poll.
    #[inline]
    pub(crate) fn poll_turn(&self, context: &Context<'_>, count: usize) -> Poll<()> {
        if self.link.must_yield_before(count) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    pub(crate) fn poll_flush(&self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        poll_flush(&*self.link, &self.flushing, context)
    }

    /// Writes without a copy where the system takes it at once.
    #[inline]
    pub(crate) fn write_now(&self, data: &[u8]) -> Result<(), Error> {
        self.check(self.note(self.link.write_now(data)))
    }

    /// As [`write_now`](Self::write_now), of several slices with one system call.
    #[cfg(feature = "hyper")]
    #[inline]
    pub(crate) fn write_slices_now(&self, slices: &[IoSlice<'_>]) -> Result<(), Error> {
        self.check(self.note(self.link.write_slices_now(slices)))
    }

    /// Whether the connection is gone without an error.
    pub(super) fn was_closed_well(&self) -> bool {
        self.link.has(State::LOST) && self.link.error().is_none()
    }

    #[inline]
    pub(super) fn check(&self, status: WriteStatus) -> Result<(), Error> {
        if status.is_taken() { Ok(()) } else { Err(self.link.closed()) }
    }

    /// A resume follows what is above the high-water mark: until then `drain` waits.
    #[inline]
    fn note(&self, status: WriteStatus) -> WriteStatus {
        if status == WriteStatus::AboveHighWater {
            self.link.set(State::WRITING_PAUSED);
        }
        status
    }
}

/// # Ending
impl StreamWriter {
    /// Ends the write side once all that was written is sent; see [`Transport::write_eof`].
    pub fn write_eof(&self) {
        Transport::write_eof(&*self.link);
    }

    /// Whether [`write_eof`](Self::write_eof) can end just the write side.
    pub fn can_write_eof(&self) -> bool {
        Transport::can_write_eof(&*self.link)
    }

    /// Stops reading, sends what is written, then closes; see [`Transport::close`].
    ///
    /// What the reader holds can still be read.
    pub fn close(&self) {
        self.link.close_here();
    }

    /// Closes at once, without sending what waits; see [`Transport::abort`].
    pub fn abort(&self) {
        self.link.set(State::CLOSED_HERE);
        Transport::abort(&*self.link);
    }

    /// Whether the connection is closing or gone.
    pub fn is_closing(&self) -> bool {
        Transport::is_closing(&*self.link)
    }

    /// Waits until the connection is gone. It does not close it: without a [`close`](Self::close) one whose two sides have
    /// ended is still there, until its halves are dropped.
    ///
    /// After a [`close`](Self::close), `Ok` means that everything was handed to the operating system. Any number of
    /// tasks can wait. Dropping the future changes nothing.
    ///
    /// # Errors
    /// The error that ended the connection, if one did.
    pub async fn wait_closed(&self) -> Result<(), Error> {
        let is_lost = || self.link.has(State::LOST).then_some(());
        self.link.waiting.wait_for(self.link.core(), is_lost).await;
        self.link.error().map_or(Ok(()), Err)
    }

    /// Whether the server of this connection is [shutting down](crate::Server::shutdown), which a handler can use to
    /// say good-bye.
    pub fn is_shutting_down(&self) -> bool {
        self.link.has(State::SHUTTING_DOWN)
    }

    /// Waits until the server of this connection shuts down, or the connection is gone.
    pub async fn shutting_down(&self) {
        self.link.shutting_down().await;
    }

    /// As [`shutting_down`](Self::shutting_down), for one who has no borrow of this.
    #[cfg(feature = "hyper")]
    pub(crate) fn shutdown_notice(&self) -> impl Future<Output = ()> + use<> {
        let link = Rc::clone(&self.link);
        async move { link.shutting_down().await }
    }
}

/// # The connection
impl StreamWriter {
    /// What is known of the connection: addresses, credentials, TLS. asyncio's `get_extra_info`.
    #[doc(alias("get_extra_info", "peer_addr", "local_addr"))]
    pub fn info(&self) -> Rc<Info> {
        Transport::info(&*self.link)
    }

    /// A handle to the transport, for everything that it can do besides. Its methods are those of
    /// [`Transport`](crate::Transport).
    pub fn transport(&self) -> TransportHandle {
        Transport::handle(&*self.link)
    }

    /// Sets, changes or (with `None`) removes a deadline of the connection; see [`Transport::set_timeout`].
    ///
    /// One that passes ends the connection: reads fail with it, and [`is_timeout`](Error::is_timeout) tells.
    pub fn set_timeout(&self, timeout: Timeout, after: Option<Duration>) {
        Transport::set_timeout(&*self.link, timeout, after);
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        self.link.waiting.leave(self.link.core(), &self.draining);
        self.link.writer_dropped();
    }
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StreamWriter")
            .field("write_buffer_size", &self.write_buffer_size())
            .field("is_closing", &self.is_closing())
            .finish_non_exhaustive()
    }
}
