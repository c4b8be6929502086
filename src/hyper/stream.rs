//! A connection that hyper reads and writes.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::hyper::rt::{Read, ReadBufCursor, Write};
use futures_io::AsyncWrite as _;

use crate::streams::{ByteStream, StreamReader, StreamWriter};

/// The most that one write of hyper may take: what the system does not take of it is copied into the queue.
const MOST_AT_ONCE: usize = 256 * 1024;

/// A connection for hyper: [`hyper::rt::Read`] and [`hyper::rt::Write`] of a [`ByteStream`].
///
/// ```
/// # use wharf::testing::MemoryNetwork;
/// use wharf::hyper::HyperStream;
/// use hyper::{Request, Response, service::service_fn};
///
/// # fn main() -> wharf::Result {
/// # MemoryNetwork::new().event_loop().run(async |event_loop| {
/// let server = async |reader, writer| {
///     let service = service_fn(async |_| Ok::<_, wharf::Error>(Response::new(String::new())));
///     let stream = HyperStream::join(reader, writer);
///     hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await?;
///     Ok(())
/// };
/// event_loop.start_server(server, "10.0.0.1:80").await?;
///
/// let stream = HyperStream::from(event_loop.open_connection("10.0.0.1:80").await?);
/// let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await?;
/// let running = wharf::spawn(connection);
/// let response = client.send_request(Request::new(String::new())).await?;
/// assert_eq!(response.status(), 200);
/// drop(client);
/// running.await??;
/// # Ok(())
/// # })
/// # }
/// ```
///
/// What was received goes from the reader's buffer into hyper's, with one copy. What hyper writes goes to the system
/// without one, its head and body with one call, as far as the system takes it; the rest is queued. Writing waits while
/// more than the high-water mark (64 KiB, see [`StreamWriter::set_write_buffer_limits`]) is queued; at most 256 KiB come
/// on top of it. A flush waits until all is handed to the system.
///
/// Its errors are [`io::Error`]s with one of wharf's inside. After [`hyper::rt::Write::poll_shutdown`] a write fails with
/// [`io::ErrorKind::BrokenPipe`].
///
/// Dropping it drops the stream, which closes the connection; what was written is sent. See
/// [`shutting_down`](Self::shutting_down) for the shutdown of a server.
///
/// [`hyper::rt::Read`]: ::hyper::rt::Read
/// [`hyper::rt::Write`]: ::hyper::rt::Write
/// [`hyper::rt::Write::poll_shutdown`]: ::hyper::rt::Write::poll_shutdown
#[doc(alias("TokioIo", "FuturesIo"))]
pub struct HyperStream {
    stream: ByteStream,
}

impl HyperStream {
    /// Makes a stream one for hyper.
    ///
    /// From now on reads of it go on while its server shuts down
    /// ([`StreamReader::set_waits_in_shutdown`]): hyper takes the end of the input for a client that has gone, and would
    /// drop the request that it is at.
    pub fn new(mut stream: ByteStream) -> Self {
        stream.reader().set_waits_in_shutdown(true);
        Self { stream }
    }

    /// Joins two halves.
    pub fn join(reader: StreamReader, writer: StreamWriter) -> Self {
        Self::new(ByteStream::join(reader, writer))
    }

    /// The stream itself.
    pub fn get_ref(&self) -> &ByteStream {
        &self.stream
    }

    /// The stream itself, to be changed.
    pub fn get_mut(&mut self) -> &mut ByteStream {
        &mut self.stream
    }

    /// Gives the stream back.
    pub fn into_inner(self) -> ByteStream {
        self.stream
    }

    /// Is there for one who ends the connection well when its server [shuts down](crate::Server::shutdown): it completes
    /// then, or when the connection is gone. To be called before hyper is given the stream; the
    /// [module](crate::hyper) shows how.
    ///
    /// Then hyper's `graceful_shutdown` is to be called: a connection between two requests ends at once, and another one
    /// after the request that it is at. Where nobody does that, requests are answered as well, but each connection that its
    /// client keeps open is there until the server's time is over, and is cut off then.
    ///
    /// Dropping the future changes nothing.
    pub fn shutting_down(&self) -> impl Future<Output = ()> + use<> {
        self.stream.writer().shutdown_notice()
    }
}

impl Read for HyperStream {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        ready!(self.stream.reader().poll_take(context, room, |part| buffer.put_slice(part)))?;
        Poll::Ready(Ok(()))
    }
}

impl Write for HyperStream {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let writer = self.stream.writer();
        let part = &data[..data.len().min(MOST_AT_ONCE)];
        ready!(writer.poll_drain(context))?;
        ready!(writer.poll_turn(context, part.len()));
        writer.write_now(part)?;
        Poll::Ready(Ok(part.len()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let (taken, count) = taken_at_once(slices);
        if taken.len() < 2 {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(context, first.map_or(&[], |slice| slice));
        }
        let writer = self.stream.writer();
        ready!(writer.poll_drain(context))?;
        ready!(writer.poll_turn(context, count));
        writer.write_slices_now(taken)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.writer().poll_flush(context).map_err(io::Error::from)
    }

    /// Ends the write side once all is sent, where it can end by itself.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

/// As many whole slices as one write takes, and how long they are. None, if already the first is too long.
fn taken_at_once<'a, 'b>(slices: &'a [IoSlice<'b>]) -> (&'a [IoSlice<'b>], usize) {
    /// What every system takes with one call, and more than hyper has.
    const MOST_SLICES: usize = 64;

    let (mut number, mut count) = (0, 0);
    for slice in slices.iter().take(MOST_SLICES) {
        if count + slice.len() > MOST_AT_ONCE {
            break;
        }
        number += 1;
        count += slice.len();
    }
    (&slices[..number], count)
}

impl From<ByteStream> for HyperStream {
    fn from(stream: ByteStream) -> Self {
        Self::new(stream)
    }
}

impl From<(StreamReader, StreamWriter)> for HyperStream {
    fn from((reader, writer): (StreamReader, StreamWriter)) -> Self {
        Self::join(reader, writer)
    }
}

impl fmt::Debug for HyperStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("HyperStream").field(&self.stream).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_takes_whole_slices_up_to_a_limit() {
        let (small, large) = ([1; 10], vec![2; MOST_AT_ONCE - 10]);
        let [small, large] = [&small[..], &large[..]].map(IoSlice::new);
        for (slices, number, count) in [
            (&[][..], 0, 0),
            (&[small, small][..], 2, 20),
            (&[small, large][..], 2, MOST_AT_ONCE),
            (&[small, large, small][..], 2, MOST_AT_ONCE),
            (&[small, small, large][..], 2, 20),
        ] {
            let (taken, length) = taken_at_once(slices);
            assert_eq!((taken.len(), length), (number, count));
        }
        let longer = vec![3; MOST_AT_ONCE + 1];
        assert_eq!(taken_at_once(&[IoSlice::new(&longer), small]).0.len(), 0);
        assert_eq!(taken_at_once(&vec![small; 100]).1, 640);
    }
}
