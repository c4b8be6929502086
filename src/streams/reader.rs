//! The reading half of a stream.

mod exact;
mod lines;
mod until;

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::chunk::Chunk;
use super::link::{Link, State};
use crate::error::Error;
use crate::thread_bound::{ThreadBound, UseRemote};

pub use self::lines::Lines;

/// What a connection, a pipe or a child sends, for one task that reads: asyncio's `StreamReader`.
///
/// Input is received ahead of its reader up to a [limit](Self::set_limit); then reading pauses, so that the peer
/// is slowed down. Methods that return a slice lend a part of the reader's own buffer, until the next call: there
/// is no copy, and no allocation. A reader that holds nothing has no buffer.
///
/// ```
/// # use wharf::testing::MemoryNetwork;
/// # fn main() -> wharf::Result {
/// # let event_loop = MemoryNetwork::new().event_loop();
/// event_loop.run(async |event_loop| {
///     let server = async |_, writer: wharf::StreamWriter| {
///         writer.write_all(b"HELLO 5\r\nworldone\ntwo").await?;
///         Ok(())
///     };
///     event_loop.start_server(server, "10.0.0.1:7").await?;
///     let (mut reader, _writer) = event_loop.open_connection("10.0.0.1:7").await?;
///     assert_eq!(reader.read_line().await?, Some("HELLO 5"));
///     assert_eq!(reader.read_exactly(5).await?, b"world");
///     assert_eq!(reader.read_until(b"\n").await?, b"one\n");
///     // The last line has no end.
///     assert_eq!(reader.read_line().await?, Some("two"));
///     assert_eq!(reader.read_line().await?, None);
///     Ok(())
/// })
/// # }
/// ```
///
/// # The end
/// When the peer has ended its side, and what it sent is read, reads say so: 0 bytes, an empty slice or `None`. So
/// they do when this side has closed the connection. If an error ended it, what was received before can be read
/// first, and then each read fails with that error.
///
/// # Dropping
/// A future of a reader that is dropped takes nothing from it: what it waited for is read by the next call. The
/// exception is [`read_exactly_into`](Self::read_exactly_into), whose page says what is lost.
///
/// Dropping the reader drops what it holds and stops reading: what the peer sends afterwards waits in the operating
/// system, until the connection is closed. When the writer is gone, too, the connection is closed, as by
/// [`StreamWriter::close`](crate::StreamWriter::close).
pub struct StreamReader {
    pub(super) link: Rc<Link>,
    /// What comes next. Empty, it holds no memory.
    pub(super) front: Chunk,
    /// So much of it was lent by the last call, and is consumed by the next.
    lent: usize,
    bound: ThreadBound<UseRemote>,
}

impl StreamReader {
    pub(super) fn new(link: Rc<Link>) -> Self {
        Self { link, front: Chunk::default(), lent: 0, bound: PhantomData }
    }

