//! The traits of `futures-io`, by which libraries for any runtime read and write.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite, IoSlice, IoSliceMut};

use super::{ByteStream, StreamReader, StreamWriter};

/// Errors of wharf are inside the [`io::Error`]: `?` gives them back as they were.
impl AsyncRead for StreamReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Self::poll_read(&mut self, context, buffer).map_err(io::Error::from)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut count = 0;
        for buffer in buffers.iter_mut().filter(|buffer| !buffer.is_empty()) {
            if count > 0 && self.buffered() == 0 {
                break;
            }
            let read = ready!(Self::poll_read(&mut self, context, buffer))?;
            count += read;
            if read < buffer.len() {
                break;
            }
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncBufRead for StreamReader {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let reader = self.get_mut();
        ready!(reader.poll_fill(context))?;
        Poll::Ready(Ok(reader.front.data()))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        Self::consume(&mut self, count);
    }
}

/// Waits only while more than the high-water mark waits to be sent; others have their turn after each MiB that was taken
/// without a wait. `poll_flush` waits until all is handed to the operating system; `poll_close` ends the write side, when
/// that is so, where it can end by itself.
impl AsyncWrite for StreamWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(context))?;
        ready!(self.poll_turn(context, data.len()));
        self.write_now(data)?;
        Poll::Ready(Ok(data.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(context))?;
        let count = slices.iter().map(|slice| slice.len()).sum();
        ready!(self.poll_turn(context, count));
        if let [only] = slices {
            self.write_now(only)?;
        } else {
            // Gathered, it goes out with one system call at the end of the round.
            let status = self.write_vectored(slices);
            self.check(status)?;
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_flush(&self, context).map_err(io::Error::from)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Self::poll_flush(&self, context)) {
            Ok(()) => self.write_eof(),
            // What was written last time is gone, and the connection with it.
            Err(_) if self.was_closed_well() => {}
            Err(error) => return Poll::Ready(Err(error.into())),
        }
        Poll::Ready(Ok(()))
    }
}

/// As its reader.
impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.reader.poll_read(context, buffer).map_err(io::Error::from)
    }
}

/// As its reader.
impl AsyncBufRead for ByteStream {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(self.get_mut().reader()).poll_fill_buf(context)
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        self.reader().consume(count);
    }
}

/// As its writer.
impl AsyncWrite for ByteStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(context, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write_vectored(context, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_close(context)
    }
}
