//! On wharf's streams, which implement the traits of `futures-io`.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncBufRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use wharf::{EventLoop, StreamReader, StreamWriter};

use super::plaintext;
use crate::Result;
use crate::servers::prepare;
use crate::servers::wharf::serve_until_told;

pub(super) fn run(listen: SocketAddr) -> Result {
    prepare()?;
    EventLoop::new()?.run(async |event_loop| {
        let server = event_loop.start_server(serve, listen).await?;
        serve_until_told(&event_loop, &server).await
    })
}

async fn serve(reader: StreamReader, writer: StreamWriter) -> Result {
    let io = Io { reader, writer };
    Ok(http1::Builder::new().serve_connection(io, service_fn(plaintext)).await?)
}

struct Io {
    reader: StreamReader,
    writer: StreamWriter,
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let data = ready!(Pin::new(&mut self.reader).poll_fill_buf(context))?;
        let count = data.len().min(buffer.remaining());
        buffer.put_slice(&data[..count]);
        self.reader.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_close(context)
    }
}