    /// Reads what is there, at least a byte, into `buffer`; 0 is the end (or an empty `buffer`).
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// What ended the connection, when all that was received before is read.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        poll_fn(|context| self.poll_read(context, buffer)).await
    }

    /// Lends what is there, at least a byte, and consumes it; an empty slice is the end.
    ///
    /// The cheapest way to read, as nothing is copied:
    ///
    /// ```
    /// # use wharf::{Result, StreamReader, StreamWriter};
    /// async fn echo(mut reader: StreamReader, writer: StreamWriter) -> Result {
    ///     loop {
    ///         let data = reader.read_chunk().await?;
    ///         if data.is_empty() {
    ///             return Ok(());
    ///         }
    ///         writer.write_all(data).await?;
    ///     }
    /// }
    /// # let _ = echo;
    /// ```
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_chunk(&mut self) -> Result<&[u8], Error> {
        poll_fn(|context| self.poll_fill(context)).await?;
        self.lent = self.front.len();
        Ok(self.front.data())
    }

    /// Lends what is there, at least a byte, without consuming it; an empty slice is the end.
    ///
    /// [`consume`](Self::consume) says how much of it was used. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn fill_buf(&mut self) -> Result<&[u8], Error> {
        poll_fn(|context| self.poll_fill(context)).await?;
        Ok(self.front.data())
    }

    /// Takes the first `count` bytes that the reader holds away; all of them, if it holds fewer.
    pub fn consume(&mut self, count: usize) {
        self.settle();
        let mut left = count;
        loop {
            let part = left.min(self.front.len());
            self.take(part);
            left -= part;
            if left == 0 {
                return;
            }
            let Some(next) = self.link.pop() else { return };
            self.front = next;
        }
    }

    /// Waits until `count` bytes are there, and lends them and whatever else is, without consuming anything. At the
    /// end of the input it lends what is left.
    ///
    /// `count` may exceed the limit. Dropping the future loses nothing.
    ///
    /// # Errors
    /// What ended the connection, if fewer than `count` bytes were received before.
    pub async fn peek(&mut self, count: usize) -> Result<&[u8], Error> {
        poll_fn(|context| self.poll_have(context, count)).await?;
        Ok(self.front.data())
    }

    /// How many bytes are received and not consumed: they can be read without waiting.
    pub fn buffered(&self) -> usize {
        self.link.held() - self.lent
    }

    /// Whether all was read: the input has ended, and nothing is left.
    pub fn at_eof(&self) -> bool {
        self.buffered() == 0 && self.link.end(false).is_some()
    }

    /// How many bytes may be received ahead of the reader, and how long a line may be. 64 KiB unless set.
    pub fn limit(&self) -> usize {
        self.link.limit()
    }

    /// Sets the [limit](Self::limit).
    ///
    /// Reading pauses when more is held, and goes on when no more is. What one read of the system has brought
    /// (256 KiB at most) can go beyond it. While a call waits for more than the limit, more is received.
    pub fn set_limit(&mut self, limit: usize) {
        self.link.set_limit(limit);
    }

    /// Whether reads go on waiting for input while the server shuts down. Off by default: a reader that holds
    /// nothing then says that the input has ended.
    ///
    /// For a handler that is in the middle of a message.
    pub fn set_waits_in_shutdown(&mut self, on: bool) {
        if on {
            self.link.set(State::WAITS_IN_SHUTDOWN);
        } else {
            self.link.clear(State::WAITS_IN_SHUTDOWN);
        }
    }

    #[inline]
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Error>> {
        if self.lent == 0 && self.front.is_empty() {
            // Most reads: there is no need to make it the front first.
            let count = self.link.read(buffer);
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
        }
        self.poll_read_all(context, buffer, false)
    }

    /// Reads from all that is held, or waits: in a shutdown, too, for one who `has_begun` to read a message.
    fn poll_read_all(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
        has_begun: bool,
    ) -> Poll<Result<usize, Error>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(self.poll_next(context, has_begun))?;
        let part = self.front.len().min(buffer.len());
        buffer[..part].copy_from_slice(&self.front.data()[..part]);
        self.take(part);
        Poll::Ready(Ok(part + self.link.read(&mut buffer[part..])))
    }

    /// Takes what is there, `room` bytes at most, and gives it to `put` piece by piece. Returns how much that was:
    /// nothing at the end.
    #[cfg(feature = "hyper")]
    #[inline]
    pub(crate) fn poll_take(
        &mut self,
        context: &mut Context<'_>,
        room: usize,
        mut put: impl FnMut(&[u8]),
    ) -> Poll<Result<usize, Error>> {
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        ready!(self.poll_fill(context))?;
        let mut count = 0;
        loop {
            let part = self.front.len().min(room - count);
            put(&self.front.data()[..part]);
            self.take(part);
            count += part;
            if count == room || self.link.held() == 0 {
                return Poll::Ready(Ok(count));
            }
            let Some(next) = self.link.pop() else { return Poll::Ready(Ok(count)) };
            self.front = next;
        }
    }

    /// Ready when the front has something, or at the end.
    #[inline]
    pub(super) fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_next(context, false)
    }

    /// As [`poll_fill`](Self::poll_fill). A shutdown does not end the input of one who `has_begun` to read a message.
    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>, has_begun: bool) -> Poll<Result<(), Error>> {
        self.settle();
        if !self.front.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if let Some(next) = self.link.pop() {
            self.front = next;
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = self.link.end(has_begun) {
            return Poll::Ready(end);
        }
        self.link.wait_for_input(context);
        Poll::Pending
    }

    /// Ready when the front has `count` bytes, or all there will be.
    fn poll_have(&mut self, context: &mut Context<'_>, count: usize) -> Poll<Result<(), Error>> {
        self.settle();
        while self.front.len() < count {
            if !ready!(self.poll_more(context))? {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Appends what was received to the front; `false`: there will be nothing more.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        if let Some(next) = self.link.pop() {
            if self.front.is_empty() {
                self.front = next;
            } else {
                self.front.make_room(next.len());
                self.front.append(next.data());
            }
            return Poll::Ready(Ok(true));
        }
        match self.link.end(!self.front.is_empty()) {
            Some(end) => Poll::Ready(end.map(|()| false)),
            None => {
                self.link.wait_for_input(context);
                Poll::Pending
            }
        }
    }

    /// Consumes what the last call has lent.
    #[inline]
    pub(super) fn settle(&mut self) {
        if self.lent > 0 {
            let lent = std::mem::take(&mut self.lent);
            self.take(lent);
        }
    }

    /// Consumes so many bytes of the front.
    #[inline]
    fn take(&mut self, count: usize) {
        self.front.consume(count);
        self.link.consumed(count);
    }

    /// Lends the first `count` bytes of the front.
    #[inline]
    fn lend(&mut self, count: usize) -> &[u8] {
        self.lent = count;
        &self.front.data()[..count]
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        self.link.reader_dropped();
    }
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StreamReader")
            .field("buffered", &self.buffered())
            .field("at_eof", &self.at_eof())
            .finish_non_exhaustive()
    }
}
